package bench

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"kontor.internal/libs/servers"
	"kontor.internal/snapshot/pgtool"
)

// BackupOptions say what of snapshots is measured, and how much of it.
type BackupOptions struct {
	// Sizes of the books, in MB of COPY text, with commas between them.
	Sizes string
	// Companies that are small.
	Companies int
	// Rounds of each measurement; its figure is their median.
	Rounds int
	// Only these measurements, with commas between them; empty is all.
	Only string
}

// measurements there are, in their order.
const measurements = "first,unchanged,office,quiet,random,read,restore,small"

// Flags sets the options from a command line.
func (o *BackupOptions) Flags(flags *flag.FlagSet) {
	flags.StringVar(&o.Sizes, "sizes", "600,2000", "measure books of these sizes in `MB` of COPY text, with commas between them; from 1000 on, names of figures end in _1g and so on")
	flags.IntVar(&o.Companies, "companies", 1000, "have a round over so `many` small companies, a tenth of them changed")
	flags.IntVar(&o.Rounds, "rounds", 3, "measure each thing so `many` times, and print the median")
	flags.StringVar(&o.Only, "only", "", "measure only `some`, with commas between them, of "+measurements)
}

// backupBench is a server with books, and copies of them by both.
type backupBench struct {
	BackupOptions
	out    io.Writer
	folder string
	tools  pgtool.Tools
	server *servers.Postgres

	// What follows is of the books of one size.

	suffix string // of figures' names
	books  *books
	ours   *snapshots
	theirs *restic
	// first is how the first copies went.
	first race
}

// Backup measures snapshots of an office's books against restic's copies of pg_dump's output, in a folder that it fills and
// leaves to its caller.
func Backup(ctx context.Context, folder string, o BackupOptions, out io.Writer) (err error) {
	b := &backupBench{BackupOptions: o, out: out, folder: folder}
	sizes, err := b.sizes()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(b.Only, ",") {
		if name != "" && !slices.Contains(strings.Split(measurements, ","), name) {
			return fmt.Errorf("there is no measurement %q, but %s", name, measurements)
		}
	}
	if b.tools, err = pgtool.Find(ctx, ""); err != nil {
		return err
	}
	if b.server, err = startBooks(ctx, folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.Stop(context.WithoutCancel(ctx))) }()
	if b.Only == "small" { // It has books of its own.
		sizes = nil
	}
	for _, mb := range sizes {
		if err := b.measureSize(ctx, mb); err != nil {
			return fmt.Errorf("books of %d MB: %w", mb, err)
		}
	}
	if b.wanted("small") {
		return b.small(ctx)
	}
	return nil
}

func (b *backupBench) sizes() (sizes []int, err error) {
	for text := range strings.SplitSeq(b.Sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("sizes: %w", err)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

func (b *backupBench) wanted(name string) bool {
	return b.Only == "" || slices.Contains(strings.Split(b.Only, ","), name)
}

// measureSize makes books of a size and has both copy them.
func (b *backupBench) measureSize(ctx context.Context, mb int) (err error) {
	b.suffix = ""
	if mb >= 1000 {
		b.suffix = fmt.Sprintf("_%dg", mb/1000)
	}
	if b.books, err = newBooks(ctx, b.server, "books", int(float64(mb)/textPerThousand)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.books.drop(context.WithoutCancel(ctx))) }()
	if b.ours, err = newSnapshots(ctx, filepath.Join(b.folder, "ours"), b.books.login(), b.tools); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.ours.remove()) }()
	b.theirs = &restic{folder: filepath.Join(b.folder, "restic"), server: b.server, login: b.books.login()}
	defer func() { err = errors.Join(err, b.theirs.remove()) }()
	if err := b.copyFirst(ctx); err != nil { // What follows stands on the first copies.
		return err
	}
	for _, m := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"unchanged", b.unchanged}, {"office", b.office}, {"quiet", b.quietWork}, {"random", b.random}, {"read", b.read}, {"restore", b.restore},
	} {
		if !b.wanted(m.name) {
			continue
		}
		if err := m.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// copyFirst has both begin with an empty repository.
func (b *backupBench) copyFirst(ctx context.Context) (err error) {
	rounds := b.Rounds
	if !b.wanted("first") {
		rounds = 1
	}
	empty := func(ctx context.Context) error { return errors.Join(b.ours.fresh(ctx), b.theirs.fresh(ctx)) }
	if b.first, err = b.race(ctx, rounds, empty, b.ours.take, b.theirs.take); err != nil {
		return err
	}
	if !b.wanted("first") {
		return nil
	}
	b.print(Figure{Name: "backup_books", Value: float64(b.ours.last.Bytes) / 1e6, Unit: "MB"})
	b.printSpeed("backup_first", b.first, ">=2.0")
	b.printGrowth("backup_first_stored", b.first, "<=1.1")
	b.print(Figure{Name: "backup_memory_first", Value: float64(b.first.ours.peak()) / 1e6, Unit: "MB", Goal: "<256"})
	return nil
}

// unchanged has ours find that there is nothing to do.
func (b *backupBench) unchanged(ctx context.Context) error {
	var all laps
	for range b.Rounds {
		if err := b.lap(ctx, &all, b.ours.take, b.ours.stored); err != nil {
			return err
		}
	}
	took := all.took()
	b.print(Figure{
		Name: "backup_unchanged", Value: took.Seconds(), Unit: "s",
		Ratio: float64(took) / float64(b.first.ours.took()), Of: "backup_first", Goal: "<=0.02",
	})
	b.print(Figure{Name: "backup_memory_unchanged", Value: float64(all.peak()) / 1e6, Unit: "MB", Goal: "<64"})
	return nil
}

// after has both copy what a script changed, each time anew.
func (b *backupBench) after(ctx context.Context, script string) (race, error) {
	work := func(ctx context.Context) error { return b.books.work(ctx, script) }
	return b.race(ctx, b.Rounds, work, b.ours.take, b.theirs.take)
}

func (b *backupBench) office(ctx context.Context) error {
	r, err := b.after(ctx, "office")
	if err != nil {
		return err
	}
	b.printSpeed("backup_office", r, ">=2.6")
	b.printGrowth("backup_office_added", r, "<=0.02")
	return nil
}

func (b *backupBench) quietWork(ctx context.Context) error {
	r, err := b.after(ctx, "quiet")
	if err != nil {
		return err
	}
	b.printSpeed("backup_office_quiet", r, ">=4.0")
	made := b.ours.last
	b.print(Figure{Name: "backup_office_quiet_untouched", Value: 1 - float64(made.Read)/float64(made.Bytes), Unit: "of_bytes"})
	return nil
}

func (b *backupBench) random(ctx context.Context) error {
	r, err := b.after(ctx, "random")
	if err != nil {
		return err
	}
	b.printSpeed("backup_random", r, "")
	b.printGrowth("backup_random_added", r, "<=0.04")
	return nil
}

func (b *backupBench) read(ctx context.Context) error {
	r, err := b.race(ctx, b.Rounds, nil, b.ours.readBack, b.theirs.readBack)
	if err != nil {
		return err
	}
	b.printSpeed("backup_read_back", r, ">=2.5")
	return nil
}

// restore has both make a working database of the same rows.
func (b *backupBench) restore(ctx context.Context) error {
	if err := b.ours.take(ctx); err != nil {
		return err
	}
	if err := b.theirs.takeArchive(ctx); err != nil {
		return err
	}
	intoEmpty := func(restore func(context.Context, *books) error) func(context.Context, *laps) error {
		return func(ctx context.Context, all *laps) (err error) {
			to := &books{server: b.server, database: "restored"}
			if err := to.admin(ctx, "CREATE DATABASE "+to.database); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.drop(context.WithoutCancel(ctx))) }()
			return b.lap(ctx, all, func(ctx context.Context) error { return restore(ctx, to) }, nil)
		}
	}
	ours, theirs := intoEmpty(b.ours.restore), intoEmpty(b.theirs.restore)
	var r race
	for range b.Rounds {
		if err := ours(ctx, &r.ours); err != nil {
			return err
		}
		if err := theirs(ctx, &r.theirs); err != nil {
			return err
		}
	}
	b.print(Figure{Name: "backup_restore_working", Value: r.ours.took().Seconds(), Unit: "s", Ratio: r.faster(), Of: "restic", Goal: ">=1.4"})
	return nil
}

