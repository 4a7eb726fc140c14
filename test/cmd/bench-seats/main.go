// Command bench-seats starts a suite with two copies of each service on fresh data, measures its seats, and prints one
// line a figure.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"kontor.internal/test/bench"
	"kontor.internal/test/harness"
)

// moreGarbage lets the measuring program, whose heap is small, collect seldom: it shares the machine with what it measures.
const moreGarbage = 800

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	debug.SetGCPercent(moreGarbage)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-seats:", err)
		os.Exit(1) //nolint:gocritic // what stop frees ends with the process.
	}
}

func run(ctx context.Context) (err error) {
	program, err := harness.Build()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, harness.RemoveBuild()) }()
	folder, err := os.MkdirTemp("", "kontor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	suite, err := harness.Launch(ctx, harness.Options{Program: program, Data: filepath.Join(folder, "data"), Processes: true, Copies: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, suite.Close()) }()
	return bench.Seats(ctx, suite, os.Stdout)
}
