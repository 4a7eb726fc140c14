package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
	"kontor.internal/snapshot/pgtool"
)

// RestoreOrder says what to restore, and where to.
type RestoreOrder struct {
	// Tools are pg_dump and pg_restore.
	Tools pgtool.Tools
	// Login opens an empty database, in which it may create. What is restored becomes its own.
	Login *pgtool.Login
	// Ref names the snapshot.
	Ref Ref
	// Head that its manifest must have; nil when it is not known.
	Head *Head
	// Connections that fill tables and build indexes at once; 0 means 3.
	Connections int
	// Resume goes on where an attempt before was cut off that left tables filled in the database. One that was cut off earlier
	// or later than that is an error, as is another snapshot's: then the database is to be dropped.
	Resume bool
	// Progress hears how many bytes of rows are restored, from many goroutines; it may be nil.
	Progress func(done, all int64)
}

// Restored is what became of a restore.
type Restored struct {
	// Rows and Bytes of the tables' lines.
	Rows, Bytes int64
	// Resumed says that an attempt before had begun to fill.
	Resumed bool
}

// restorer is a restore being carried out.
type restorer struct {
	RestoreOrder
	reader   *reader
	manifest *snapshotv1.Manifest
	progress *progress
	resumed  bool
	done     atomic.Int64
	all      int64
}

// Restore fills an empty database from a snapshot: definitions, rows, sequences, large objects, then indexes, constraints and
// views. Every byte is checked on its way. When it fails, the database is to be dropped.
func Restore(ctx context.Context, repo Repository, o RestoreOrder) (*Restored, error) {
	if o.Connections == 0 {
		o.Connections = connections
	}
	r := &restorer{RestoreOrder: o}
	var err error
	if r.reader, err = repo.reader(); err != nil {
		return nil, err
	}
	if r.manifest, err = r.reader.readManifest(ctx, o.Ref, o.Head); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kontor-restore-")
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	err = r.restore(ctx, filepath.Join(dir, "schema"))
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return nil, err
	}
	made := &Restored{Resumed: r.resumed}
	for _, t := range r.manifest.GetTables() {
		made.Rows += int64(t.GetRows())
		made.Bytes += int64(t.GetBytes())
	}
	return made, nil
}

func (r *restorer) restore(ctx context.Context, schema string) error {
	if err := r.writeSchema(ctx, schema); err != nil {
		return err
	}
	err := r.connected(ctx, func(conn *pgx.Conn) error { return r.begin(ctx, conn, schema) })
	if err != nil {
		return err
	}
	if err := r.fill(ctx); err != nil {
		return err
	}
	err = r.connected(ctx, func(conn *pgx.Conn) error {
		if err := r.setSequences(ctx, conn); err != nil {
			return err
		}
		return endFilling(ctx, conn)
	})
	if err != nil {
		return err
	}
	if err := r.Tools.RestoreSection(ctx, r.Login, schema, pgtool.PostData, r.Connections); err != nil {
		return err
	}
	if err := r.validateIndexes(ctx); err != nil {
		return err
	}
	return r.refreshViews(ctx)
}

// connected does something on a connection of its own.
func (r *restorer) connected(ctx context.Context, do func(conn *pgx.Conn) error) error {
	conn, err := connect(ctx, r.Login)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// begin makes the tables, unless an attempt before did.
func (r *restorer) begin(ctx context.Context, conn *pgx.Conn, schema string) (err error) {
	if r.Resume {
		if r.progress, err = r.found(ctx, conn); err != nil || r.progress != nil {
			r.resumed = r.progress != nil
			return err
		}
	}
	if err := r.Tools.RestoreSection(ctx, r.Login, schema, pgtool.PreData, 1); err != nil {
		return err
	}
	r.progress, err = r.beginFilling(ctx, conn)
	return err
}

// validateIndexes has PostgreSQL look again whether indexes of partitioned tables are complete. Connections that attach their
// parts at once do not see one another's, and each may leave it to the other to find that all are there.
func (r *restorer) validateIndexes(ctx context.Context) error {
	return r.connected(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `DO $do$ DECLARE one record; BEGIN
	FOR one IN SELECT i.indexrelid::regclass AS above, (SELECT h.inhrelid::regclass FROM pg_catalog.pg_inherits h WHERE h.inhparent = i.indexrelid LIMIT 1) AS below
		FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE c.relkind = 'I' AND NOT i.indisvalid
		ORDER BY (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_ancestors(i.indexrelid)) DESC
	LOOP
		IF one.below IS NOT NULL THEN -- It is attached already; that it is complete is all that can come of it.
			EXECUTE pg_catalog.format('ALTER INDEX %s ATTACH PARTITION %s', one.above, one.below);
		END IF;
	END LOOP; END $do$`)
		return err
	})
}

