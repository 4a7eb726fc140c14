package seat

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/seattoken"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// message is a seat as callers see it.
func (s Seat) message(of Pool, title string) *licensingv1.Seat {
	m := &licensingv1.Seat{
		Name: of.Name(s.ID), Account: licence.AccountName(s.Account), AccountTitle: title, Company: of.companyName(s.Company),
		Product: s.Product, DeviceId: s.Device, DeviceTitle: s.Title, Slot: s.Slot, Generation: s.Generation,
		CreateTime: timestamppb.New(s.Since), RenewTime: timestamppb.New(s.Renewed), ExpireTime: timestamppb.New(s.Ends),
		ActiveTime: timestamppb.New(s.Active), TakeTime: instant(s.Taking), Mode: modes[s.Mode],
	}
	for _, p := range s.Places {
		m.Places = append(m.Places, &licensingv1.SeatPlace{
			Company: of.companyName(p.Company), DeviceId: p.Device, DeviceTitle: p.Title, ExpireTime: timestamppb.New(p.Until),
		})
	}
	return m
}

// modes are the modes as callers know them.
var modes = map[Mode]licensingv1.SeatMode{
	InPool: licensingv1.SeatMode_SEAT_MODE_POOL, Overdraft: licensingv1.SeatMode_SEAT_MODE_OVERDRAFT,
	Guest: licensingv1.SeatMode_SEAT_MODE_GUEST, Reading: licensingv1.SeatMode_SEAT_MODE_READING,
	Travel: licensingv1.SeatMode_SEAT_MODE_TRAVEL,
}

// instant is unset for the zero time.
func instant(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// claims are what the seat's token says.
func (s Seat) claims(of Pool) seattoken.Claims {
	return seattoken.Claims{
		Seat: of.Name(s.ID), Account: licence.AccountName(s.Account), Company: of.companyName(s.Company), Device: s.Device,
		Product: s.Product, Slot: s.Slot, Generation: s.Generation, Expires: s.Ends, ReadOnly: !s.Mode.Counts(),
		Mode: string(s.Mode), PerPerson: s.PerPerson, Until: s.Cap,
	}
}

// lease is how long the lease was when it was given, in whole seconds.
func (s Seat) lease() int32 { return seconds(s.Ends.Sub(s.Renewed)) }

// fromClaims reads a token's claims, which licensing signed.
func fromClaims(c seattoken.Claims) (Pool, Seat, error) {
	of, id, err := parseName(c.Seat)
	if err != nil {
		return of, Seat{}, err
	}
	account, err := licence.ParseAccount(c.Account)
	if err != nil {
		return of, Seat{}, err
	}
	_, company, err := licence.ParseChild(c.Company, "/companies/")
	return of, Seat{
		ID: id, Account: account, Product: c.Product, Slot: c.Slot, Generation: c.Generation, Ends: c.Expires, Mode: Mode(c.Mode),
		PerPerson: c.PerPerson, Cap: c.Until, Place: Place{Company: company, Device: c.Device, Title: c.Device},
	}, err
}
