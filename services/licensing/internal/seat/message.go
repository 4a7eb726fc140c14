package seat

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/seattoken"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// message is a seat as callers see it.
func (s Seat) message(of Pool, title string) *licensingv1.Seat {
	return &licensingv1.Seat{
		Name: of.Name(s.ID), Account: licence.AccountName(s.Account), AccountTitle: title, Company: of.companyName(s.Company),
		Product: s.Product, DeviceId: s.Device, DeviceTitle: s.Title, Slot: s.Slot, Generation: s.Generation,
		CreateTime: timestamppb.New(s.Since), RenewTime: timestamppb.New(s.Renewed), ExpireTime: timestamppb.New(s.Ends),
	}
}

// claims are what the seat's token says.
func (s Seat) claims(of Pool) seattoken.Claims {
	return seattoken.Claims{
		Seat: of.Name(s.ID), Account: licence.AccountName(s.Account), Company: of.companyName(s.Company), Device: s.Device,
		Product: s.Product, Slot: s.Slot, Generation: s.Generation, Expires: s.Ends,
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
		ID: id, Account: account, Company: company, Product: c.Product, Device: c.Device, Title: c.Device,
		Slot: c.Slot, Generation: c.Generation, Ends: c.Expires,
	}, err
}