// writeSchema puts the definitions' archive in a file.
func (r *restorer) writeSchema(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for _, p := range r.manifest.GetSchema() {
		content, err := r.reader.piece(ctx, p)
		if err == nil {
			_, err = file.Write(content)
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}

// filling is some parts of a table, one after another in the key's order.
type filling struct {
	table *snapshotv1.Table
	parts []*snapshotv1.Part
	bytes int64
	alone bool // nobody else fills the table
}

// fillings share the tables out: each whole, but those that are more than one connection's share.
func (r *restorer) fillings() (all []filling) {
	for _, t := range r.manifest.GetTables() {
		r.all += int64(t.GetBytes())
	}
	fair := r.all/int64(r.Connections) + 1
	for _, t := range r.manifest.GetTables() {
		pieces := 1
		if int64(t.GetBytes()) > fair {
			pieces = min(r.Connections, max(1, len(t.GetParts())))
		}
		for parts := range slices.Chunk(t.GetParts(), max(1, (len(t.GetParts())+pieces-1)/pieces)) {
			f := filling{table: t, parts: parts, alone: pieces == 1}
			for _, p := range parts {
				f.bytes += int64(p.GetBytes())
			}
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b filling) int { return int(b.bytes - a.bytes) })
	return all
}

// fill restores all rows, the largest tables first, over some connections at once.
func (r *restorer) fill(ctx context.Context) error {
	var jobs []job
	for i, f := range r.fillings() {
		what := fmt.Sprintf("filling %d", i)
		if r.progress.done[what] {
			r.done.Add(f.bytes)
			continue
		}
		jobs = append(jobs, func(ctx context.Context, conn *pgx.Conn) error {
			if err := r.fillTable(ctx, conn, f, what); err != nil {
				return fmt.Errorf("restore %s: %w", quote(f.table.GetRelation()), err)
			}
			return nil
		})
	}
	if !r.progress.done[objectsFilled] {
		jobs = append(jobs, r.fillObjects)
	}
	var conns []*pgx.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close(context.WithoutCancel(ctx)) // Everything is committed.
		}
	}()
	for range min(r.Connections, len(jobs)) {
		conn, err := connect(ctx, r.Login)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	return share(ctx, conns, jobs)
}

// fillTable fills in one transaction. A table that is emptied in it first takes rows that are frozen already, so that
// nobody has to look at them again to see that everybody may.
func (r *restorer) fillTable(ctx context.Context, conn *pgx.Conn, f filling, what string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		into, err := entrance(ctx, tx, f.table.GetRelation())
		if err != nil {
			return err
		}
		option := ""
		if own := quote(f.table.GetRelation()); f.alone && into == own {
			if _, err := tx.Exec(ctx, "TRUNCATE ONLY "+own); err != nil {
				return err
			}
			option = " WITH (FREEZE)"
		}
		for _, p := range f.parts {
			if err := r.fillPart(ctx, conn, f.table, p, into, option); err != nil {
				return err
			}
		}
		return noteDone(ctx, tx, what)
	})
}

