// Command kontor-prepare makes what an installation in containers keeps secret:
// its certificate authority, each part's certificates, passwords and keys. It
// lays them into one folder a part, so that a container is shown its own and
// nothing else. Run again, it keeps what is there and renews certificates that
// grow old.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	layout := flag.String("layout", "", "YAML file that says which part gets what")
	dir := flag.String("dir", "", "folder of the installation")
	flag.Parse()
	if *layout == "" || *dir == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := prepare(*dir, *layout); err != nil {
		fmt.Fprintln(os.Stderr, "kontor-prepare:", err)
		os.Exit(1)
	}
}
