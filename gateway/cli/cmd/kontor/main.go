// Command kontor is the command-line client; kontor help says what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kontor.internal/cli/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], command.Console{In: os.Stdin, Out: os.Stdout, Complaints: os.Stderr, Now: time.Now})
	stop()
	os.Exit(code)
}
