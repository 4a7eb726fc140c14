package seat

import (
	"context"
	"errors"
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

// Invitation lets a guest read for a time without a seat of the licence.
type Invitation = seatdb.GuestSeat

// mayInvite refuses what the plan does not allow. Others is how many guests there are in the same time.
func mayInvite(l Limits, g Invitation, now time.Time, others int64) error {
	var detail string
	switch days := l.Guests.Days; {
	case l.Guests.Count == 0:
		detail = "the plan has no seats for guests"
	case !g.Ends.After(now) || !g.Ends.After(g.Starts):
		detail = "the time is over before it begins"
	case g.Ends.After(g.Starts.AddDate(0, 0, days)):
		detail = "for " + decimal(int64(days)) + " days at the most"
	case others >= int64(l.Guests.Count):
		detail = decimal(int64(l.Guests.Count)) + " at a time at the most"
	default:
		return nil
	}
	return failure.New(commonv1.Reason_REASON_SEAT_GUEST_REFUSED, "detail", detail)
}

// Invite writes an invitation down.
func (p *Pools) Invite(ctx context.Context, g Invitation, l Limits) error {
	return translate(postgres.InTx(ctx, p.deps.DB, func(tx pgx.Tx) error {
		db := seatdb.New(tx)
		if err := db.LockGuests(ctx, g.Licence); err != nil {
			return err
		}
		others, err := db.CountGuestSeats(ctx, seatdb.CountGuestSeatsParams{Licence: g.Licence, Starts: g.Starts, Ends: g.Ends})
		if err != nil {
			return err
		}
		if err := mayInvite(l, g, p.deps.Real.Now(), others); err != nil {
			return err
		}
		err = db.InsertGuestSeat(ctx, seatdb.InsertGuestSeatParams{
			ID: g.ID, Subscriber: g.Subscriber, Licence: g.Licence, Account: g.Account, Company: g.Company, Product: g.Product,
			Starts: g.Starts, Ends: g.Ends, Reason: g.Reason, Author: g.Author, Created: g.Created,
		})
		if err != nil {
			return err
		}
		return p.tellGuest(ctx, tx, g, "created", &licensingv1.GuestSeatCreated{GuestSeat: guestMessage(g)})
	}))
}

// Invited finds what lets somebody read now, and until when.
func (p *Pools) Invited(ctx context.Context, subscriber uuid.UUID, r Request) (of Pool, until time.Time, invited bool, err error) {
	row, err := seatdb.New(p.deps.DB).GuestSeatFor(ctx, seatdb.GuestSeatForParams{
		Subscriber: subscriber, Account: r.Account, Company: r.Company, Product: r.Product, Now: p.deps.Real.Now(),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Pool{}, time.Time{}, false, nil
	}
	return Pool{Subscriber: subscriber, Licence: row.Licence}, row.Ends, err == nil, translate(err)
}

// Invitation finds one. NOT_FOUND for another licence's.
func (p *Pools) Invitation(ctx context.Context, of Pool, id uuid.UUID) (Invitation, error) {
	g, err := seatdb.New(p.deps.DB).GetGuestSeat(ctx, id)
	if err == nil && g.Licence == of.Licence && g.Subscriber == of.Subscriber {
		return g, nil
	}
	return Invitation{}, orNotFound(err, guestName(of, id))
}

// Uninvite ends an invitation, and what its guest holds now.
func (p *Pools) Uninvite(ctx context.Context, of Pool, g Invitation, by By) (Invitation, error) {
	if g.Ended == nil && g.Ends.After(p.deps.Real.Now()) {
		at := p.deps.Real.Now().Truncate(time.Microsecond)
		g.Ended = &at
		err := postgres.InTx(ctx, p.deps.DB, func(tx pgx.Tx) error {
			changed, err := seatdb.New(tx).EndGuestSeat(ctx, seatdb.EndGuestSeatParams{ID: g.ID, Ended: &at})
			if err != nil || changed == 0 {
				return err
			}
			return p.tellGuest(ctx, tx, g, "ended", &licensingv1.GuestSeatEnded{GuestSeat: guestMessage(g)})
		})
		if err != nil {
			return g, translate(err)
		}
	}
	if over, err := p.resting(ctx, of); over || err != nil {
		return g, err
	}
	_, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "oust", of.Licence, g.Account.String(), g.Company.String(), g.Product, by.Account, by.Address)
	})
	return g, err
}

func (p *Pools) tellGuest(ctx context.Context, tx pgx.Tx, g Invitation, verb string, payload proto.Message) error {
	of := Pool{Subscriber: g.Subscriber, Licence: g.Licence}
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.licensing.guest_seat." + verb, Aggregate: guestName(of, g.ID), Subscriber: licence.SubscriberName(g.Subscriber),
		Company: of.companyName(g.Company), Time: p.deps.Clock.Now(), Payload: payload,
	})
}

// orNotFound is NOT_FOUND where there is no row, or one of somebody else's.
func orNotFound(err error, name string) error {
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return failure.NotFound(name)
	}
	return translate(err)
}
