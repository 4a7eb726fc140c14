package client_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/client"
	"kontor.internal/client/travelseat"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

func TestWhenAllSeatsAreTakenTheErrorSaysWhatElseCanBeDone(t *testing.T) {
	for reason, want := range map[string][2]bool{
		"SEATS_EXHAUSTED": {}, "SEATS_EXHAUSTED_IN_COMPANY": {true, false}, "SEATS_EXHAUSTED_FOR_PRODUCT": {false, true},
	} {
		d := &double{seats: seats{refusal: refuse(codes.ResourceExhausted, reason, "Strādā Ieva", 7*time.Second)}}
		_, err := hold(t, d)
		taken, ok := errors.AsType[*client.SeatsTakenError](err)
		if !ok || taken.Limit != 2 || taken.Holders != "Ieva" || client.Reason(err) != reason || [2]bool{taken.InCompany, taken.ForProduct} != want {
			t.Fatalf("got %#v", err)
		}
		if taken.Waiting != 3 || taken.Licence != "subscribers/s/licences/l" || !slices.Equal(taken.Offers, []string{"wait", "read_only"}) ||
			!taken.Offered(client.OfferReadOnly) || taken.Offered(client.OfferTakeBack) {
			t.Errorf("got %#v", taken)
		}
		if retry, ok := client.RetryAfter(err); !ok || retry != 7*time.Second {
			t.Errorf("retry after %s", retry)
		}
	}
}

func TestWhileSeatsAreCountedAnewAClaimWaits(t *testing.T) {
	d := &double{seats: newSeats(60)}
	d.seats.recovering = 6
	held(t, d)
	if d.seats.claims != 7 {
		t.Errorf("%d tries", d.seats.claims)
	}
	d = &double{seats: seats{recovering: 1_000}}
	s := signIn(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := s.HoldSeat(ctx, request)
	if client.Reason(err) != "SEATS_RECOVERING" && !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the time was over: %v", err)
	}
}

func TestWhoWaitsInLineIsToldThePlaceAndHoldsTheSeatThatIsOffered(t *testing.T) {
	d := &double{seats: newSeats(60)}
	s := signIn(t, d)
	d.seats.refuse(refuse(codes.ResourceExhausted, "SEATS_EXHAUSTED", "", 0))
	if _, err := s.HoldSeat(t.Context(), request); client.Reason(err) != "SEATS_EXHAUSTED" {
		t.Fatal(err)
	}
	d.seats.line = []*licensingv1.WaitForSeatResponse{
		{Position: 2, NextExpireTime: kontorsTime(time.Now())}, nil, {Position: 1, NextExpireTime: kontorsTime(time.Now())}, {Offered: true},
	}
	var places []int
	seat, err := s.WaitForSeat(t.Context(), request, func(turn client.Turn) { places = append(places, turn.Position) })
	if err != nil || !slices.Equal(places, []int{2, 1}) {
		t.Fatalf("places %v, %v", places, err)
	}
	if err := seat.Close(t.Context()); err != nil || d.seats.waits != 2 {
		t.Errorf("joined the line %d times, %v", d.seats.waits, err)
	}
}

func TestWhoIsNotLetIntoTheLineIsToldSo(t *testing.T) {
	d := &double{seats: seats{refusal: refuse(codes.ResourceExhausted, "SEATS_QUEUE_FULL", "", 0)}}
	s := signIn(t, d)
	if _, err := s.WaitForSeat(t.Context(), request, nil); client.Reason(err) != "SEATS_QUEUE_FULL" {
		t.Error(err)
	}
	d.seats.refuse(status.Error(codes.Unavailable, "no way through"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.WaitForSeat(ctx, request, nil); err == nil {
		t.Error("it ended without a seat and without an error")
	}
}

func TestASeatIsTakenBackAndReadWith(t *testing.T) {
	d := &double{seats: newSeats(60)}
	s := signIn(t, d)
	r := request
	r.TakeBack, r.ReadOnly = seatName, true
	seat, err := s.HoldSeat(t.Context(), r)
	if err != nil || d.seats.claimed.GetTakeBack() != seatName || !d.seats.claimed.GetReadOnly() {
		t.Fatalf("claimed %v, %v", d.seats.claimed, err)
	}
	if err := seat.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAHolderIsFoundAndAsked(t *testing.T) {
	d := &double{}
	s := signIn(t, d)
	holders, err := s.SeatHolders(t.Context(), "subscribers/s/licences/l")
	if err != nil || len(holders) != 2 {
		t.Fatal(holders, err)
	}
	if err := s.AskForSeat(t.Context(), holders[1].GetName(), "Vai drīkst?"); err != nil || d.seats.asked != "subscribers/s/licences/l/seats/2: Vai drīkst?" {
		t.Errorf("asked %q, %v", d.seats.asked, err)
	}
}

func TestASeatThatGoesOutIsCheckedAndComesBack(t *testing.T) {
	read := func(name string) []byte {
		content, err := os.ReadFile("travelseat/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	good := read("good.seat")
	says, err := travelseat.Show(good)
	if err != nil {
		t.Fatal(err)
	}
	d := &double{seats: seats{jwks: read("keys.json")}}
	d.seats.travel = &licensingv1.CreateTravelSeatResponse{TravelSeat: &licensingv1.TravelSeat{Name: says.Name}, File: good}
	s := signIn(t, d)
	r := client.TravelRequest{SeatRequest: request, Days: 2, RequestID: client.RequestID()}
	r.Company, r.DeviceID = says.Company, says.Device
	out, err := s.CreateTravelSeat(t.Context(), r)
	if err != nil || out.Seat != says || !bytes.Equal(out.File, good) {
		t.Fatalf("%+v, %v", out, err)
	}
	d.seats.travel.File = read("changed.seat")
	if out, err = s.CreateTravelSeat(t.Context(), r); !errors.Is(err, travelseat.ErrSignature) || out.Name != says.Name {
		t.Errorf("a file that was changed: %+v, %v", out, err)
	}
	d.seats.travel.File, r.DeviceID = good, "another"
	if _, err = s.CreateTravelSeat(t.Context(), r); err == nil {
		t.Error("a file for another device is taken")
	}
	if err := s.ReturnTravelSeat(t.Context(), says.Name); err != nil || !slices.Equal(d.seats.released, []string{says.Name}) {
		t.Errorf("brought back %v, %v", d.seats.released, err)
	}
}