func (r *restorer) fillPart(ctx context.Context, conn *pgx.Conn, t *snapshotv1.Table, p *snapshotv1.Part, into, option string) error {
	if len(t.GetColumns()) == 0 { // Rows of nothing but what is made anew.
		_, err := conn.Exec(ctx, "INSERT INTO "+into+" SELECT FROM pg_catalog.generate_series(1, $1::bigint)", int64(p.GetRows()))
		return err
	}
	columns := make([]string, len(t.GetColumns()))
	for i, c := range t.GetColumns() {
		columns[i] = pgx.Identifier{c}.Sanitize()
	}
	return r.copyIn(ctx, conn, p, "COPY "+into+" ("+strings.Join(columns, ", ")+") FROM STDIN"+option)
}

// entrance is the table by which rows come into a table: itself, unless rows are spread over it and others by a hash. What hangs on
// object ids, as an enum's does, has another hash in another database, so that PostgreSQL must spread them anew.
func entrance(ctx context.Context, tx pgx.Tx, t *snapshotv1.Relation) (string, error) {
	var schema, name string
	err := tx.QueryRow(ctx, `
WITH RECURSIVE above (oid, height) AS (
	SELECT $1::text::regclass::oid, 0
	UNION ALL
	SELECT i.inhparent, a.height + 1 FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.oid AND c.relispartition JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid
)
SELECT n.nspname, c.relname FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.oid
WHERE a.height = 0 OR p.partstrat = 'h' ORDER BY a.height DESC LIMIT 1`, quote(t)).Scan(&schema, &name)
	return pgx.Identifier{schema, name}.Sanitize(), err
}

func (r *restorer) copyIn(ctx context.Context, conn *pgx.Conn, p *snapshotv1.Part, statement string) error {
	from := r.reader.lines(ctx, p, func(n int) {
		if done := r.done.Add(int64(n)); r.Progress != nil {
			r.Progress(done, r.all)
		}
	})
	tag, err := conn.PgConn().CopyFrom(ctx, from, statement)
	if stopped := from.stop(); stopped != nil { // Why there were no more lines explains the server's complaint.
		return stopped
	}
	if err == nil && uint64(tag.RowsAffected()) != p.GetRows() {
		return damagedf("%d rows instead of %d", tag.RowsAffected(), p.GetRows())
	}
	return err
}

// objectsFilled is noted when the large objects are there.
const objectsFilled = "large objects"

// fillObjects restores large objects by way of a temporary table.
func (r *restorer) fillObjects(ctx context.Context, conn *pgx.Conn) error {
	t := r.manifest.GetLargeObjects()
	if t == nil {
		return nil
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE kontor_objects (loid oid, place bigint, data bytea) ON COMMIT DROP"); err != nil {
			return err
		}
		for _, p := range t.GetParts() {
			if err := r.copyIn(ctx, conn, p, "COPY pg_temp.kontor_objects FROM STDIN"); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			"SELECT pg_catalog.lo_create(loid) FROM (SELECT DISTINCT loid FROM pg_temp.kontor_objects) o",
			fmt.Sprintf("SELECT pg_catalog.lo_put(loid, place * %d, data) FROM pg_temp.kontor_objects", objectPiece),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return noteDone(ctx, tx, objectsFilled)
	})
}

func (r *restorer) setSequences(ctx context.Context, conn *pgx.Conn) error {
	batch := &pgx.Batch{}
	for _, s := range r.manifest.GetSequences() {
		batch.Queue("SELECT pg_catalog.setval($1::text::regclass, $2, $3)", quote(s.GetRelation()), s.GetLastValue(), s.GetIsCalled())
	}
	return conn.SendBatch(ctx, batch).Close()
}

// refreshViews fills the materialised views that were filled, those first that others look at.
func (r *restorer) refreshViews(ctx context.Context) error {
	if len(r.manifest.GetMaterializedViews()) == 0 {
		return nil
	}
	return r.connected(ctx, func(conn *pgx.Conn) error {
		for _, v := range r.manifest.GetMaterializedViews() {
			if _, err := conn.Exec(ctx, "REFRESH MATERIALIZED VIEW "+quote(v)); err != nil {
				return err
			}
		}
		return nil
	})
}
