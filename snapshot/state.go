package snapshot

import (
	"context"
	"crypto/md5" //nolint:gosec // Tells whether catalogs changed; nothing hangs on it that somebody could gain by.
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// readServer identifies the server's run, the database and the moment. After a crash, a fail-over or a restore from a base
// backup it is another run, or its counters were reset.
func readServer(ctx context.Context, tx pgx.Tx) (*snapshotv1.Server, error) {
	s := &snapshotv1.Server{}
	var system, horizon int64
	err := tx.QueryRow(ctx, `SELECT (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint,
		COALESCE((extract(epoch FROM pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)) * 1000000)::bigint, 0), d.oid,
		(SELECT system_identifier FROM pg_catalog.pg_control_system()),
		(SELECT (extract(epoch FROM max(stats_reset)) * 1000000)::bigint FROM pg_catalog.pg_stat_bgwriter),
		pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::bigint
		FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`).
		Scan(&s.ServerStart, &s.Reset_, &s.Database, &system, &s.ServerReset, &horizon)
	s.System, s.Horizon = uint64(system), uint64(horizon)
	return s, err
}

// horizonLimit is how many transactions may lie between two snapshots for rows to be told apart by their age: half of
// what transaction ids can count.
const horizonLimit = 1 << 30

// comparable says whether tables of two moments can be compared without being read: it is the same run of the same server.
func comparable(before, now *snapshotv1.Server) bool {
	return before.GetServerStart() != 0 && before.GetServerStart() == now.GetServerStart() && before.GetReset_() == now.GetReset_() &&
		before.GetDatabase() == now.GetDatabase() && before.GetSystem() == now.GetSystem() && before.GetServerReset() == now.GetServerReset() &&
		now.GetHorizon() >= before.GetHorizon() && now.GetHorizon()-before.GetHorizon() < horizonLimit
}

// readCounters notes the counters of each table by its object id. They must be noted before a snapshot begins: what is
// counted later shows as a change the next time.
func readCounters(ctx context.Context, conn *pgx.Conn) (map[uint32]*snapshotv1.TableState, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid, COALESCE(pg_catalog.pg_relation_filenode(c.oid), 0)::oid, pg_catalog.pg_stat_get_tuples_inserted(c.oid),
		pg_catalog.pg_stat_get_tuples_updated(c.oid), pg_catalog.pg_stat_get_tuples_deleted(c.oid)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'p'
			AND (c.oid IN ('pg_catalog.pg_largeobject'::regclass, 'pg_catalog.pg_largeobject_metadata'::regclass) OR `+own+`)`)
	if err != nil {
		return nil, err
	}
	states := map[uint32]*snapshotv1.TableState{}
	var oid, file uint32
	var inserted, updated, deleted int64
	_, err = pgx.ForEachRow(rows, []any{&oid, &file, &inserted, &updated, &deleted}, func() error {
		states[oid] = &snapshotv1.TableState{Oid: oid, File: file, Inserted: uint64(inserted), Updated: uint64(updated), Deleted: uint64(deleted)}
		return nil
	})
	return states, err
}

// settledCounters reads the counters once more, and whether they can be believed: a session keeps what it counted to itself
// for up to ten seconds when idle (PostgreSQL 15, pgstat.c), longer while it works. So no other session may be there but
// those that have been idle for longer. It is asked within the snapshot's transaction, which has not read them before.
func settledCounters(ctx context.Context, conn *pgx.Conn) (settled bool, now map[uint32]*snapshotv1.TableState, err error) {
	err = conn.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database()
		AND pid <> pg_catalog.pg_backend_pid() AND backend_type IS DISTINCT FROM 'autovacuum worker'
		AND NOT COALESCE(state = 'idle' AND state_change < pg_catalog.clock_timestamp() - interval '15 seconds', false))
		AND pg_catalog.current_setting('track_counts')::bool AND pg_catalog.current_setting('server_version_num')::int >= 150000`).Scan(&settled)
	if err != nil || !settled {
		return false, nil, err
	}
	now, err = readCounters(ctx, conn)
	return true, now, err
}

// catalogs are those in which definitions stand, with what tells a database's own rows from the server's.
var catalogs = []struct{ name, own string }{
	{"pg_namespace", "true"},
	{"pg_class", "oid >= 16384 AND relkind <> 't'"},
	{"pg_attribute", "attrelid >= 16384"},
	{"pg_attrdef", "true"},
	{"pg_constraint", "oid >= 16384"},
	{"pg_index", "indrelid >= 16384"},
	{"pg_inherits", "true"},
	{"pg_partitioned_table", "true"},
	{"pg_sequence", "true"},
	{"pg_proc", "oid >= 16384"},
	{"pg_aggregate", "aggfnoid >= 16384"},
	{"pg_type", "oid >= 16384"},
	{"pg_enum", "true"},
	{"pg_range", "rngtypid >= 16384"},
	{"pg_trigger", "true"},
	{"pg_rewrite", "oid >= 16384"},
	{"pg_policy", "true"},
	{"pg_extension", "true"},
	{"pg_description", "objoid >= 16384 OR classoid = 'pg_catalog.pg_namespace'::regclass"},
	{"pg_depend", "objid >= 16384 AND deptype <> 'i'"},
	{"pg_collation", "oid >= 16384"},
	{"pg_conversion", "oid >= 16384"},
	{"pg_cast", "oid >= 16384"},
	{"pg_operator", "oid >= 16384"},
	{"pg_opclass", "oid >= 16384"},
	{"pg_opfamily", "oid >= 16384"},
	{"pg_amop", "oid >= 16384"},
	{"pg_amproc", "oid >= 16384"},
	{"pg_statistic_ext", "true"},
	{"pg_ts_config", "oid >= 16384"},
	{"pg_ts_config_map", "mapcfg >= 16384"},
	{"pg_ts_dict", "oid >= 16384"},
	{"pg_ts_parser", "oid >= 16384"},
	{"pg_ts_template", "oid >= 16384"},
	{"pg_transform", "true"},
	{"pg_language", "oid >= 16384"},
}

// catalogState digests which versions of which rows the catalogs have: a row that changes is another version in another
// place. It says that definitions surely did not change on the same run of the same server; it says nothing else.
func catalogState(ctx context.Context, tx pgx.Tx, server *snapshotv1.Server) ([]byte, error) {
	parts := make([]string, len(catalogs))
	for i, c := range catalogs {
		parts[i] = fmt.Sprintf("(SELECT pg_catalog.md5(COALESCE(pg_catalog.string_agg(ctid::text || xmin::text, ',' ORDER BY ctid), '')) FROM pg_catalog.%s WHERE %s)", c.name, c.own)
	}
	var digests string
	if err := tx.QueryRow(ctx, "SELECT "+strings.Join(parts, " || ")).Scan(&digests); err != nil {
		return nil, err
	}
	sum := md5.Sum(fmt.Appendf(nil, "%d %d %d %s", server.GetServerStart(), server.GetSystem(), server.GetDatabase(), digests)) //nolint:gosec // See above.
	return sum[:], nil
}
