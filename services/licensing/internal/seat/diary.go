package seat

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

const (
	// portion is how many messages of a log are taken over in one transaction. Each is what happened in one turn of a pool.
	portion = 100
	// gathering is how long more is waited for after the first entry: many in one commit cost little more than one.
	gathering = 100 * time.Millisecond
	// listening bounds how long a wait for news is, and so a stop.
	listening = 500 * time.Millisecond
	// looking is the pause between two looks where waiting is not possible.
	looking = 50 * time.Millisecond
	// noting is how often it is written down up to when the logs were read.
	noting = time.Second
	// diaryLock is the advisory lock of the copy that listens ("seatdiar" in ASCII).
	diaryLock = 0x7365617464696172
	// standing is how often another copy looks whether that one is gone.
	standing = time.Second
	// pausing is how long it rests after a failure.
	pausing = 300 * time.Millisecond
)

// Diary takes over into the database what happened to seats, from the logs that the functions wrote in the act: each
// entry once and in order, with its event. Every copy of the service runs one.
type Diary struct{ deps DiaryDeps }

// DiaryDeps are what a Diary needs.
type DiaryDeps struct {
	Redis redis.UniversalClient
	// Pools are opened when the store lost them.
	Pools *Pools
	DB    *pgxpool.Pool
	// Clock is the suite's; it dates events. Real is the machine's.
	Clock, Real clock.Clock
	Log         *slog.Logger
}

// NewDiary returns a diary.
func NewDiary(deps DiaryDeps) *Diary { return &Diary{deps: deps} }

// Run takes over what happens until ctx ends.
func (d *Diary) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := d.listenAlone(ctx); err != nil && ctx.Err() == nil {
			d.deps.Log.WarnContext(ctx, "what happened to seats can't be taken over just now", "error", err)
			pause(ctx, 2*standing) // Another copy may have better luck.
		}
	}
	return nil
}

// listenAlone listens while no other copy does. Whose connection ends has lost the lock, and listens on until the other
// copy meets it at a partition: each entry is taken over once all the same.
func (d *Diary) listenAlone(ctx context.Context) error {
	conn, err := d.deps.DB.Acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Release()
	mine, err := seatdb.New(conn).TryDiary(ctx, diaryLock)
	if err != nil {
		return translate(err)
	}
	if !mine {
		pause(ctx, standing)
		return nil
	}
	defer func() { _ = conn.Conn().Close(context.WithoutCancel(ctx)) }() // The lock ends with the connection.
	return d.listen(ctx)
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// listen waits for news and takes them over, until something fails.
func (d *Diary) listen(ctx context.Context) error {
	positions, err := d.positions(ctx)
	if err != nil {
		return err
	}
	var seen time.Time
	for ctx.Err() == nil {
		began := d.deps.Real.Now()
		read, err := d.deps.Redis.Time(ctx).Result()
		if err != nil {
			return unavailable(err)
		}
		news, err := d.news(ctx, positions)
		if err != nil {
			return err
		}
		if len(news) > 0 {
			pause(ctx, gathering)
		}
		for _, p := range news {
			if positions[p], err = d.takeOver(ctx, p); err != nil {
				return err
			}
		}
		if began.Sub(seen) >= noting {
			for p := range partitions {
				if err := d.deps.Pools.watch(ctx, p); err != nil {
					return err
				}
			}
			if err := seatdb.New(d.deps.DB).SetSeen(ctx, read); err != nil {
				return translate(err)
			}
			seen = began
		}
	}
	return nil
}

// news waits a while for partitions that have entries beyond some positions.
func (d *Diary) news(ctx context.Context, positions [partitions]string) ([]int, error) {
	if _, ok := d.deps.Redis.(*redis.ClusterClient); ok {
		return d.clusterNews(ctx, positions)
	}
	streams := make([]string, 0, 2*partitions)
	for p := range partitions {
		streams = append(streams, logKey(p))
	}
	for p := range partitions {
		streams = append(streams, positions[p])
	}
	found, err := d.deps.Redis.XRead(ctx, &redis.XReadArgs{Streams: streams, Count: 1, Block: listening}).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	var news []int
	for p := range partitions {
		if slices.ContainsFunc(found, func(s redis.XStream) bool { return s.Stream == logKey(p) }) {
			news = append(news, p)
		}
	}
	return news, nil
}

// clusterNews looks again and again: no command waits for streams on several servers.
func (d *Diary) clusterNews(ctx context.Context, positions [partitions]string) (news []int, err error) {
	results, err := d.deps.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p := range partitions {
			pipe.XRangeN(ctx, logKey(p), "("+positions[p], "+", 1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for p, result := range results {
		if found, ok := result.(*redis.XMessageSliceCmd); ok && len(found.Val()) > 0 {
			news = append(news, p)
		}
	}
	if len(news) == 0 {
		pause(ctx, looking)
	}
	return news, nil
}

// positions are the last entries that were taken over.
func (d *Diary) positions(ctx context.Context) (positions [partitions]string, err error) {
	db := seatdb.New(d.deps.DB)
	for p := range partitions {
		if err := db.AddPosition(ctx, int16(p)); err != nil {
			return positions, translate(err)
		}
	}
	rows, err := db.Positions(ctx)
	for _, row := range rows {
		if int(row.Partition) < partitions {
			positions[row.Partition] = row.Entry
		}
	}
	return positions, translate(err)
}

// WriteDown takes over what happened to a licence's seats so far.
func (d *Diary) WriteDown(ctx context.Context, of uuid.UUID) error {
	p := partitionOf(of)
	if err := seatdb.New(d.deps.DB).AddPosition(ctx, int16(p)); err != nil {
		return translate(err)
	}
	_, err := d.takeOver(ctx, p)
	return err
}

// takeOver takes over all there is in a partition, and answers the last entry.
func (d *Diary) takeOver(ctx context.Context, partition int) (last string, err error) {
	for {
		count := 0
		err := postgres.InTx(ctx, d.deps.DB, func(tx pgx.Tx) (err error) {
			last, count, err = d.some(ctx, tx, partition)
			return err
		})
		if err != nil {
			return "", translate(err)
		}
		if count > 0 { // What is left there otherwise is harmless: it is known to be taken over.
			if err := d.deps.Redis.XTrimMinID(ctx, logKey(partition), last).Err(); err != nil {
				return "", unavailable(err)
			}
		}
		if count < portion {
			return last, nil
		}
	}
}

// some takes over a portion. The position's row is locked: one copy at a time does it.
func (d *Diary) some(ctx context.Context, tx pgx.Tx, partition int) (last string, count int, err error) {
	db := seatdb.New(tx)
	if last, err = db.LockPosition(ctx, int16(partition)); err != nil {
		return "", 0, err
	}
	messages, err := d.deps.Redis.XRangeN(ctx, logKey(partition), "("+last, "+", portion).Result()
	if err != nil {
		return "", 0, unavailable(err)
	}
	var entries []entry
	for _, message := range messages {
		turn, err := read(message)
		if err != nil {
			return "", 0, err
		}
		entries, last = append(entries, turn...), message.ID
	}
	if len(messages) == 0 {
		return last, 0, nil
	}
	if err := keep(ctx, tx, int16(partition), entries, d.deps.Clock.Now()); err != nil {
		return "", 0, err
	}
	return last, len(messages), db.SetPosition(ctx, seatdb.SetPositionParams{Partition: int16(partition), Entry: last})
}
