// Package samplegen fills company databases with made-up books and payrolls, for the demo, benches and tests. The same
// options give the same rows, whatever the machine. Companies, people, numbers and scans in them are invented.
package samplegen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits/kit"
)

// Options say what to make up. The zero value is a small company up to 2026.
type Options struct {
	Seed      uint64
	Megabytes int    // the database's dump (pg_dump -Fc) has at least as many MiB; 0 for a small company of half a MiB
	LastYear  int    // newest of the three fiscal years, open and written until the end of February; 0 means 2026
	Name      string // the company's name; empty means SIA Testa Piemērs
	TaxNumber string // with LV before it; empty means one that is nobody's
}

// Made counts the rows by table.
type Made struct {
	Rows  int64
	Table map[string]int64
}

// Fill fills the area of a kit that was applied to the database, in place of what is in it, in one transaction as the
// connection's role, which owns the tables. It knows products books and payroll.
func Fill(ctx context.Context, conn *pgx.Conn, k *kit.Kit, options Options) (Made, error) {
	if options.Megabytes < 0 || options.Megabytes > 10_000 {
		return Made{}, fmt.Errorf("%d MiB can't be made: 0 to 10,000", options.Megabytes)
	}
	options = options.filled()
	made := Made{Table: map[string]int64{}}
	var write func(context.Context, *loader, Options) error
	switch k.Product {
	case "books":
		write = writeBooks
	case "payroll":
		write = writePayroll
	default:
		return Made{}, fmt.Errorf("no sample is known for product %s", k.Product)
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := k.BeginLoad(ctx, tx); err != nil {
			return err
		}
		if err := write(ctx, &loader{tx: tx, kit: k, made: made.Table}, options); err != nil {
			return err
		}
		return k.FinishLoad(ctx, tx)
	})
	if err != nil {
		return Made{}, fmt.Errorf("make up %s: %w", k, err)
	}
	for _, rows := range made.Table {
		made.Rows += rows
	}
	return made, nil
}

func (o Options) filled() Options {
	if o.LastYear == 0 {
		o.LastYear = 2026
	}
	if o.Name == "" {
		o.Name = "SIA Testa Piemērs"
	}
	if o.TaxNumber == "" {
		o.TaxNumber = "LV" + registrationNumber(1)
	}
	return o
}

// years returns the fiscal years, oldest first.
func (o Options) years() []int { return []int{o.LastYear - 2, o.LastYear - 1, o.LastYear} }

// random returns a source of its own for one thing, so that rows do not depend on the order they are made in.
func (o Options) random(stream, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(o.Seed<<8|stream, n)) //nolint:gosec // samples have to come out the same every time
}

// Streams of random.
const (
	streamPartner uint64 = iota + 1
	streamProduct
	streamDocument
	streamScan
	streamEmployee
	streamMonth
)

// loader copies rows into the kit's tables.
type loader struct {
	tx   pgx.Tx
	kit  *kit.Kit
	made map[string]int64
}

// copy streams rows into a table: next appends rows by calling add until it returns false. Columns that this release does
// not have are left out; a table it does not have is passed over.
func (l *loader) copy(ctx context.Context, table string, columns []string, next func(add func(values ...any)) bool) error {
	at := slices.IndexFunc(l.kit.Tables, func(t kit.Table) bool { return t.Table == l.kit.Area+"."+table })
	if at < 0 {
		return nil
	}
	var kept []string
	var places []int
	for i, column := range columns {
		if slices.Contains(l.kit.Tables[at].Columns, column) {
			kept, places = append(kept, column), append(places, i)
		}
	}
	var waiting [][]any
	var wrong error
	add := func(values ...any) {
		if len(values) != len(columns) {
			wrong = errors.Join(wrong, fmt.Errorf("%d values for %d columns", len(values), len(columns)))
			return
		}
		row := make([]any, len(places))
		for i, place := range places {
			row[i] = values[place]
		}
		waiting = append(waiting, row)
	}
	more := true
	rows, err := l.tx.CopyFrom(ctx, pgx.Identifier{l.kit.Area, table}, kept, pgx.CopyFromFunc(func() ([]any, error) {
		for len(waiting) == 0 && more && wrong == nil {
			more = next(add)
		}
		if len(waiting) == 0 {
			return nil, wrong
		}
		row := waiting[0]
		waiting = waiting[1:]
		return row, wrong
	}))
	if err != nil {
		return fmt.Errorf("copy into %s: %w", table, err)
	}
	l.made[l.kit.Area+"."+table] = rows
	return nil
}

// each makes a next for copy that calls row for 0 to n-1.
func each(n int, row func(i int, add func(values ...any))) func(add func(values ...any)) bool {
	i := 0
	return func(add func(values ...any)) bool {
		if i >= n {
			return false
		}
		row(i, add)
		i++
		return true
	}
}
