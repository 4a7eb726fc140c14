package seat

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/events"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// kind is what happened.
type kind string

// What happens to seats, as the log calls it.
const (
	claimed     kind = "claimed"
	joined      kind = "joined"
	returned    kind = "returned"
	left        kind = "left"
	released    kind = "released"
	expired     kind = "expired"
	taken       kind = "taken"
	transferred kind = "transferred"
	refused     kind = "refused"
	recoveries  kind = "recovering"
	gap         kind = "gap"
)

// entry is one entry of a log.
type entry struct {
	id      string
	kind    kind
	pool    Pool
	seat    *uuid.UUID
	account *uuid.UUID
	company *uuid.UUID
	actor   *uuid.UUID
	product string
	device  string
	title   string
	address string
	slot    int32
	limit   int32
	gen     int64
	at      time.Time
	mode    Mode
	since   *time.Time // of a gap
}

// read reads an entry as `log` in lua/ writes it.
func read(m redis.XMessage) (entry, error) {
	var r reader
	text := func(key string) string { value, _ := m.Values[key].(string); return value }
	e := entry{
		id: m.ID, kind: kind(text("kind")), pool: Pool{Subscriber: r.id(text("subscriber")), Licence: r.id(text("licence"))},
		seat: r.optional(text("seat")), account: r.optional(text("account")), company: r.optional(text("company")),
		actor: r.optional(text("actor")), product: text("product"), device: text("device"), title: text("title"),
		address: text("address"), slot: int32(r.number(text("slot"))), limit: int32(r.number(text("limit"))),
		gen: r.number(text("generation")), at: r.instant(text("at")), mode: Mode(text("mode")),
	}
	return e, r.err
}

// keep writes entries down, in their order, and what others are told of those that were not there yet.
func keep(ctx context.Context, tx pgx.Tx, partition int16, entries []entry, now time.Time) error {
	rows := make([]seatdb.InsertEventsParams, len(entries))
	for i, e := range entries {
		rows[i] = seatdb.InsertEventsParams{
			Partition: partition, Entry: e.id, Kind: string(e.kind), Subscriber: e.pool.Subscriber, Licence: e.pool.Licence,
			Seat: e.seat, Account: e.account, Company: e.company, Product: e.product, DeviceID: e.device, DeviceTitle: e.title,
			Slot: e.slot, Generation: e.gen, SeatLimit: e.limit, Actor: e.actor, Address: e.address, Happened: e.at,
			Mode: string(e.mode), Since: e.since,
		}
	}
	var (
		failed []error
		told   []events.Event
	)
	seatdb.New(tx).InsertEvents(ctx, rows).QueryRow(func(i int, _ string, err error) {
		if errors.Is(err, pgx.ErrNoRows) {
			return
		}
		if err != nil {
			failed = append(failed, err)
			return
		}
		if e, tells := entries[i].event(now); tells {
			told = append(told, e)
		}
	})
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return events.AppendAll(ctx, tx, told...)
}

// event is what others are told of an entry, if they are. What happens to a seat is told in its order; who listens to ends
// alone hears no gap, since only the beginning of a seat is told otherwise.
func (e entry) event(now time.Time) (events.Event, bool) {
	verb, payload := e.told()
	if payload == nil {
		return events.Event{}, false
	}
	who := caller.Caller{Service: "licensing", Address: e.address}
	if e.actor != nil {
		who.Account = licence.AccountName(*e.actor)
	}
	aggregate := e.pool.aggregate()
	if e.seat != nil {
		aggregate = e.name()
	}
	return events.Event{
		Subject: "kontor.licensing.seat." + verb, Aggregate: aggregate, Subscriber: licence.SubscriberName(e.pool.Subscriber),
		Company: e.companyName(), Time: now, Payload: payload, By: &who,
	}, true
}

// keepGap writes down that what happened between two instants may be missing.
func keepGap(ctx context.Context, tx pgx.Tx, partition int16, of Pool, id string, since, until, now time.Time) error {
	return keep(ctx, tx, partition, []entry{{id: id, kind: gap, pool: of, at: until, since: &since, mode: InPool}}, now)
}

// told is what others are told of an entry: nothing of a holder who came back to a seat that they knew it to have.
func (e entry) told() (verb string, payload proto.Message) {
	switch e.kind {
	case claimed:
		return "claimed", &licensingv1.SeatClaimed{
			Seat: e.name(), Account: e.accountName(), Company: e.companyName(), Product: e.product, DeviceId: e.device, DeviceTitle: e.title,
			Mode: modes[e.mode],
		}
	case left:
		return "left", &licensingv1.SeatLeft{Seat: e.name(), Account: e.accountName(), Company: e.companyName(), DeviceId: e.device}
	case transferred:
		return e.ended(licensingv1.SeatEnd_SEAT_END_TRANSFERRED)
	case gap:
		return "gap", &licensingv1.SeatsGap{SinceTime: timestamppb.New(*e.since), UntilTime: timestamppb.New(e.at)}
	case refused:
		return "refused", &licensingv1.SeatRefused{Account: e.accountName(), Company: e.companyName(), Product: e.product, Limit: e.limit}
	case recoveries:
		return "recovered", &licensingv1.SeatsRecovering{UntilTime: timestamppb.New(e.at)}
	case released:
		return e.ended(licensingv1.SeatEnd_SEAT_END_RELEASED)
	case expired:
		return e.ended(licensingv1.SeatEnd_SEAT_END_EXPIRED)
	case taken:
		return e.ended(licensingv1.SeatEnd_SEAT_END_TAKEN)
	default:
		return "", nil
	}
}

func (e entry) ended(why licensingv1.SeatEnd) (verb string, payload proto.Message) {
	return "ended", &licensingv1.SeatEnded{
		Seat: e.name(), Account: e.accountName(), Company: e.companyName(), Product: e.product, End: why,
	}
}

func (e entry) name() string {
	if e.seat == nil {
		return ""
	}
	return e.pool.Name(*e.seat)
}

func (e entry) accountName() string {
	return licence.AccountName(*cmp.Or(e.account, &uuid.Nil))
}

func (e entry) companyName() string {
	if e.company == nil {
		return ""
	}
	return e.pool.companyName(*e.company)
}
