// Package load fills a company database, which a kit has just made, with the
// rows of an on-premises copy. Only rows of tables that the kit knows are
// taken; whatever else an archive holds is passed over, and nothing of it is
// executed.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/dump"
	"kontor.internal/services/tenancy/internal/pgrestore"
)

const (
	// MaxRow bounds one row. The longest that books hold is a scan of 20 MiB, two characters a byte.
	MaxRow = 48 << 20
	// atOnce is how many copies a copy of the service loads at the same time: each may have a few of the longest rows in hand.
	atOnce = 2
)

// Counts are the rows that were loaded, by table, e.g. `books.accounts`.
type Counts map[string]int64

// Source is a copy.
type Source struct {
	// Open gives the archive's bytes from the start.
	Open pgrestore.Open
	// Size is how many there are.
	Size int64
}

// Loader loads copies.
type Loader struct {
	restore *pgrestore.Program
	room    chan struct{}
}

// NewLoader returns a Loader that reads archives with pg_restore.
func NewLoader(restore *pgrestore.Program) *Loader {
	return &Loader{restore: restore, room: make(chan struct{}, atOnce)}
}

// Load fills the kit's tables in one transaction of the connection, whose role owns them. Progress, which may be nil,
// hears how many of the archive's bytes were read. Waits while others are loaded. Reasons: COPY_DAMAGED, COPY_TOO_LARGE,
// COPY_TABLE_MISSING, COPY_RULES_BROKEN.
func (l *Loader) Load(ctx context.Context, from Source, conn *pgx.Conn, k *kit.Kit, progress func(done, total int64)) (Counts, error) {
	select {
	case l.room <- struct{}{}:
		defer func() { <-l.room }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	counts := Counts{}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := k.BeginLoad(ctx, tx); err != nil {
			return err
		}
		keys, err := liftReferences(ctx, tx, k)
		if err != nil {
			return err
		}
		into := filler{ctx: ctx, conn: tx.Conn().PgConn(), kit: k, counts: counts}
		open := func(ctx context.Context) (io.ReadCloser, error) { return follow(ctx, from, progress) }
		if err := l.restore.Run(ctx, open, into.fill, "--data-only", "--schema="+k.Area, "-f", "-"); err != nil {
			return err
		}
		if err := into.complete(); err != nil {
			return err
		}
		if err := keys.restore(ctx, tx); err != nil {
			return err
		}
		return k.FinishLoad(ctx, tx)
	})
	if err != nil {
		if errors.Is(err, pgrestore.ErrTooLarge) && ctx.Err() == nil {
			err = failure.New(commonv1.Reason_REASON_COPY_TOO_LARGE, "limit_bytes", strconv.FormatInt(l.restore.Limits().Bytes, 10)).Wrap(err)
		}
		return nil, translate(ctx, err)
	}
	return counts, nil
}

