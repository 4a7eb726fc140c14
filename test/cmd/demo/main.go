// Command demo starts a suite on fresh data and plays the main job on it as
// outside clients would. It ends with 1 when any step is not as stated.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"kontor.internal/client/bookkeeper"
	"kontor.internal/test/demo"
	"kontor.internal/test/harness"
)

func main() {
	var keep, killBetween bool
	flag.BoolVar(&keep, "keep", false, "keep the suite's data after a play that went well")
	flag.BoolVar(&killBetween, "kill-between", false, "kill the suite after each step and start it again on the same data")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == demo.ProgramArgument {
		// The demo starts itself as an accounting program that it can kill.
		if err := bookkeeper.Run(ctx, os.Args[2:], os.Getenv, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bookkeeper:", err)
			os.Exit(1) //nolint:gocritic // what stop frees ends with the process.
		}
		return
	}
	flag.Parse()
	if err := play(ctx, keep, killBetween); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:gocritic // what stop frees ends with the process.
	}
}

func play(ctx context.Context, keep, killBetween bool) error {
	program, err := programBeside()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "kontor-demo-")
	if err != nil {
		return err
	}
	documents := filepath.Join(folder, "documents")
	if err := os.Mkdir(documents, 0o700); err != nil {
		return err
	}
	data := filepath.Join(folder, "data")
	err = demo.Run{
		Options:   harness.Options{Program: program, Data: data, TestClock: true},
		Documents: documents, Out: os.Stdout, KillAfter: func(int) bool { return killBetween },
	}.Play(ctx)
	if err != nil {
		return errors.Join(err, fmt.Errorf("data and log are in %s", folder), harness.RemoveBuild())
	}
	fmt.Println("Documents to look at:", documents)
	if !keep {
		err = errors.Join(os.RemoveAll(data), os.Remove(data+".log"))
	}
	return errors.Join(err, harness.RemoveBuild())
}

// programBeside is the kontor-local that was built with the demo, or one built
// now.
func programBeside() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(own), "kontor-local")
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	return harness.Build()
}
