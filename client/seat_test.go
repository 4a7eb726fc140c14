package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

var request = client.SeatRequest{Subscriber: "subscribers/s", Company: "subscribers/s/companies/c", Product: "books", DeviceID: "d"}

func hold(t *testing.T, d *double) (*client.Seat, error) {
	t.Helper()
	return signIn(t, d).HoldSeat(t.Context(), request)
}

func held(t *testing.T, d *double) *client.Seat {
	t.Helper()
	seat, err := hold(t, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := seat.Close(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, client.ErrSignedOut) {
			t.Error(err)
		}
	})
	return seat
}

// within fails a test that waits for too long.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case got := <-c:
		return got
	case <-time.After(8 * time.Second):
		t.Fatal("it did not happen that " + what)
		panic("unreachable")
	}
}

func TestASeatIsRenewedOverAStreamAndReleasedByItsEnd(t *testing.T) {
	d := &double{seats: newSeats(3)}
	seat := held(t, d)
	if first := within(t, d.seats.heard, "the stream begins"); first.GetSeat().GetName() != seatName || first.GetSeat().GetToken() != "token-1" {
		t.Errorf("the stream began with %v", first)
	}
	for began, n := time.Now(), 0; n < 2; n++ {
		next := within(t, d.seats.heard, "the seat is renewed")
		if took := time.Since(began); next.GetSeat() != nil || next.GetNumber() != 1 || took < 800*time.Millisecond || took > 1800*time.Millisecond {
			t.Errorf("a lease of 3 s was renewed after %s by %v", took, next)
		}
		began = time.Now()
	}
	if seat.Token() != "token-2" {
		t.Errorf("the token is %s", seat.Token())
	}
	for range 2 {
		if err := seat.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(seat.Err(), client.ErrReleased) || !slices.Equal(d.seats.released, []string{"by its stream"}) || d.seats.calls != 0 {
		t.Errorf("it ended with %v, released %q, after %d single calls", seat.Err(), d.seats.released, d.seats.calls)
	}
	<-seat.Lost()
}

func TestASeatThatIsGoneIsLostWithTheReason(t *testing.T) {
	d := &double{seats: newSeats(60)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	d.seats.refuse(refuse(codes.FailedPrecondition, "SEAT_LOST", "Jūsu vieta vairs nav aizņemta", 0))
	d.seats.news <- &licensingv1.SeatRenewal{Name: seatName}
	within(t, seat.Lost(), "the program is told")
	if client.Reason(seat.Err()) != "SEAT_LOST" || !strings.Contains(seat.Err().Error(), "Jūsu vieta") || errors.Is(seat.Err(), client.ErrTaken) {
		t.Errorf("it ended with %v", seat.Err())
	}
	if err := seat.Close(t.Context()); err != nil || len(d.seats.released) > 0 {
		t.Errorf("closing a lost seat released %q, %v", d.seats.released, err)
	}
}

func TestACutStreamIsFollowedByAnotherWithWhatWasGotLast(t *testing.T) {
	d := &double{seats: newSeats(60)}
	seat := held(t, d)
	for n := range 3 {
		within(t, d.seats.heard, "a stream begins")
		d.seats.cut <- status.Error(codes.Internal, "the copy went away")
		if n == 0 {
			continue
		}
		d.seats.mu.Lock()
		if p := d.seats.proofs[n]; p.GetToken() != "token-"+string(rune('1'+n)) || p.GetStamp() != "stamp-"+string(rune('0'+n)) {
			t.Errorf("stream %d began with %v", n, p)
		}
		d.seats.mu.Unlock()
	}
	within(t, d.seats.heard, "the last stream begins")
	if err := seat.Check(t.Context()); err != nil || seat.Err() != nil || d.seats.calls != 0 {
		t.Errorf("%v, %v, %d single calls", err, seat.Err(), d.seats.calls)
	}
}

func TestAStreamThatFallsSilentIsLeftForAnother(t *testing.T) {
	d := &double{seats: newSeats(3)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	d.seats.set(func(s *seats) { s.swallow = 1 })
	if err := seat.Check(t.Context()); err != nil { // It is asked on the one and answered on the other.
		t.Error(err)
	}
	if swallowed := within(t, d.seats.heard, "the first is asked"); swallowed.GetSeat() != nil {
		t.Errorf("asked with %v", swallowed)
	}
	if again := within(t, d.seats.heard, "another stream begins"); again.GetSeat().GetStamp() != "stamp-1" {
		t.Errorf("it began with %v", again)
	}
}

func TestASeatThatCanNotBeRenewedIsLostWhenItsLeaseIsOver(t *testing.T) {
	d := &double{seats: newSeats(2)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	began := time.Now()
	away := status.Error(codes.Internal, "no way through")
	d.seats.set(func(s *seats) { s.refusal, s.noStreams = away, away })
	d.seats.cut <- away
	within(t, seat.Lost(), "the seat is lost")
	if took := time.Since(began); took < 1500*time.Millisecond || took > 3*time.Second {
		t.Errorf("a lease of 2 s was over after %s", took)
	}
	if !errors.Is(seat.Err(), client.ErrLeaseOver) || d.seats.calls < 1 {
		t.Errorf("%d tries, %v", d.seats.calls, seat.Err())
	}
}

func TestAShortDisturbanceLosesNoSeat(t *testing.T) {
	d := &double{seats: newSeats(6)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	away := status.Error(codes.Unavailable, "restarting")
	d.seats.set(func(s *seats) { s.noStreams = away })
	d.seats.cut <- away
	time.AfterFunc(500*time.Millisecond, func() { d.seats.set(func(s *seats) { s.noStreams = nil }) })
	within(t, d.seats.heard, "another stream begins")
	if seat.Err() != nil {
		t.Error(seat.Err())
	}
}

func TestWhereNoStreamGetsThroughSingleCallsRenew(t *testing.T) {
	for what, d := range map[string]*double{"refused": {seats: newSeats(3)}, "silent": {seats: newSeats(3)}} {
		if what == "refused" {
			d.seats.noStreams = status.Error(codes.Unimplemented, "streams are forbidden here")
		}
		d.seats.silent = what == "silent"
		t.Run(what, func(t *testing.T) {
			seat := held(t, d)
			for deadline := time.Now().Add(8 * time.Second); ; {
				var calls int
				d.seats.set(func(s *seats) { calls = s.calls })
				if calls >= 2 {
					break
				}
				if time.Now().After(deadline) || seat.Err() != nil {
					t.Fatal(calls, seat.Err())
				}
				<-time.After(5 * time.Millisecond)
			}
			if err := seat.Check(t.Context()); err != nil {
				t.Error(err)
			}
			taking := kontorsTime(time.Now().Add(time.Minute))
			d.seats.set(func(s *seats) { s.taking = taking })
			if news := within(t, seat.News(), "news come with the renewals"); time.Until(news.TakeTime) > time.Minute {
				t.Error(news)
			}
			if err := seat.Close(t.Context()); err != nil || !slices.Equal(d.seats.released, []string{seat.Token()}) {
				t.Errorf("released %q, %v", d.seats.released, err)
			}
		})
	}
}

func TestAHolderIsToldOncePerPleaAndWhenTheSeatIsTaken(t *testing.T) {
	d := &double{seats: newSeats(60)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	plea := &licensingv1.SeatPlea{Id: "1", Account: "accounts/b", AccountTitle: "Anna", Text: "Vai drīkst?"}
	d.seats.news <- &licensingv1.SeatRenewal{Held: true, Pleas: []*licensingv1.SeatPlea{plea}}
	news := within(t, seat.News(), "the plea is told")
	if !slices.Equal(news.Pleas, []client.Plea{{Account: "accounts/b", Name: "Anna", Text: "Vai drīkst?"}}) || !news.TakeTime.IsZero() {
		t.Errorf("%+v", news)
	}
	at := time.Now().Add(40 * time.Second)
	for range 2 { // Told twice, and by the next renewal, too.
		d.seats.news <- &licensingv1.SeatRenewal{Held: true, TakeTime: kontorsTime(at), Pleas: []*licensingv1.SeatPlea{plea}}
	}
	news = within(t, seat.News(), "the time is told")
	if len(news.Pleas) != 0 || news.TakeTime.Sub(at).Abs() > 500*time.Millisecond {
		t.Errorf("%+v, it is taken at %s", news, at)
	}
	d.seats.set(func(s *seats) { s.taking = kontorsTime(at) })
	if err := seat.Check(t.Context()); err != nil || len(seat.News()) > 0 {
		t.Errorf("told again: %d, %v", len(seat.News()), err)
	}
	d.seats.refuse(refuse(codes.FailedPrecondition, "SEAT_LOST", "", 0))
	d.seats.news <- &licensingv1.SeatRenewal{Name: seatName}
	within(t, seat.Lost(), "the seat is lost")
	if !errors.Is(seat.Err(), client.ErrTaken) || client.Reason(seat.Err()) != "SEAT_LOST" {
		t.Errorf("it ended with %v", seat.Err())
	}
}

func TestUnreadNewsAreToldTogether(t *testing.T) {
	d := &double{seats: newSeats(60)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	for _, id := range []string{"1", "2", "3"} {
		d.seats.news <- &licensingv1.SeatRenewal{Held: true, Pleas: []*licensingv1.SeatPlea{{Id: id, Text: id}}}
	}
	if err := seat.Check(t.Context()); err != nil { // Its answer comes after the news.
		t.Fatal(err)
	}
	if news := within(t, seat.News(), "the pleas are told"); len(news.Pleas) != 3 || news.Pleas[2].Text != "3" {
		t.Errorf("%+v", news)
	}
}

func TestHowLongThePersonHasNotWorkedIsSent(t *testing.T) {
	d := &double{seats: newSeats(5)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	seat.Worked()
	if next := within(t, d.seats.heard, "the seat is renewed"); next.GetIdleSeconds() < 1 || next.GetIdleSeconds() > 2 {
		t.Errorf("sent %v", next)
	}
	seat.Worked()
	if err := seat.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next := within(t, d.seats.heard, "the seat is checked"); next.GetIdleSeconds() != 0 {
		t.Errorf("sent %v", next)
	}
}

func TestASeatEndsWithItsSession(t *testing.T) {
	d := &double{seats: newSeats(60)}
	s := signIn(t, d)
	seat, err := s.HoldSeat(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	within(t, seat.Lost(), "the seat is lost")
	if !errors.Is(seat.Err(), client.ErrSignedOut) {
		t.Errorf("it ended with %v", seat.Err())
	}
	if err := seat.Close(t.Context()); err != nil || len(d.seats.released) > 0 {
		t.Errorf("it was released %v, %v", d.seats.released, err)
	}
}

func TestAStreamWhoseTokenHasExpiredBeginsAgainWithAnother(t *testing.T) {
	d := &double{seats: newSeats(60)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	d.seats.cut <- refuse(codes.Unauthenticated, "TOKEN_EXPIRED", "", 0)
	within(t, d.seats.heard, "another stream begins")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refreshes != 1 || seat.Err() != nil {
		t.Errorf("%d refreshes, %v", d.refreshes, seat.Err())
	}
}

func TestAProgramThatSuspectsItsSeatIsGoneIsToldAtOnce(t *testing.T) {
	d := &double{seats: newSeats(3600)}
	seat := held(t, d)
	if err := seat.Check(t.Context()); err != nil || seat.Token() != "token-2" {
		t.Fatalf("a held seat: %v, %s", err, seat.Token())
	}
	d.seats.refuse(refuse(codes.FailedPrecondition, "SEAT_LOST", "", 0))
	if err := seat.Check(t.Context()); client.Reason(err) != "SEAT_LOST" {
		t.Errorf("a lost seat: %v", err)
	}
	<-seat.Lost()
}

func TestASeatIsHandedOver(t *testing.T) {
	d := &double{seats: newSeats(60)}
	seat := held(t, d)
	within(t, d.seats.heard, "the stream begins")
	if _, err := seat.Transfer(t.Context(), "accounts/stranger"); client.Reason(err) != "SEAT_PERSON_UNFIT" {
		t.Fatal(err)
	}
	within(t, d.seats.heard, "the seat is held on")
	until, err := seat.Transfer(t.Context(), "accounts/b")
	if left := time.Until(until); err != nil || left > 2*time.Minute || left < time.Minute {
		t.Errorf("offered until %s, %v", until, err)
	}
	if err := seat.Close(t.Context()); err != nil || !errors.Is(seat.Err(), client.ErrTransferred) || len(d.seats.released) > 0 {
		t.Errorf("it ended with %v, released %v, %v", seat.Err(), d.seats.released, err)
	}
}