// translate says what an error means to the copy's owner.
func translate(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if broken, ok := errors.AsType[*kit.BrokenError](err); ok {
		rules := make([]string, len(broken.Rules))
		for i, rule := range broken.Rules {
			rules[i] = rule.Key
		}
		return failure.New(commonv1.Reason_REASON_COPY_RULES_BROKEN, "rules", strings.Join(rules, ", ")).Wrap(err)
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && ofRows(refused) {
		return damaged("rows of "+where(refused)+" are not the product's", err)
	}
	if errors.Is(err, dump.ErrLongLine) {
		return damaged(fmt.Sprintf("a row is longer than %d MiB", MaxRow>>20), err)
	}
	if errors.Is(err, pgrestore.ErrArchive) || ofScript(err) {
		return damaged("it can't be read to its end", err)
	}
	return postgres.Constraints{}.Translate(err)
}

func damaged(detail string, err error) error {
	return failure.New(commonv1.Reason_REASON_COPY_DAMAGED, "detail", detail).Wrap(err)
}

func ofScript(err error) bool {
	return errors.Is(err, dump.ErrScript) || errors.Is(err, dump.ErrTruncated)
}

// ofRows tells PostgreSQL's refusals of values and of rows that break a constraint from its own troubles.
func ofRows(err *pgconn.PgError) bool {
	class := err.Code[:min(2, len(err.Code))]
	return class == "22" || class == "23"
}

func where(err *pgconn.PgError) string {
	if err.TableName != "" {
		return err.SchemaName + "." + err.TableName
	}
	return "a table"
}

// filler takes the tables' rows out of a script.
type filler struct {
	ctx    context.Context
	conn   *pgconn.PgConn
	kit    *kit.Kit
	counts Counts
}

func (f *filler) fill(script io.Reader) error {
	r := dump.NewReader(script, MaxRow)
	for {
		block, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if block.Table == nil { // The kits' keys are natural: no sequence needs its place.
			continue
		}
		name := block.Table.Schema + "." + block.Table.Name
		at := slices.IndexFunc(f.kit.Tables, func(t kit.Table) bool { return t.Table == name })
		if at < 0 {
			continue
		}
		if err := f.table(f.kit.Tables[at], block.Table.Columns, r); err != nil {
			return err
		}
	}
}

// table copies one table's rows as they are: they stay COPY's text all the way.
func (f *filler) table(t kit.Table, columns []string, r *dump.Reader) error {
	if _, twice := f.counts[t.Table]; twice {
		return fmt.Errorf("%w: %s comes twice", dump.ErrScript, t.Table)
	}
	for _, column := range t.Columns {
		if !slices.Contains(columns, column) {
			return missing(t.Table + "." + column)
		}
	}
	if len(columns) != len(t.Columns) { // A column that the release has not: the copy is not what it says.
		return fmt.Errorf("%w: %s has other columns", dump.ErrScript, t.Table)
	}
	rows := &rowReader{r: r}
	tag, err := f.conn.CopyFrom(f.ctx, rows, copyStatement(t.Table, columns))
	if rows.err != nil {
		return rows.err
	}
	if err != nil {
		return err
	}
	f.counts[t.Table] = tag.RowsAffected()
	return nil
}

// copyStatement is made of names that the kit lists only.
func copyStatement(table string, columns []string) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = pgx.Identifier{column}.Sanitize()
	}
	return fmt.Sprintf("COPY %s (%s) FROM STDIN", quoted(table), strings.Join(names, ", "))
}

// complete refuses a copy that lacks one of the kit's tables.
func (f *filler) complete() error {
	for _, t := range f.kit.Tables {
		if _, ok := f.counts[t.Table]; !ok {
			return missing(t.Table)
		}
	}
	return nil
}

func missing(what string) error {
	return failure.New(commonv1.Reason_REASON_COPY_TABLE_MISSING, "missing", what)
}

// rowReader is the rows of a block with their line ends.
type rowReader struct {
	r    *dump.Reader
	rest []byte
	err  error
}

// Read fills p with as many rows as there is room for.
func (r *rowReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 {
			row, err := r.r.Row()
			if errors.Is(err, io.EOF) {
				return n, io.EOF
			}
			if err != nil {
				r.err = err
				return n, err
			}
			r.rest = append(row, '\n')
		}
		moved := copy(p[n:], r.rest)
		n, r.rest = n+moved, r.rest[moved:]
	}
	return n, nil
}

// follow opens a source whose reading is followed.
func follow(ctx context.Context, from Source, progress func(done, total int64)) (io.ReadCloser, error) {
	archive, err := from.Open(ctx)
	if err != nil || progress == nil {
		return archive, err
	}
	return &followed{ReadCloser: archive, total: from.Size, tell: progress}, nil
}

type followed struct {
	io.ReadCloser
	done, total int64
	tell        func(done, total int64)
}

// Read tells how far it got.
func (f *followed) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.done += int64(n)
	f.tell(f.done, f.total)
	return n, err
}
