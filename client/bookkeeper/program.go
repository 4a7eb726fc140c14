// Package bookkeeper is a small accounting program: it works in a company's books the way a real one does, by package
// client and the tables of the books kit. It shows how, and is what tests and the demo work with.
//
// Every business date is given to it: it never asks what day it is.
package bookkeeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kontor.internal/client"
)

// Product and area that the program is made for.
const (
	Product = "books"
	area    = "books"
)

// Start says who works where.
type Start struct {
	// Credentials of the person.
	Credentials client.Credentials
	// Company, `subscribers/S/companies/C`.
	Company string
	// Device is the same each time on this device.
	Device string
	// Accounts to post to; the zero value takes Trade.
	Accounts Accounts
	// InLine hears the place in line when all seats are taken; nil does not wait for one.
	InLine func(client.Turn)
}

// Program is a running accounting program: a signed-in person with a seat in an open company.
type Program struct {
	*Books
	Session *client.Session
	Seat    *client.Seat
	Company *client.Company
}

// Open signs in, claims a seat and opens the company. When it can't, it leaves nothing open.
func Open(ctx context.Context, kontor *client.Client, start Start) (*Program, error) {
	session, err := kontor.SignIn(ctx, start.Credentials)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	p, err := Work(ctx, session, start)
	if err != nil {
		return nil, errors.Join(err, session.SignOut(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// Work claims a seat and opens the company in a session that is there.
func Work(ctx context.Context, session *client.Session, start Start) (*Program, error) {
	if err := session.ChooseCompany(ctx, start.Company); err != nil {
		return nil, fmt.Errorf("choose the company: %w", err)
	}
	seat, err := takeSeat(ctx, session, start)
	if err != nil {
		return nil, fmt.Errorf("claim a seat: %w", err)
	}
	company, err := session.OpenCompany(ctx, client.OpenRequest{Company: start.Company, DataArea: area, Seat: seat, Program: "bookkeeper"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the company: %w", err), seat.Close(context.WithoutCancel(ctx)))
	}
	if start.Accounts == (Accounts{}) {
		start.Accounts = Trade
	}
	return &Program{Books: OnTables(company, start.Accounts), Session: session, Seat: seat, Company: company}, nil
}

// takeSeat claims a seat, or waits in line for one if that is wanted.
func takeSeat(ctx context.Context, session *client.Session, start Start) (*client.Seat, error) {
	subscriber, _, _ := strings.Cut(start.Company, "/companies/")
	request := client.SeatRequest{
		Subscriber: subscriber, Company: start.Company, Product: Product, DeviceID: start.Device, DeviceTitle: start.Credentials.Device,
	}
	seat, err := session.HoldSeat(ctx, request)
	taken, full := errors.AsType[*client.SeatsTakenError](err)
	if full && start.InLine != nil && taken.Offered(client.OfferWait) {
		return session.WaitForSeat(ctx, request, start.InLine)
	}
	return seat, err
}

// Close closes the company, gives back the seat and signs out.
func (p *Program) Close(ctx context.Context) error {
	closed := p.Company.Close(ctx)
	if p.Seat.Err() != nil {
		closed = nil // The session ended with the seat.
	}
	return errors.Join(closed, p.Seat.Close(ctx), p.Session.SignOut(ctx))
}

// SampleVoucher is the nth made-up voucher.
func SampleVoucher(n int, day time.Time) Voucher {
	v := Voucher{Receipt: n%2 == 0, Day: day, Person: "Ilze Liepa", Amount: int64(1_000 + 37*n)}
	v.Description = fmt.Sprintf("Office supplies, slip %d", n+1)
	if v.Receipt {
		v.Description = fmt.Sprintf("Payment received, slip %d", n+1)
	}
	return v
}

// SampleSale is the nth made-up sale to a buyer.
func SampleSale(n int, day time.Time, buyer Partner) Sale {
	return Sale{Day: day, Buyer: buyer, Lines: []SaleLine{
		{Item: "Oak board", Quantity: int64(1+n%7) * 1_000, Price: int64(1_999 + 13*n), Rate: 2_100},
		{Item: "Manual, printed", Quantity: 1_000, Price: 1_250, Rate: 500},
		{Item: "Cutting to size", Quantity: int64(250 + 50*(n%9)), Price: 1_533, Rate: 2_100},
	}}
}
