package command

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"kontor.internal/client/travelseat"
)

func seatCommand(now func() time.Time) *cobra.Command {
	seat := &cobra.Command{Use: "seat", Short: "Seats that are out with a device: check their files without a network"}
	seat.AddCommand(seatVerify(now), seatShow())
	return seat
}

func seatVerify(now func() time.Time) *cobra.Command {
	var keys, device, seen string
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Say whether a seat's file is good on a device now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var last time.Time
			if seen != "" {
				var err error
				if last, err = time.Parse(time.RFC3339, seen); err != nil {
					return fmt.Errorf("--last-seen: %w", err)
				}
			}
			file, err := readBounded(args[0], travelseat.MaxBytes)
			if err != nil {
				return err
			}
			raw, err := readBounded(keys, 4*travelseat.MaxBytes)
			if err != nil {
				return err
			}
			known, err := travelseat.ParseKeys(raw)
			if err != nil {
				return err
			}
			s, err := travelseat.Check(file, known, device, now(), last)
			tell(cmd.OutOrStdout(), s)
			if err != nil {
				return answerNo{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&keys, "keys", "", "file with the JSON Web Key Set that licensing publishes")
	cmd.Flags().StringVar(&device, "device", "", "the device's id")
	cmd.Flags().StringVar(&seen, "last-seen", "", "the latest instant that the device's clock showed, as 2026-11-19T14:53:20Z")
	_ = cmd.MarkFlagRequired("keys")   // It is there.
	_ = cmd.MarkFlagRequired("device") // It is there.
	return cmd
}

func seatShow() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Show what a seat's file claims, without checking it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := readBounded(args[0], travelseat.MaxBytes)
			if err != nil {
				return err
			}
			s, err := travelseat.Show(file)
			if err != nil {
				return answerNo{err}
			}
			tell(cmd.OutOrStdout(), s)
			return nil
		},
	}
}

func tell(out io.Writer, s travelseat.Seat) {
	if s.Name == "" {
		return
	}
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
		fmt.Fprintf(out, "%-10s  %s\n", line[0], printable(line[1]))
	}
}
