package snapshot

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// Rest is how a server's run had counted a database's sessions when nobody was connected. While another look, with nobody
// connected either, finds the same, nobody has been there in between, and nothing has changed: one query tells that of all
// databases of a server (PostgreSQL 14 and later; docs: "The Cumulative Statistics System", pg_stat_database).
type Rest struct {
	// System is the server's identifier, Database the database's object id.
	System   uint64
	Database uint32
	// Start is when the server was started, Reset when the database's statistics were reset last; in microseconds since 1970, 0 for never.
	Start, Reset int64
	// Sessions that were ever begun in the database.
	Sessions int64
}

// String is equal for what is equal.
func (r Rest) String() string {
	return fmt.Sprintf("%d/%d/%d/%d/%d", r.System, r.Database, r.Start, r.Reset, r.Sessions)
}

const (
	aloneTries = 20
	alonePause = 25 * time.Millisecond
)

// rest looks whether the database is as the snapshot shows it and nobody else is connected; nil when that is not sure.
//
// A session counts itself before it is gone from the list of those connected, and is on that list before it counts itself.
// So whoever came and went between two looks has made the count another one.
func (m *maker) rest(ctx context.Context, manifest *snapshotv1.Manifest) (*Rest, error) {
	conn := m.source.conn
	if err := m.source.tx.Rollback(ctx); err != nil {
		return nil, err
	}
	if alone, err := alone(ctx, conn, aloneTries); err != nil || !alone {
		return nil, err
	}
	// This session counts itself now, not when it ends.
	if _, err := conn.Exec(ctx, "SET stats_fetch_consistency = none; SELECT pg_catalog.pg_stat_force_next_flush()", pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	first, err := readRest(ctx, conn)
	if err != nil {
		return nil, err
	}
	same, err := unchanged(ctx, conn, manifest, m.counters)
	if err != nil || !same {
		return nil, err
	}
	if alone, err := alone(ctx, conn, 1); err != nil || !alone {
		return nil, err
	}
	second, err := readRest(ctx, conn)
	if err != nil || second != first {
		return nil, err
	}
	return &first, nil
}

// alone says whether nobody else is connected to the database, and nothing is prepared in it that may be committed yet.
func alone(ctx context.Context, conn *pgx.Conn, tries int) (is bool, err error) {
	for range tries {
		err = conn.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database()
			AND pid <> pg_catalog.pg_backend_pid())
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database())
			AND pg_catalog.current_setting('track_counts')::bool AND pg_catalog.current_setting('server_version_num')::int >= 150000`).Scan(&is)
		if err != nil || is {
			return is, err
		}
		select {
		case <-time.After(alonePause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, nil
}

func readRest(ctx context.Context, conn *pgx.Conn) (r Rest, err error) {
	var system int64
	err = conn.QueryRow(ctx, `SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), d.oid,
		(extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint,
		COALESCE((extract(epoch FROM pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)) * 1000000)::bigint, 0), pg_catalog.pg_stat_get_db_sessions(d.oid)
		FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`).Scan(&system, &r.Database, &r.Start, &r.Reset, &r.Sessions)
	r.System = uint64(system)
	return r, err
}

// unchanged says whether the database now has what the snapshot has, by definitions' versions, sequences and counters. Nobody
// else being connected, the counters tell all that was done.
func unchanged(ctx context.Context, conn *pgx.Conn, manifest *snapshotv1.Manifest, counters map[uint32]*snapshotv1.TableState) (bool, error) {
	tx, err := frozen(ctx, conn)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // It was only read.
	server, err := readServer(ctx, tx)
	if err != nil || !comparable(manifest.GetServer(), server) {
		return false, err
	}
	definitions, err := catalogState(ctx, tx, server)
	if err != nil || string(definitions) != string(manifest.GetSchemaState()) {
		return false, err
	}
	sequences, err := readSequences(ctx, tx)
	if err != nil || !equalAll(sequences, manifest.GetSequences()) {
		return false, err
	}
	var unlogged bool // Their rows are gone after a crash, which counts as no session.
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relpersistence = 'u')`).Scan(&unlogged); err != nil || unlogged {
		return false, err
	}
	now, err := readCounters(ctx, conn)
	return err == nil && maps.EqualFunc(now, counters, sameCounts), err
}

func equalAll(a, b []*snapshotv1.Sequence) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !proto.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
