// Command kontor-local runs the whole of Kontor on one machine, on private
// servers that it starts and stops itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kontor.internal/deploy/local/internal/house"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kontor-local:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o house.Options
	var name string
	root := &cobra.Command{
		Use:   "kontor-local",
		Short: "Run the whole suite on this machine until Ctrl-C",
		Args:  cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o, name, cmd.OutOrStdout()) },
	}
	flags := root.Flags()
	flags.StringVar(&name, "name", "default", "name of the instance; each has its own data")
	flags.StringVar(&o.Data, "data", "", "data folder (default: in the user's data folder, by name)")
	flags.BoolVar(&o.Reset, "reset", false, "delete the instance's data first")
	flags.BoolVar(&o.TestClock, "test-clock", false, "let the control API move business dates")
	flags.BoolVar(&o.Processes, "processes", false, "run each service in processes of its own")
	flags.IntVar(&o.Copies, "copies", 1, "copies of each service, with --processes")
	flags.IntVar(&o.HTTPPort, "http-port", 0, "port of the gateway's HTTPS (default: a free one)")
	flags.IntVar(&o.GRPCPort, "grpc-port", 0, "port of the gateway's gRPC (default: a free one)")
	flags.IntVar(&o.ControlPort, "control-port", 0, "port of the inbox page and the control API (default: a free one)")
	flags.StringVar(&o.LogLevel, "log-level", "warn", "least level that the services log: debug, info, warn, error")
	flags.StringVar(&o.OTLPEndpoint, "otlp-endpoint", "", "where telemetry goes, host:port (default: nowhere)")
	root.AddCommand(&cobra.Command{
		Use: house.ChildCommand + " <name>", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return house.RunChild(cmd.Context(), args[0]) },
	})
	return root
}

func run(ctx context.Context, o house.Options, name string, out io.Writer) error {
	if o.Copies < 1 || (o.Copies > 1 && !o.Processes) {
		return errors.New("--copies is 1 or more, and needs --processes")
	}
	var err error
	if o.Executable, err = os.Executable(); err != nil {
		return err
	}
	if o.Data == "" {
		if o.Data, err = house.DefaultFolder(name); err != nil {
			return err
		}
	}
	h, err := house.Open(o)
	if err != nil {
		return err
	}
	return h.Run(ctx, func(s house.State) { show(out, s) })
}

// show prints where everything is.
func show(out io.Writer, s house.State) {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	row := func(name string, value any) { _, _ = fmt.Fprintf(w, "%s\t%v\n", name, value) }
	row("REST and JSON", s.HTTP)
	row("OpenAPI", s.HTTP+"/openapi.json")
	row("gRPC (TLS)", s.GRPC)
	row("CA", s.CA)
	row("caught mail and SMS", s.Control)
	row("state, with tokens", house.StateFile(s.Data))
	row("data", s.Data)
	row("PostgreSQL", s.Postgres)
	row("Redis", s.Redis)
	row("NATS", s.NATS)
	row("SMTP", s.SMTP)
	names := make([]string, 0, len(s.Services))
	for name := range s.Services {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		row(name, s.Services[name])
	}
	_ = w.Flush() // Standard output that is closed has no reader to tell.
	_, _ = fmt.Fprintf(out, "ready after %.1f s (stores %d ms, services %d ms); Ctrl-C stops, data stay\n",
		float64(s.Started["all"])/1000, s.Started["stores"], s.Started["services"])
}
