package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

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
	seat, err := takeSeat(ctx, session, client.SeatRequest{Subscriber: "subscribers/s", Company: company, Product: "books", DeviceID: "2f9c"})
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

// takeSeat waits in line when all seats are taken.
func takeSeat(ctx context.Context, session *client.Session, request client.SeatRequest) (*client.Seat, error) {
	seat, err := session.HoldSeat(ctx, request)
	taken, full := errors.AsType[*client.SeatsTakenError](err)
	if !full || !taken.Offered(client.OfferWait) {
		return seat, err
	}
	fmt.Printf("%d work already: %s\n", taken.Limit, taken.Holders)
	return session.WaitForSeat(ctx, request, func(turn client.Turn) { fmt.Printf("number %d in line\n", turn.Position) })
}

// While a person works, the program listens to what others want of the seat.
func ExampleSeat_News() {
	listen := func(seat *client.Seat, save func(before time.Time)) error {
		for {
			select {
			case news := <-seat.News():
				for _, plea := range news.Pleas {
					fmt.Printf("%s asks for your seat: %s\n", plea.Name, plea.Text)
				}
				if !news.TakeTime.IsZero() {
					save(news.TakeTime)
				}
			case <-seat.Lost():
				return seat.Err()
			}
		}
	}
	_ = listen
}

// A colleague gets the seat before anybody else does.
func ExampleSeat_Transfer() {
	handOver := func(ctx context.Context, books *client.Company, seat *client.Seat) error {
		if err := books.Close(ctx); err != nil {
			return err
		}
		until, err := seat.Transfer(ctx, "accounts/a")
		if client.Reason(err) == "SEAT_PERSON_UNFIT" {
			return errors.New("they may not work in this company")
		}
		fmt.Println("kept for them until", until)
		return err
	}
	_ = handOver
}

// A seat that goes out with a laptop; package travelseat checks its file there.
func ExampleSession_CreateTravelSeat() {
	takeOut := func(ctx context.Context, session *client.Session, request client.SeatRequest) error {
		out, err := session.CreateTravelSeat(ctx, client.TravelRequest{SeatRequest: request, Days: 3, RequestID: client.RequestID()})
		if err != nil {
			return err
		}
		if err := os.WriteFile("kontor.seat", out.File, 0o600); err != nil {
			return err
		}
		return os.WriteFile("kontor-keys.json", out.Keys, 0o600)
	}
	_ = takeOut
}

// A refusal is told to the person by its text and to the program by its reason.
func ExampleReason() {
	_, err := client.Connect(client.Config{Address: "no port"})
	fmt.Printf("%q %v\n", client.Reason(err), err != nil)
	// Output: "" true
}
