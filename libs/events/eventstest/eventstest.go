// Package eventstest looks at events in tests, and delivers them, without NATS.
package eventstest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Outbox gives the events that were appended, in order.
func Outbox(t testing.TB, pool *pgxpool.Pool) []events.Received {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT message, envelope, payload FROM kontor.outbox ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	appended, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (events.Received, error) {
		var envelope []byte
		e := events.Received{Envelope: &commonv1.Envelope{}}
		if err := row.Scan(&e.Message, &envelope, &e.Payload); err != nil {
			return e, err
		}
		return e, proto.Unmarshal(envelope, e.Envelope)
	})
	if err != nil {
		t.Fatal(err)
	}
	return appended
}

// Deliver gives events to a consumer's handler, each in a transaction of its own, as if another service had told of
// them: version 1, 2, 3 of their aggregates in the order given.
func Deliver(t testing.TB, pool *pgxpool.Pool, c events.Consumer, list ...events.Event) {
	t.Helper()
	versions := map[string]int64{}
	for _, e := range list {
		payload, err := proto.Marshal(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		versions[e.Aggregate]++
		received := events.Received{
			Envelope: &commonv1.Envelope{
				Type: e.Subject, Aggregate: e.Aggregate, Version: versions[e.Aggregate],
				Subscriber: e.Subscriber, Company: e.Company,
			},
			Message: string(e.Payload.ProtoReflect().Descriptor().FullName()), Payload: payload,
		}
		err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			return c.Handle(context.WithoutCancel(t.Context()), tx, received)
		})
		if err != nil {
			t.Fatalf("deliver %s: %v", e.Subject, err)
		}
	}
}
