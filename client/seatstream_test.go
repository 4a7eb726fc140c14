package client_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// within waits until something is so.
func within(t *testing.T, d time.Duration, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(d); !so(); {
		select {
		case <-over:
			t.Fatal(what)
		case <-tick.C:
		}
	}
}

func TestASeatLivesOnWhenItsStreamBreaks(t *testing.T) {
	d := &double{seats: seats{lease: 2, cut: 2}}
	seat := held(t, d)
	within(t, 5*time.Second, "no third stream came", func() (so bool) {
		d.seats.counted(func() { so = d.seats.streams >= 3 && len(d.seats.holds) >= 3 })
		return so
	})
	if seat.Err() != nil {
		t.Fatal(seat.Err())
	}
	d.seats.counted(func() {
		second := d.seats.holds[1].GetSeat()
		if second.GetToken() != "token-0" || second.GetStamp() != "stamp-1" {
			t.Errorf("the second stream began with %v", second)
		}
	})
}

func TestWhereNoStreamsGetThroughSingleCallsRenewASeat(t *testing.T) {
	d := &double{seats: seats{lease: 1, noStreams: status.Error(codes.Unavailable, "no streams here")}}
	seat := held(t, d)
	within(t, 5*time.Second, "it was not renewed", func() (so bool) {
		d.seats.counted(func() { so = d.seats.renewals >= 3 })
		return so
	})
	if seat.Err() != nil {
		t.Fatal(seat.Err())
	}
	if err := seat.Close(t.Context()); err != nil || d.seats.released != "token-1" {
		t.Errorf("%v, %q was released", err, d.seats.released)
	}
}

func TestAProgramHearsWhoWantsItsSeatAndWhenItWillBeTaken(t *testing.T) {
	d := &double{seats: seats{lease: 60, tell: make(chan *licensingv1.SeatRenewal)}}
	seat := held(t, d)
	plea := &licensingv1.SeatPlea{Id: "p", Account: "accounts/b", AccountTitle: "Ieva", Text: "Uz minūti?"}
	at := timestamppb.New(time.Now().Add(time.Minute).Truncate(time.Second))
	d.seats.tell <- &licensingv1.SeatRenewal{Held: true, Pleas: []*licensingv1.SeatPlea{plea}}
	news := <-seat.News()
	if len(news.Pleas) != 1 || news.Pleas[0] != (client.SeatPlea{Account: "accounts/b", Title: "Ieva", Text: "Uz minūti?"}) || !news.TakeTime.IsZero() {
		t.Errorf("%+v", news)
	}
	d.seats.tell <- &licensingv1.SeatRenewal{Held: true, Pleas: []*licensingv1.SeatPlea{plea}}
	d.seats.tell <- &licensingv1.SeatRenewal{Held: true, Pleas: []*licensingv1.SeatPlea{plea}, TakeTime: at}
	if news = <-seat.News(); !news.TakeTime.Equal(at.AsTime()) {
		t.Errorf("what is known was told again: %+v", news)
	}
	d.seats.refuse(refuse(codes.FailedPrecondition, "SEAT_LOST", "Vietu atņēma", 0))
	d.seats.tell <- &licensingv1.SeatRenewal{}
	<-seat.Lost()
	if client.Reason(seat.Err()) != "SEAT_LOST" {
		t.Error(seat.Err())
	}
}

func TestOthersSeeForHowLongNobodyWorks(t *testing.T) {
	d := &double{seats: seats{lease: 3}}
	seat := held(t, d)
	seat.Worked()
	within(t, 5*time.Second, "it was not told", func() (so bool) {
		d.seats.counted(func() {
			so = slices.ContainsFunc(d.seats.holds, func(h *licensingv1.SeatHold) bool { return h.GetIdleSeconds() >= 1 })
		})
		return so
	})
}

func TestWhoWaitsInLineGetsTheSeatThatIsOffered(t *testing.T) {
	full := refuse(codes.ResourceExhausted, "SEATS_EXHAUSTED", "Strādā Ieva", 0)
	d := &double{seats: seats{lease: 60, refusal: full, line: []*licensingv1.WaitForSeatResponse{{Position: 2}, {Position: 1}, {Offered: true}}}}
	s := signIn(t, d)
	var places []int
	seat, err := s.WaitForSeat(t.Context(), client.SeatRequest{Subscriber: "subscribers/s", Company: "c", Product: "books", DeviceID: "d"},
		func(q client.Queued) { places = append(places, q.Position) })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(places, []int{2, 1}) {
		t.Errorf("it was told %v", places)
	}
	if err := s.AskForSeat(t.Context(), "subscribers/s/licences/l/seats/t", "Uz minūti?"); err != nil || d.seats.asked.GetText() != "Uz minūti?" {
		t.Error(err, d.seats.asked)
	}
	if err := seat.Transfer(t.Context(), "accounts/b"); err != nil || d.seats.given.GetAccount() != "accounts/b" {
		t.Error(err, d.seats.given)
	}
	if !errors.Is(seat.Err(), client.ErrTransferred) {
		t.Error(seat.Err())
	}
	if err := seat.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestALineThatIsFullIsNotWaitedIn(t *testing.T) {
	d := &double{}
	s := signIn(t, d)
	d.seats.noLine = refuse(codes.ResourceExhausted, "SEATS_QUEUE_FULL", "Rinda ir pilna", 0)
	_, err := s.WaitForSeat(t.Context(), client.SeatRequest{Subscriber: "subscribers/s", Company: "c", Product: "books", DeviceID: "d"}, nil)
	if client.Reason(err) != "SEATS_QUEUE_FULL" {
		t.Error(err)
	}
}

func TestAClaimSaysWhatIsTakenBackAndThatItOnlyReads(t *testing.T) {
	d := &double{seats: seats{lease: 60}}
	seat, err := signIn(t, d).HoldSeat(t.Context(), client.SeatRequest{
		Subscriber: "subscribers/s", Company: "c", Product: "books", DeviceID: "d", ReadOnly: true, TakeBack: "subscribers/s/licences/l/seats/old",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !d.seats.claimed.GetReadOnly() || d.seats.claimed.GetTakeBack() != "subscribers/s/licences/l/seats/old" {
		t.Error(d.seats.claimed)
	}
	if err := seat.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