// printSpeed of ours, by all of the books' text: what a copy after changes is worth is a copy of the whole.
func (b *backupBench) printSpeed(name string, r race, goal string) {
	text := float64(b.ours.last.Bytes) / 1e6
	b.print(Figure{Name: name, Value: text / r.ours.took().Seconds(), Unit: "MB/s", Ratio: r.faster(), Of: "restic", Goal: goal})
}

// printGrowth of our repository.
func (b *backupBench) printGrowth(name string, r race, goal string) {
	ours, theirs := float64(r.ours.grown()), float64(r.theirs.grown())
	b.print(Figure{Name: name, Value: ours / 1e6, Unit: "MB", Ratio: ours / theirs, Of: "restic", Goal: goal})
}

func (b *backupBench) print(f Figure) {
	f.Name += b.suffix
	f.Print(b.out)
}

// race is how the same went with ours and with restic's, in turns.
type race struct{ ours, theirs laps }

// faster is how many times as fast ours were.
func (r race) faster() float64 { return float64(r.theirs.took()) / float64(r.ours.took()) }

// laps are how the same went some times.
type laps []lap

type lap struct {
	took time.Duration
	// grown is by how many bytes the repository did, and peak this process's memory.
	grown, peak int64
}

func (l laps) took() time.Duration { return median(l, func(l lap) time.Duration { return l.took }) }
func (l laps) grown() int64        { return median(l, func(l lap) int64 { return l.grown }) }

// peak of all of them.
func (l laps) peak() (most int64) {
	for _, lap := range l {
		most = max(most, lap.peak)
	}
	return most
}

func median[T cmp.Ordered](all laps, of func(lap) T) T {
	values := make([]T, len(all))
	for i, l := range all {
		values[i] = of(l)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// race has ours and theirs do the same some times, each time after something that is not measured.
func (b *backupBench) race(ctx context.Context, rounds int, before, ours, theirs func(context.Context) error) (r race, err error) {
	for range rounds {
		if before != nil {
			if err := before(ctx); err != nil {
				return r, err
			}
		}
		if err := b.lap(ctx, &r.ours, ours, b.ours.stored); err != nil {
			return r, err
		}
		if err := b.lap(ctx, &r.theirs, theirs, b.theirs.stored); err != nil {
			return r, err
		}
	}
	return r, nil
}

// lap measures something. What a repository had stored before and after may be nil.
func (b *backupBench) lap(ctx context.Context, to *laps, do func(context.Context) error, stored func() (int64, error)) error {
	if stored == nil {
		stored = func() (int64, error) { return 0, nil }
	}
	if err := b.books.checkpoint(ctx); err != nil {
		return err
	}
	before, err := stored()
	if err != nil {
		return err
	}
	var l lap
	l.peak, err = peak(func() error {
		began := time.Now()
		defer func() { l.took = time.Since(began) }()
		return do(ctx)
	})
	if err != nil {
		return err
	}
	after, err := stored()
	l.grown = after - before
	*to = append(*to, l)
	return err
}
