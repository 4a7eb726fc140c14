package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// seatsOf are a program's seats: each device of its person has one.
type seatsOf struct {
	*client.Session
	request client.SeatRequest
}

// on is the request for a device.
func (s seatsOf) on(device string) client.SeatRequest {
	r := s.request
	r.DeviceID, r.DeviceTitle = device, "Dators "+device
	return r
}

// fill holds seats until there are no more.
func (s seatsOf) fill(t *testing.T) ([]*client.Seat, *client.SeatsTakenError) {
	t.Helper()
	var all []*client.Seat
	for n := 0; ; n++ {
		seat, err := s.HoldSeat(t.Context(), s.on(fmt.Sprint(n)))
		if taken, full := errors.AsType[*client.SeatsTakenError](err); full {
			return all, taken
		}
		must(t, err)
		t.Cleanup(func() { _ = seat.Close(context.WithoutCancel(t.Context())) })
		all = append(all, seat)
	}
}

// next waits for a seat's news.
func next(t *testing.T, seat *client.Seat) client.News {
	t.Helper()
	select {
	case news := <-seat.News():
		return news
	case <-seat.Lost():
		t.Fatal("the seat is lost: ", seat.Err())
	case <-time.After(20 * time.Second):
		t.Fatal("no news came")
	}
	return client.News{}
}

// J7: whoever finds all seats taken sees what can be done, asks, waits in line, and gets the seat that is given back.
func TestAProgramAsksAndWaitsForASeat(t *testing.T) {
	t.Parallel()
	p, kontor, company := trading(t, suite(t), "Rindas Gaidītāja")
	s := seatsOf{signedIn(t, p, kontor), client.SeatRequest{Subscriber: parentOf(company), Company: company, Product: "books"}}
	held, taken := s.fill(t)
	if taken.Limit != len(held) || !taken.Offered(client.OfferWait) || !taken.Offered(client.OfferTakeBack) || !strings.Contains(taken.Holders, "Rindas Gaidītāja") {
		t.Errorf("%d are held: %+v", len(held), taken)
	}
	if retry, ok := client.RetryAfter(taken); !ok || retry <= 0 {
		t.Errorf("the next is free after %s", retry)
	}
	holders, err := s.SeatHolders(t.Context(), taken.Licence)
	must(t, err)
	if len(holders) != len(held) {
		t.Errorf("%d holders of %d seats", len(holders), len(held))
	}
	must(t, s.AskForSeat(t.Context(), held[0].Name(), "Vai drīkst?"))
	if news := next(t, held[0]); len(news.Pleas) != 1 || news.Pleas[0].Text != "Vai drīkst?" || news.Pleas[0].Name != "Rindas Gaidītāja" {
		t.Errorf("%+v", news)
	}
	released := make(chan error, 1)
	late, err := s.WaitForSeat(t.Context(), s.on("late"), func(turn client.Turn) {
		if turn.Position == 1 && held[0].Err() == nil {
			released <- held[0].Close(t.Context())
		}
	})
	must(t, err)
	must(t, <-released)
	must(t, late.Check(t.Context()))
	must(t, late.Close(t.Context()))
	back := s.on("back")
	back.TakeBack = held[1].Name()
	here, err := s.HoldSeat(t.Context(), back)
	must(t, err)
	<-held[1].Lost()
	if client.Reason(held[1].Err()) != "SEAT_LOST" {
		t.Errorf("the device that was left running was told %v", held[1].Err())
	}
	must(t, here.Close(t.Context()))
}

// J7: a cut of the network loses no seat, and a seat that is taken away leaves the time to save.
func TestAProgramsSeatLivesThroughACutAndIsToldBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	suite := suite(t)
	p, _, company := trading(t, suite, "Pārrāvumu Pārcietēja")
	way, err := suite.Proxy(suite.State().GRPC)
	must(t, err)
	kontor, err := p.LibraryBy(way.Address())
	must(t, err)
	t.Cleanup(func() { must(t, kontor.Close()) })
	session := signedIn(t, p, kontor)
	seat, err := session.HoldSeat(t.Context(), client.SeatRequest{Subscriber: parentOf(company), Company: company, Product: "books", DeviceID: "pc-1"})
	must(t, err)
	must(t, seat.Check(t.Context()))
	way.Cut()
	must(t, way.Mend())
	eventually(t, 15*time.Second, "the seat is held on", func() bool { return seat.Check(t.Context()) == nil })
	seats := licensingv1.NewSeatServiceClient(session.Conn())
	answer, err := seats.TakeSeat(t.Context(), &licensingv1.TakeSeatRequest{Name: seat.Name(), GraceSeconds: proto.Int32(3)})
	must(t, err)
	if news := next(t, seat); news.TakeTime.Sub(answer.GetTakeTime().AsTime()).Abs() > 2*time.Second {
		t.Errorf("it is taken at %s, the program was told %s", answer.GetTakeTime().AsTime(), news.TakeTime)
	}
	must(t, seat.Check(t.Context())) // It is held until then.
	<-seat.Lost()
	if !errors.Is(seat.Err(), client.ErrTaken) {
		t.Errorf("it ended with %v", seat.Err())
	}
	out, err := session.CreateTravelSeat(t.Context(), client.TravelRequest{
		SeatRequest: client.SeatRequest{Subscriber: parentOf(company), Company: company, Product: "books", DeviceID: "laptop-7"},
		Days:        3, RequestID: client.RequestID(),
	})
	must(t, err)
	must(t, session.ReturnTravelSeat(t.Context(), out.Name))
}
