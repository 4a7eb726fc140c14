package seat

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
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

// kinds are the kinds as others are told them.
var kinds = map[kind]licensingv1.SeatChangeKind{
	claimed: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_CLAIMED, joined: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_JOINED,
	returned: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RETURNED, left: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_LEFT,
	released: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RELEASED, expired: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_EXPIRED,
	taken: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN, transferred: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TRANSFERRED,
	refused: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_REFUSED, recoveries: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RECOVERING,
	gap: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_GAP,
}

// entry is one thing that happened. What does not apply is zero.
type entry struct {
	id      string
	kind    kind
	pool    Pool
	seat    uuid.UUID
	account uuid.UUID
	company uuid.UUID
	actor   uuid.UUID
	product string
	device  string
	title   string
	address string
	slot    int32
	limit   int32
	gen     int64
	at      time.Time
	mode    Mode
	since   time.Time // of a gap
}

// read reads a message of a log: what happened in one turn of one pool, as `log` in lua/ writes it. Ids sort as texts in
// the order in which it happened.
func read(m redis.XMessage) ([]entry, error) {
	text := func(key string) string { value, _ := m.Values[key].(string); return value }
	var (
		r     reader
		ms, n uint64
	)
	subscriber, of, _ := strings.Cut(text("of"), " ")
	pool := Pool{Subscriber: r.id(subscriber), Licence: r.id(of)}
	if _, err := fmt.Sscanf(m.ID, "%d-%d", &ms, &n); err != nil {
		return nil, err
	}
	raw := record{raw: []byte(text("entries")), err: r.err}
	list := make([]entry, raw.length())
	for i := range list {
		list[i] = raw.entry()
		list[i].id, list[i].pool = fmt.Sprintf("%013d-%06d-%06d", ms, n, i), pool
	}
	return list, raw.err
}

// entry is the next entry of a turn.
func (r *record) entry() entry {
	r.length()
	return entry{
		kind: kind(r.text()), seat: r.id(), account: r.id(), company: r.id(), product: r.text(), device: r.text(),
		title: r.text(), slot: int32(r.number()), gen: r.number(), mode: Mode(r.text()), limit: int32(r.number()), actor: r.id(),
		address: r.text(), at: r.instant(),
	}
}

// keep writes entries down, in their order, and what others are told of those that were not there yet.
func keep(ctx context.Context, tx pgx.Tx, partition int16, entries []entry, now time.Time) error {
	fresh, err := seatdb.New(tx).InsertEvents(ctx, rowsOf(partition, entries))
	if err != nil {
		return err
	}
	isFresh := make(map[string]bool, len(fresh))
	for _, id := range fresh {
		isFresh[id] = true
	}
	told := notices{of: map[Pool][]*licensingv1.SeatChange{}}
	for _, e := range entries {
		if isFresh[e.id] {
			told.add(e)
		}
	}
	return events.AppendAll(ctx, tx, told.events(now)...)
}

// rowsOf gives ids as texts: those are encoded many times faster.
func rowsOf(partition int16, entries []entry) seatdb.InsertEventsParams {
	rows := seatdb.InsertEventsParams{Partition: partition, Never: time.Time{}}
	for _, e := range entries {
		rows.Entries, rows.Kinds, rows.Modes = append(rows.Entries, e.id), append(rows.Kinds, string(e.kind)), append(rows.Modes, string(e.mode))
		rows.Subscribers, rows.Licences = append(rows.Subscribers, e.pool.Subscriber.String()), append(rows.Licences, e.pool.Licence.String())
		rows.Seats, rows.Accounts = append(rows.Seats, optionalID(e.seat)), append(rows.Accounts, optionalID(e.account))
		rows.Companies, rows.Actors = append(rows.Companies, optionalID(e.company)), append(rows.Actors, optionalID(e.actor))
		rows.Products, rows.Devices = append(rows.Products, e.product), append(rows.Devices, e.device)
		rows.Titles, rows.Addresses = append(rows.Titles, e.title), append(rows.Addresses, e.address)
		rows.Slots, rows.Limits = append(rows.Slots, e.slot), append(rows.Limits, e.limit)
		rows.Generations = append(rows.Generations, e.gen)
		rows.Happened, rows.Since = append(rows.Happened, e.at), append(rows.Since, e.since)
	}
	return rows
}

// maxChanges is how many changes one event tells.
const maxChanges = 500

// notices are what others are told: what happened to the seats of each pool, in its order.
type notices struct {
	pools []Pool
	of    map[Pool][]*licensingv1.SeatChange
}

func (n *notices) add(e entry) {
	if n.of[e.pool] == nil {
		n.pools = append(n.pools, e.pool)
	}
	n.of[e.pool] = append(n.of[e.pool], e.message())
}

func (n *notices) events(now time.Time) []events.Event {
	var list []events.Event
	for _, of := range n.pools {
		for changes := n.of[of]; len(changes) > 0; {
			some := changes[:min(len(changes), maxChanges)]
			changes = changes[len(some):]
			list = append(list, events.Event{
				Subject: "kontor.licensing.seat.changed", Aggregate: of.aggregate(), Subscriber: licence.SubscriberName(of.Subscriber),
				Time: now, Payload: &licensingv1.SeatsChanged{Changes: some}, By: &caller.Caller{Service: "licensing"},
			})
		}
	}
	return list
}

// keepGap writes down that what happened between two instants may be missing.
func keepGap(ctx context.Context, tx pgx.Tx, partition int16, of Pool, id string, since, until, now time.Time) error {
	return keep(ctx, tx, partition, []entry{{id: id, kind: gap, pool: of, at: until, since: since, mode: InPool}}, now)
}

// message is an entry as others are told it.
func (e entry) message() *licensingv1.SeatChange {
	m := &licensingv1.SeatChange{
		Kind: kinds[e.kind], Time: timestamppb.New(e.at), Product: e.product, DeviceId: e.device, DeviceTitle: e.title, Limit: e.limit,
		Address: e.address, SinceTime: instant(e.since),
	}
	if e.seat != uuid.Nil {
		m.Seat = e.pool.Name(e.seat)
	}
	if e.account != uuid.Nil {
		m.Account, m.Company, m.Mode = licence.AccountName(e.account), e.pool.companyName(e.company), modes[e.mode]
	}
	if e.actor != uuid.Nil {
		m.Actor = licence.AccountName(e.actor)
	}
	return m
}
