// Command bench-backup makes an office's books on a server of its own, measures snapshots of them against restic's copies,
// and prints one line a figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"kontor.internal/test/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var options bench.BackupOptions
	options.Flags(flag.CommandLine)
	flag.Parse()
	if err := run(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, "bench-backup:", err)
		os.Exit(1) //nolint:gocritic // what stop frees ends with the process.
	}
}

func run(ctx context.Context, options bench.BackupOptions) (err error) {
	folder, err := os.MkdirTemp("", "kontor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	return bench.Backup(ctx, folder, options, os.Stdout)
}
