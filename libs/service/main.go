package service

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"kontor.internal/libs/config"
)

// Programs are the names of all programs, so that they can share one environment.
func Programs() []string {
	return []string{"identity", "licensing", "tenancy", "exchange", "backup", "notification", "gateway", "config", "local"}
}

// Runner is what Main runs: a Service, or the gateway.
type Runner interface {
	Run(ctx context.Context) error
}

// Main is the whole of a program's main function: settings from the file that
// -config or KONTOR_CONFIG names and from the environment, then build, then
// run until SIGINT or SIGTERM. It returns the exit code.
func Main[C any, R Runner](name string, build func(ctx context.Context, cfg C) (R, error)) int {
	return run(name, build, os.Args[1:], os.Environ(), os.Stderr)
}

func run[C any, R Runner](name string, build func(ctx context.Context, cfg C) (R, error), args, environ []string, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", os.Getenv("KONTOR_CONFIG"), "YAML file with settings")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var cfg C
	if err := config.Load(&cfg, config.Options{File: *file, Environ: environ, Service: name, Others: Programs()}); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	program, err := build(ctx, cfg)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if err := program.Run(ctx); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
