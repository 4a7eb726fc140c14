// Samplebooks makes a company database like one from the premises: it applies a kit to an empty database and fills it with
// made-up data, the same every time. A pg_dump -Fc of it is a copy to upload.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/kits/samplegen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "samplebooks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("samplebooks", flag.ContinueOnError)
	dsn := flags.String("dsn", "", "the empty database, e.g. postgres://user@host/database; its role will own everything")
	product := flags.String("product", "books", "books or payroll")
	release := flags.String("release", "", "the kit's release, e.g. 1.3.0; empty for the newest")
	var options samplegen.Options
	flags.IntVar(&options.Megabytes, "megabytes", 0, "least size of the dump in MiB; 0 for a small company")
	flags.Uint64Var(&options.Seed, "seed", 1, "the same seed gives the same rows")
	flags.IntVar(&options.LastYear, "last-year", 2026, "newest of the three fiscal years")
	flags.StringVar(&options.Name, "name", "", "the company's name")
	flags.StringVar(&options.TaxNumber, "tax-number", "", "the company's tax number, with LV before it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dsn == "" {
		return errors.New("--dsn is missing; --help shows all")
	}
	k, err := find(*product, *release)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, *dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := k.Apply(ctx, conn, kit.Install{}); err != nil {
		return err
	}
	made, err := samplegen.Fill(ctx, conn, k, options)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d rows in %d tables\n", k, made.Rows, len(made.Table))
	return nil
}

func find(product, release string) (*kit.Kit, error) {
	set, err := kits.Load()
	if err != nil {
		return nil, err
	}
	if release == "" {
		if k := set.Newest(product); k != nil {
			return k, nil
		}
		return nil, fmt.Errorf("there is no product %s", product)
	}
	version, err := kit.ParseVersion(release)
	if err != nil {
		return nil, err
	}
	if k := set.Get(product, version); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("there is no kit of %s %s", product, release)
}
