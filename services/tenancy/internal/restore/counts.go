package restore

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/restore/restoredb"
)

// ScanSessionCounts tells how often live databases of one cluster were ever connected to, of those nobody is connected to.
func (s *Server) ScanSessionCounts(ctx context.Context, r *tenancyv1.ScanSessionCountsRequest) (*tenancyv1.ScanSessionCountsResponse, error) {
	after := uuid.Nil
	if r.GetPageToken() != "" {
		var err error
		if after, err = id.Parse(r.GetPageToken()); err != nil {
			return nil, failure.Invalid("page_token", "is not one that was answered")
		}
	}
	q := restoredb.New(s.d.DB)
	cluster, err := q.NextCluster(ctx, after)
	if errors.Is(err, pgx.ErrNoRows) {
		return &tenancyv1.ScanSessionCountsResponse{}, nil
	}
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	live, err := q.LiveOn(ctx, cluster)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	answer := &tenancyv1.ScanSessionCountsResponse{NextPageToken: cluster.String()}
	counts, err := s.counts(ctx, cluster)
	if err != nil { // Whoever asks looks into the databases themselves then.
		s.d.Log.WarnContext(ctx, "a cluster does not tell its sessions", "cluster", cluster, "err", err)
		return answer, nil
	}
	for _, one := range live {
		if count, ok := counts[one.DatabaseName]; ok {
			count.Company = names.Company(one.SubscriberID, one.ID)
			answer.Counts = append(answer.Counts, count)
		}
	}
	return answer, nil
}

func (s *Server) counts(ctx context.Context, cluster uuid.UUID) (map[string]*tenancyv1.SessionCount, error) {
	admin, err := s.d.Clusters.Admin(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return sessionCounts(ctx, admin)
}

// sessionCounts asks three times, each time anew: a session counts itself at some time while it is connected. Whoever was
// there between the outer two is either still connected in the middle, or has made the count another one.
func sessionCounts(ctx context.Context, admin *pgxpool.Pool) (map[string]*tenancyv1.SessionCount, error) {
	first, err := countSessions(ctx, admin)
	if err != nil {
		return nil, err
	}
	rows, err := admin.Query(ctx, `SELECT DISTINCT datname FROM pg_stat_activity WHERE datname IS NOT NULL UNION SELECT database FROM pg_prepared_xacts`)
	if err != nil {
		return nil, err
	}
	busy, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	second, err := countSessions(ctx, admin)
	if err != nil {
		return nil, err
	}
	for _, name := range busy {
		delete(second, name)
	}
	for name, count := range second {
		if before, ok := first[name]; !ok || before.GetSessions() != count.GetSessions() {
			delete(second, name)
		}
	}
	return second, nil
}

func countSessions(ctx context.Context, admin *pgxpool.Pool) (map[string]*tenancyv1.SessionCount, error) {
	rows, err := admin.Query(ctx, `SELECT d.datname, (SELECT system_identifier FROM pg_control_system()), d.oid,
		(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
		COALESCE((extract(epoch FROM pg_stat_get_db_stat_reset_time(d.oid)) * 1000000)::bigint, 0), pg_stat_get_db_sessions(d.oid)
		FROM pg_database d WHERE d.datallowconn`)
	if err != nil {
		return nil, err
	}
	found := map[string]*tenancyv1.SessionCount{}
	var name string
	var system, start, reset, sessions int64
	var database uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &system, &database, &start, &reset, &sessions}, func() error {
		found[name] = &tenancyv1.SessionCount{System: uint64(system), Database: database, StartMicros: start, ResetMicros: reset, Sessions: sessions}
		return nil
	})
	return found, err
}
