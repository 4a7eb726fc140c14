package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// smallThousands of entries take about 7 MB of the disk with their indexes.
	smallThousands = 5
	// companiesAtOnce are copied, and each of every companiesChanged has changed.
	companiesAtOnce, companiesChanged = 4, 10
)

// small measures a round over many small companies of which few have changed.
func (b *backupBench) small(ctx context.Context) (err error) {
	template, err := newBooks(ctx, b.server, "small", smallThousands)
	if err != nil {
		return err
	}
	folder := filepath.Join(b.folder, "small")
	round := &smallRound{backupBench: b, companies: make([]smallCompany, b.Companies)}
	defer func() { err = errors.Join(err, round.close()) }()
	for i := range round.companies {
		c := &round.companies[i]
		c.books = &books{server: b.server, database: fmt.Sprintf("small_%04d", i), thousands: smallThousands}
		if err := c.books.admin(ctx, "CREATE DATABASE "+c.books.database+" TEMPLATE "+template.database); err != nil {
			return err
		}
		if c.ours, err = newSnapshots(ctx, filepath.Join(folder, c.books.database), c.books.login(), b.tools); err != nil {
			return err
		}
	}
	return round.measure(ctx)
}

// smallRound is over all small companies.
type smallRound struct {
	*backupBench
	companies []smallCompany
}

type smallCompany struct {
	books *books
	ours  *snapshots
}

func (r *smallRound) measure(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	for i := 0; i < len(r.companies); i += companiesChanged {
		if err := r.companies[i].books.work(ctx, "few"); err != nil {
			return err
		}
	}
	if err := r.companies[0].books.checkpoint(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := r.take(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	var most int64
	for i := 0; i < len(r.companies); i += companiesChanged {
		most = max(most, r.companies[i].ours.last.Added)
	}
	Figure{Name: "backup_small_round", Value: float64(len(r.companies)) / took.Seconds(), Unit: "companies/s", Goal: ">=15"}.Print(r.out)
	Figure{Name: "backup_small_companies", Value: float64(len(r.companies)), Unit: "companies"}.Print(r.out)
	Figure{Name: "backup_small_added", Value: float64(most) / 1e3, Unit: "KB", Goal: "<=60"}.Print(r.out)
	return nil
}

// take a snapshot of every company, some at once.
func (r *smallRound) take(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(companiesAtOnce)
	for _, c := range r.companies {
		work.Go(func() error { return c.ours.take(ctx) })
	}
	return work.Wait()
}

// close leaves the databases to whoever removes the server: dropping each takes longer than all that was measured.
func (r *smallRound) close() (err error) {
	for _, c := range r.companies {
		if c.ours != nil {
			err = errors.Join(err, c.ours.close())
		}
	}
	return err
}
