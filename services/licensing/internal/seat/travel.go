package seat

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// latestGeneration is above all that are given: what is out is claimed once.
const latestGeneration = 1 << 53

// settling is how long a seat is kept that is about to go out: until it is in the database.
const settling = time.Minute

// Traveller is a seat that is or was out with a device.
type Traveller = seatdb.TravelSeat

// outside is a seat that is out as the functions want it.
func outside(r seatdb.TravelSeatsOutRow) []any {
	return []any{
		r.ID.String(), r.Account.String(), r.Company.String(), r.Product, r.DeviceID, r.DeviceTitle, r.Slot, r.Ends.UnixMilli(),
	}
}

// mayTravel refuses what the plan does not allow.
func mayTravel(l Limits, days int32, out int64) error {
	var detail string
	switch most := l.Travel.Out(l.Seats); {
	case l.Travel.Days == 0 || most == 0:
		detail = "the plan has no seats for travel"
	case int(days) > l.Travel.Days:
		detail = "for " + decimal(int64(l.Travel.Days)) + " days at the most"
	case out >= int64(most):
		detail = decimal(int64(most)) + " at a time at the most, and so many are out"
	default:
		return nil
	}
	return failure.New(commonv1.Reason_REASON_SEAT_TRAVEL_REFUSED, "detail", detail)
}

// SendOut gives out a seat for some days. It is counted first, for a minute; then it is in the database; then it is counted
// until its end. Whatever is cut short in between is either over after that minute or out. File makes the file for a slot.
func (p *Pools) SendOut(ctx context.Context, of Pool, id uuid.UUID, r Request, l Limits, days int32, file func(Traveller) ([]byte, error)) (Traveller, error) {
	db := seatdb.New(p.deps.DB)
	out, err := db.CountTravelSeatsOut(ctx, seatdb.CountTravelSeatsOutParams{Licence: of.Licence, Now: p.deps.Real.Now()})
	if err != nil {
		return Traveller{}, translate(err)
	}
	if err := mayTravel(l, days, out); err != nil {
		return Traveller{}, err
	}
	now := p.deps.Real.Now().Truncate(time.Millisecond)
	store, err := p.now(ctx)
	if err != nil {
		return Traveller{}, err
	}
	r.Mode, r.id, r.Cap = Travel, id, store.Add(settling)
	held, err := p.Claim(ctx, of, r, l)
	if err != nil {
		return Traveller{}, err
	}
	t := Traveller{
		ID: held.ID, Subscriber: of.Subscriber, Licence: of.Licence, Account: r.Account, Company: r.Company, Product: r.Product,
		DeviceID: r.Device, DeviceTitle: r.Title, Slot: held.Slot, Starts: now, Ends: now.AddDate(0, 0, int(days)), Created: now,
	}
	if t.File, err = file(t); err != nil {
		return Traveller{}, err
	}
	if err := p.writeOut(ctx, t); err != nil {
		return Traveller{}, err
	}
	return t, p.count(ctx, of, t)
}

func (p *Pools) writeOut(ctx context.Context, t Traveller) error {
	return translate(postgres.InTx(ctx, p.deps.DB, func(tx pgx.Tx) error {
		err := seatdb.New(tx).InsertTravelSeat(ctx, seatdb.InsertTravelSeatParams{
			ID: t.ID, Subscriber: t.Subscriber, Licence: t.Licence, Account: t.Account, Company: t.Company, Product: t.Product,
			DeviceID: t.DeviceID, DeviceTitle: t.DeviceTitle, Slot: t.Slot, File: t.File, Starts: t.Starts, Ends: t.Ends, Created: t.Created,
		})
		if err != nil {
			return err
		}
		return p.tellTravel(ctx, tx, t, "created", &licensingv1.TravelSeatCreated{TravelSeat: travelMessage(t)})
	}))
}

// count has the pool count a seat until it ends. SEAT_LOST when it took so long until it was in the database that it was
// free again: then it is not out.
func (p *Pools) count(ctx context.Context, of Pool, t Traveller) error {
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "travel", of.Licence, t.ID.String(), t.Ends.UnixMilli())
	})
	if err != nil || a.word() != wordGone {
		return err
	}
	if err := p.writeBack(ctx, &t); err != nil {
		return err
	}
	return failure.New(commonv1.Reason_REASON_SEAT_LOST)
}

// Traveller finds a seat that is or was out. NOT_FOUND for another licence's.
func (p *Pools) Traveller(ctx context.Context, of Pool, id uuid.UUID) (Traveller, error) {
	t, err := seatdb.New(p.deps.DB).GetTravelSeat(ctx, id)
	if err == nil && t.Licence == of.Licence && t.Subscriber == of.Subscriber {
		return t, nil
	}
	return Traveller{}, orNotFound(err, travelName(of, id))
}

// BringBack ends a seat's travel before its time. That it is back is in the database first, so that nothing counts it again;
// if the rest is cut short, bringing it back once more completes it.
func (p *Pools) BringBack(ctx context.Context, of Pool, t Traveller, by By) (Traveller, error) {
	if t.Returned == nil && t.Ends.After(p.deps.Real.Now()) {
		if err := p.writeBack(ctx, &t); err != nil {
			return t, err
		}
	}
	_, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "release", of.Licence, holding(Seat{
			ID: t.ID, Account: t.Account, Product: t.Product, Slot: t.Slot, Mode: Travel, Ends: t.Ends, Since: t.Starts, Generation: latestGeneration,
			Place: Place{Company: t.Company, Device: t.DeviceID, Title: t.DeviceTitle},
		}, by)...)
	})
	return t, err
}

// writeBack notes that a seat is back.
func (p *Pools) writeBack(ctx context.Context, t *Traveller) error {
	at := p.deps.Real.Now().Truncate(time.Microsecond)
	t.Returned = &at
	return translate(postgres.InTx(ctx, p.deps.DB, func(tx pgx.Tx) error {
		if err := seatdb.New(tx).ReturnTravelSeat(ctx, seatdb.ReturnTravelSeatParams{ID: t.ID, Returned: &at}); err != nil {
			return err
		}
		return p.tellTravel(ctx, tx, *t, "returned", &licensingv1.TravelSeatReturned{TravelSeat: travelMessage(*t)})
	}))
}

func (p *Pools) tellTravel(ctx context.Context, tx pgx.Tx, t Traveller, verb string, payload proto.Message) error {
	of := Pool{Subscriber: t.Subscriber, Licence: t.Licence}
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.licensing.travel_seat." + verb, Aggregate: travelName(of, t.ID), Subscriber: licence.SubscriberName(t.Subscriber),
		Company: of.companyName(t.Company), Time: p.deps.Clock.Now(), Payload: payload,
	})
}
