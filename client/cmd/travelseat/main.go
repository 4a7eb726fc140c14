// Command travelseat checks the file of a seat that is out with a device, without a network; -help says how.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"kontor.internal/client/travelseat"
)

const usage = `travelseat verify --keys FILE --device ID [--last-seen TIME] SEAT   says whether the seat is good on the device now
travelseat show SEAT                                                says what a file claims, without checking it

TIME is the latest instant that the device's clock showed, as 2026-11-19T14:53:20Z.

The keys are a JSON Web Key Set, as licensing publishes it. Ends with 0 when the seat is good, 1 when it is not, 2 when it
was called wrongly.
`

func main() { os.Exit(run(os.Args[1:], time.Now(), os.Stdout, os.Stderr)) }

func run(args []string, now time.Time, out, complaints io.Writer) int {
	flags := flag.NewFlagSet("travelseat", flag.ContinueOnError)
	flags.SetOutput(complaints)
	flags.Usage = func() { fmt.Fprint(complaints, usage) }
	keys := flags.String("keys", "", "file with the key set")
	device := flags.String("device", "", "the device's id")
	var seen time.Time
	flags.Func("last-seen", "the latest instant that the clock showed", func(text string) (err error) {
		seen, err = time.Parse(time.RFC3339, text)
		return err
	})
	if len(args) == 0 || flags.Parse(args[1:]) != nil || flags.NArg() != 1 {
		fmt.Fprint(complaints, usage)
		return 2
	}
	file, err := readBounded(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(complaints, "travelseat:", err)
		return 2
	}
	var seat travelseat.Seat
	switch {
	case args[0] == "show":
		seat, err = travelseat.Show(file)
	case args[0] == "verify" && *keys != "" && *device != "":
		seat, err = verify(file, *keys, *device, now, seen)
	default:
		fmt.Fprint(complaints, usage)
		return 2
	}
	if seat.Name != "" {
		tell(out, seat)
	}
	if err != nil {
		fmt.Fprintln(complaints, err)
		return 1
	}
	return 0
}

func verify(file []byte, keys, device string, now, seen time.Time) (travelseat.Seat, error) {
	raw, err := readBounded(keys)
	if err != nil {
		return travelseat.Seat{}, err
	}
	known, err := travelseat.ParseKeys(raw)
	if err != nil {
		return travelseat.Seat{}, err
	}
	return travelseat.Check(file, known, device, now, seen)
}

// readBounded reads a file that is not longer than one may be.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, 4*travelseat.MaxBytes))
	return content, errors.Join(err, file.Close())
}

func tell(out io.Writer, s travelseat.Seat) {
	for _, line := range [][2]string{
		{"seat", s.Name},
		{"account", s.Account},
		{"company", s.Company},
		{"product", s.Product},
		{"device", s.Device},
		{"slot", fmt.Sprint(s.Slot)},
		{"issued", s.Issued.Format(time.RFC3339)},
		{"good from", s.Start.Format(time.RFC3339)},
		{"good until", s.Expire.Format(time.RFC3339)},
		{"key", s.KeyID},
	} {
		fmt.Fprintf(out, "%-10s  %s\n", line[0], strings.Map(printable, line[1]))
	}
}

// printable keeps what a stranger wrote from steering a terminal.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}
