package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	gcblob "gocloud.dev/blob"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/events"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/release/releasedb"
)

const (
	// tellBatch is how many subscribers are told in one transaction.
	tellBatch = 200
	// told is how much of what is new stands in what subscribers are told, in characters.
	told = 2_000
	// sweepAge is how old an object that no row names must be to be swept: no upload's part takes that long.
	sweepAge = 24 * time.Hour
	// sweepBatch is how many objects are looked up at a time.
	sweepBatch = 500
)

// Periodic are the timers that tell subscribers, and sweep what uploads have left.
func (s *Staff) Periodic(every time.Duration) []jobs.Periodic {
	return []jobs.Periodic{
		{Name: "release_telling", Every: every, AtStart: true, Run: s.Tell},
		{Name: "release_sweep", Every: 6 * time.Hour, Run: func(ctx context.Context) error {
			return s.sweep(ctx, time.Now().Add(-sweepAge)) //nolint:forbidigo // The object store's times are real.
		}},
	}
}

// Tell tells the subscribers who have a product of its new releases, each once, whatever is killed in between.
func (s *Staff) Tell(ctx context.Context) error {
	for more := true; more; {
		err := postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) (err error) {
			more, err = s.tellSome(ctx, tx)
			return err
		})
		if err != nil {
			return translate(err)
		}
	}
	return nil
}

// tellSome tells the next subscribers of the release whose turn it is.
func (s *Staff) tellSome(ctx context.Context, tx pgx.Tx) (more bool, err error) {
	q := releasedb.New(tx)
	row, err := q.NextToTell(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := s.deps.Store.one(ctx, tx, row)
	if err != nil {
		return false, err
	}
	now := s.deps.Clock.Now()
	if r.Kind == Platform || r.State() == Withdrawn { // Nobody has a platform by itself.
		return true, q.NoteTold(ctx, releasedb.NoteToldParams{ID: r.ID, Told: &now})
	}
	product, err := json.Marshal([]map[string]string{{"product": r.Subject}})
	if err != nil {
		return false, fmt.Errorf("release: %w", err)
	}
	holders, err := q.HoldersOf(ctx, releasedb.HoldersOfParams{Now: now, Product: product, After: optional(r.ToldUntil), Count: tellBatch})
	if err != nil {
		return false, err
	}
	if len(holders) == 0 {
		return true, q.NoteTold(ctx, releasedb.NoteToldParams{ID: r.ID, Told: &now})
	}
	payload := s.available(r)
	for _, subscriber := range holders {
		name := licence.SubscriberName(subscriber)
		err := events.Append(ctx, tx, events.Event{
			Subject: SubjectAvailable, Aggregate: Name(r.ID) + "/" + name, Subscriber: name, Time: now, Payload: payload,
		})
		if err != nil {
			return false, err
		}
	}
	return true, q.NoteTold(ctx, releasedb.NoteToldParams{ID: r.ID, ToldUntil: &holders[len(holders)-1]})
}

func (s *Staff) available(r Release) *licensingv1.ReleaseAvailable {
	product, _ := s.deps.Catalogue.Product(r.Subject)
	payload := &licensingv1.ReleaseAvailable{Release: r.proto(outline, ""), ProductTitle: product.Title.In("en"), WhatIsNew: map[string]string{}}
	for language, text := range r.Texts {
		if news := []rune(text.WhatIsNew); len(news) > 0 {
			payload.WhatIsNew[language] = string(news[:min(len(news), told)])
		}
	}
	return payload
}

// sweep removes objects that no row names.
func (s *Staff) sweep(ctx context.Context, before time.Time) error {
	objects := s.deps.Objects.List(&gcblob.ListOptions{Prefix: folder})
	var keys []string
	for {
		object, err := objects.Next(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return blob.Translate(err, folder)
		}
		if err == nil && object.ModTime.Before(before) {
			keys = append(keys, object.Key)
		}
		if len(keys) >= sweepBatch || err != nil {
			if err := s.sweepKeys(ctx, keys); err != nil {
				return err
			}
			keys = keys[:0]
		}
		if err != nil {
			return nil //nolint:nilerr // The end of the list.
		}
	}
}

func (s *Staff) sweepKeys(ctx context.Context, keys []string) error {
	known, err := releasedb.New(s.deps.DB).KnownObjects(ctx, keys)
	if err != nil {
		return translate(err)
	}
	for _, key := range keys {
		if slices.Contains(known, key) {
			continue
		}
		if err := s.deps.Objects.Delete(ctx, key); err != nil {
			return blob.Translate(err, key)
		}
	}
	return nil
}
