// Command bookkeeper is a small accounting program, to show how one works with Kontor; -help says what it can do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"kontor.internal/client/bookkeeper"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := bookkeeper.Run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bookkeeper:", err)
		os.Exit(1) //nolint:gocritic // what stop frees ends with the process.
	}
}
