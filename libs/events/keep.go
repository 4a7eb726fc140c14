package events

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
)

const (
	// KeptPublished is how long published events can be replayed.
	KeptPublished = 7 * 24 * time.Hour
	// keptApplied is how long applied events are remembered one by one; the aggregates' versions stay.
	keptApplied = 30 * 24 * time.Hour
)

// Replay publishes again what was published since a time, and says how many events that is. Consumers that applied
// them ignore them.
func Replay(ctx context.Context, pool *pgxpool.Pool, since time.Time) (int64, error) {
	tag, err := pool.Exec(ctx, `
		WITH again AS (
			UPDATE kontor.outbox SET published = NULL, replays = replays + 1 WHERE published >= $1 RETURNING partition
		), told AS (
			SELECT pg_notify($2, partition::text) FROM (SELECT DISTINCT partition FROM again) AS p
		)
		SELECT FROM again, (SELECT count(*) FROM told) AS t`, since, channel)
	if err != nil {
		return 0, postgres.Constraints{}.Translate(err)
	}
	return tag.RowsAffected(), nil
}

// Purge forgets events published longer than KeptPublished ago and what was applied long ago. It deletes in portions, of
// which none reaches the time limit of a statement.
func Purge(ctx context.Context, pool *pgxpool.Pool) error {
	for query, kept := range map[string]time.Duration{
		`DELETE FROM kontor.outbox WHERE seq IN (
			SELECT seq FROM kontor.outbox WHERE published < clock_timestamp() - $1::interval LIMIT 5000)`: KeptPublished,
		`DELETE FROM kontor.inbox WHERE (consumer, event_id) IN (
			SELECT consumer, event_id FROM kontor.inbox WHERE created < clock_timestamp() - $1::interval LIMIT 5000)`: keptApplied,
	} {
		for deleted := int64(1); deleted > 0; {
			tag, err := pool.Exec(ctx, query, kept)
			if err != nil {
				return postgres.Constraints{}.Translate(err)
			}
			deleted = tag.RowsAffected()
		}
	}
	return nil
}

// Periodic is the timer that purges.
func Periodic(pool *pgxpool.Pool) []jobs.Periodic {
	return []jobs.Periodic{{
		Name: "purge-events", Every: time.Hour,
		Run: func(ctx context.Context) error { return Purge(ctx, pool) },
	}}
}
