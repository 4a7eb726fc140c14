// Command bench starts suites on fresh data, measures them, and prints one
// line a figure.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kontor.internal/test/bench"
	"kontor.internal/test/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // what stop frees ends with the process.
	}
}

// run starts a suite cold, then warm, and measures the warm one.
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
	began := time.Now()
	suite, err := harness.Launch(ctx, harness.Options{Program: program, Data: filepath.Join(folder, "data")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, suite.Close()) }()
	bench.Figure{Name: "suite_start_cold", Value: time.Since(began).Seconds(), Unit: "s", Goal: "<=15"}.Print(os.Stdout)
	if err := suite.Stop(ctx); err != nil {
		return err
	}
	began = time.Now()
	if err := suite.Start(ctx); err != nil {
		return err
	}
	bench.Figure{Name: "suite_start_warm", Value: time.Since(began).Seconds(), Unit: "s", Goal: "<=6"}.Print(os.Stdout)
	return errors.Join(bench.Gateway(ctx, suite, os.Stdout), bench.SignIn(ctx, suite, os.Stdout), companies(ctx, suite))
}

// companies measures what a customer's programs wait for.
func companies(ctx context.Context, suite *harness.Suite) (err error) {
	c, err := bench.NewCustomer(ctx, suite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Create(ctx, os.Stdout); err != nil {
		return err
	}
	return c.Open(ctx, os.Stdout)
}
