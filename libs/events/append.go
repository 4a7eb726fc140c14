package events

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// series is what versions are counted for.
type series struct{ concept, aggregate string }

// appended is an event on its way into the outbox.
type appended struct {
	series
	subject  string
	message  string
	envelope *commonv1.Envelope
	payload  []byte
}

func prepare(ctx context.Context, e Event) (appended, error) {
	if err := e.check(); err != nil {
		return appended{}, err
	}
	payload, err := proto.Marshal(e.Payload)
	if err != nil {
		return appended{}, err
	}
	if len(payload) > maxPayload {
		return appended{}, fmt.Errorf("the payload has %d bytes, more than %d", len(payload), maxPayload)
	}
	if payload == nil {
		payload = []byte{} // An empty message is not NULL.
	}
	return appended{
		series: series{conceptOf(e.Subject), e.Aggregate}, subject: e.Subject,
		message: string(e.Payload.ProtoReflect().Descriptor().FullName()), envelope: envelopeOf(ctx, e), payload: payload,
	}, nil
}

// number gives out the events' versions. It locks the aggregates' rows in one order for everybody, so that two
// transactions can't wait for each other within it.
func number(ctx context.Context, tx pgx.Tx, made []appended) error {
	count := map[series]int64{}
	for _, a := range made {
		count[a.series]++
	}
	order := slices.SortedFunc(maps.Keys(count), func(a, b series) int {
		return cmp.Or(cmp.Compare(a.concept, b.concept), cmp.Compare(a.aggregate, b.aggregate))
	})
	concepts, aggregates, counts := make([]string, len(order)), make([]string, len(order)), make([]int64, len(order))
	for i, s := range order {
		concepts[i], aggregates[i], counts[i] = s.concept, s.aggregate, count[s]
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO kontor.aggregate_version AS known (concept, aggregate, version)
		SELECT concept, aggregate, events
		FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS counted (concept, aggregate, events, place)
		ORDER BY place
		ON CONFLICT (concept, aggregate) DO UPDATE SET version = known.version + excluded.version
		RETURNING known.concept, known.aggregate, known.version`, concepts, aggregates, counts)
	if err != nil {
		return err
	}
	next := map[series]int64{}
	var s series
	var last int64
	if _, err := pgx.ForEachRow(rows, []any{&s.concept, &s.aggregate, &last}, func() error {
		next[s] = last - count[s] + 1
		return nil
	}); err != nil {
		return err
	}
	for _, a := range made {
		a.envelope.Version = next[a.series]
		next[a.series]++
	}
	return nil
}

// write puts numbered events into the outbox and wakes the relays.
func write(ctx context.Context, tx pgx.Tx, made []appended) error {
	headers, err := json.Marshal(traceOf(ctx))
	if err != nil {
		return err
	}
	var (
		ids, concepts, aggregates, subjects, messages []string
		parts                                         []int16
		versions                                      []int64
		envelopes, payloads                           [][]byte
		woken                                         []string
	)
	for _, a := range made {
		wrapped, err := proto.Marshal(a.envelope)
		if err != nil {
			return err
		}
		part := partition(a.concept, a.aggregate)
		ids, concepts, aggregates = append(ids, a.envelope.GetId()), append(concepts, a.concept), append(aggregates, a.aggregate)
		subjects, messages = append(subjects, a.subject), append(messages, a.message)
		parts, versions = append(parts, int16(part)), append(versions, a.envelope.GetVersion())
		envelopes, payloads = append(envelopes, wrapped), append(payloads, a.payload)
		if name := strconv.Itoa(part); !slices.Contains(woken, name) {
			woken = append(woken, name)
		}
	}
	var both pgx.Batch
	both.Queue(`
		INSERT INTO kontor.outbox (event_id, partition, concept, aggregate, version, subject, message, envelope, payload, headers)
		SELECT event_id, part, concept, aggregate, version, subject, message, envelope, payload, $10::jsonb
		FROM unnest($1::text[]::uuid[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bytea[], $9::bytea[])
			WITH ORDINALITY AS given (event_id, part, concept, aggregate, version, subject, message, envelope, payload, place)
		ORDER BY place`, ids, parts, concepts, aggregates, versions, subjects, messages, envelopes, payloads, headers)
	both.Queue("SELECT pg_notify($1, part) FROM unnest($2::text[]) AS part", channel, woken)
	return tx.SendBatch(ctx, &both).Close()
}
