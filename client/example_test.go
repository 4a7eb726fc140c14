package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"kontor.internal/client"
)

// What a program does from its start to its end.
func Example() {
	ctx := context.Background()
	err := work(ctx, client.Config{Address: "kontor.example:9443", Language: "lv"},
		client.Credentials{Identifier: "ieva@testapiemers.lv", Password: "…", Device: "Office PC"}, "subscribers/s/companies/c")
	if err != nil {
		slog.Error("the work ended", "err", err)
	}
}

func work(ctx context.Context, config client.Config, who client.Credentials, company string) (err error) {
	kontor, err := client.Connect(config)
	if err != nil {
		return err
	}
	defer kontor.Close()
	session, err := kontor.SignIn(ctx, who)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.SignOut(ctx)) }()
	seat, err := session.HoldSeat(ctx, client.SeatRequest{Subscriber: "subscribers/s", Company: company, Product: "books", DeviceID: "2f9c"})
	if taken, ok := errors.AsType[*client.SeatsTakenError](err); ok {
		return fmt.Errorf("%d people work already: %s", taken.Limit, taken.Holders)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, seat.Close(ctx)) }()
	books, err := session.OpenCompany(ctx, client.OpenRequest{Company: company, DataArea: "books", Seat: seat})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close(ctx)) }()
	return books.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE books.partners SET active = false WHERE code = 'P00001'")
		return err
	})
}

// A refusal is told to the person by its text and to the program by its reason.
func ExampleReason() {
	_, err := client.Connect(client.Config{Address: "no port"})
	fmt.Printf("%q %v\n", client.Reason(err), err != nil)
	// Output: "" true
}
