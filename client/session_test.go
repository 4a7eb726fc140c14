package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/client"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

func TestARefusedSignInSaysWhyInThePersonsLanguage(t *testing.T) {
	d := &double{}
	_, err := start(t, d).SignIn(t.Context(), client.Credentials{Identifier: "ieva@example.org", Password: "wrong"})
	var refusal *client.Error
	if !errors.As(err, &refusal) || refusal.Reason != "TOO_MANY_ATTEMPTS" || refusal.Text != "Par daudz mēģinājumu" || refusal.Values["limit"] != "2" {
		t.Fatalf("got %#v", err)
	}
	if retry, ok := client.RetryAfter(err); !ok || retry != 3*time.Second {
		t.Errorf("retry after %s, %t", retry, ok)
	}
	if status.Code(err) != codes.ResourceExhausted || client.Reason(err) != "TOO_MANY_ATTEMPTS" {
		t.Errorf("code %s, reason %s", status.Code(err), client.Reason(err))
	}
	if got := d.seen.Get("accept-language"); len(got) != 1 || got[0] != "lv" {
		t.Errorf("the language sent is %v", got)
	}
}

func TestCallsShowTheTokenAndTheChosenCompany(t *testing.T) {
	d := &double{}
	s := signIn(t, d)
	if s.Account() != "accounts/a" {
		t.Errorf("the account is %q", s.Account())
	}
	if err := s.ChooseCompany(t.Context(), "subscribers/s/companies/c"); err != nil {
		t.Fatal(err)
	}
	wantShown(t, d, "Bearer access-1")
	list(t, s)
	wantShown(t, d, "Bearer access-for-subscribers/s/companies/c")
}

func TestAnExpiredTokenIsRenewedOnceForAllCallsThatWantIt(t *testing.T) {
	d := &double{life: time.Second} // less than a call needs, so every call waits for a fresh one
	s := signIn(t, d)
	d.mu.Lock()
	d.life = 5 * time.Minute
	d.mu.Unlock()
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() { list(t, s) })
	}
	calls.Wait()
	if d.refreshes != 1 {
		t.Errorf("%d exchanges of tokens for 50 calls", d.refreshes)
	}
	wantShown(t, d, "Bearer access-2")
}

func TestATokenThatKontorCallsExpiredIsRenewedAndTheCallRepeated(t *testing.T) {
	d := &double{expired: 1}
	s := signIn(t, d)
	list(t, s)
	if d.calls != 2 || d.refreshes != 1 {
		t.Errorf("%d calls, %d exchanges", d.calls, d.refreshes)
	}
	wantShown(t, d, "Bearer access-2")
}

func TestALostAnswerToARefreshCostsNothing(t *testing.T) {
	d := &double{life: time.Second, lose: 2}
	s := signIn(t, d)
	d.mu.Lock()
	d.life = 5 * time.Minute
	d.mu.Unlock()
	for range 5 {
		if _, err := identityv1.NewSessionServiceClient(s.Conn()).ListSessions(t.Context(), &identityv1.ListSessionsRequest{}); err == nil {
			break
		}
	}
	list(t, s)
	if s.Err() != nil {
		t.Errorf("the session ended: %v", s.Err())
	}
}

func TestTheAccessTokenIsRenewedBeforeItEndsWithoutACall(t *testing.T) {
	d := &double{life: 50 * time.Millisecond}
	s := signIn(t, d)
	deadline := time.After(10 * time.Second)
	for {
		d.mu.Lock()
		renewed := d.refreshes
		d.mu.Unlock()
		if renewed >= 3 {
			break
		}
		select {
		case <-s.Done():
			t.Fatal(s.Err())
		case <-deadline:
			t.Fatalf("%d exchanges in 10 s", renewed)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if s.RefreshToken() == "refresh-1" {
		t.Error("the refresh token is the first one")
	}
}

func TestARevokedSessionTellsTheProgramAtItsNextCall(t *testing.T) {
	d := &double{}
	s := signIn(t, d)
	d.mu.Lock()
	d.refusal = refuse(codes.Unauthenticated, "SESSION_REVOKED", "Sesija ir beigta", 0)
	d.mu.Unlock()
	_, err := identityv1.NewSessionServiceClient(s.Conn()).ListSessions(t.Context(), &identityv1.ListSessionsRequest{})
	if client.Reason(err) != "SESSION_REVOKED" {
		t.Fatalf("got %v", err)
	}
	<-s.Done()
	if client.Reason(s.Err()) != "SESSION_REVOKED" {
		t.Errorf("it ended with %v", s.Err())
	}
}

func TestAClosedSessionIsResumedAndASignedOutOneIsNot(t *testing.T) {
	d := &double{}
	c := start(t, d)
	s, err := c.SignIn(t.Context(), client.Credentials{Identifier: "ieva@example.org", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := identityv1.NewSessionServiceClient(s.Conn()).ListSessions(t.Context(), &identityv1.ListSessionsRequest{}); !errors.Is(err, client.ErrSignedOut) {
		t.Errorf("a call on a closed session gives %v", err)
	}
	again, err := c.Resume(t.Context(), s.RefreshToken())
	if err != nil {
		t.Fatal(err)
	}
	list(t, again)
	if err := again.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.signedOut != "refresh-2" || !errors.Is(again.Err(), client.ErrSignedOut) {
		t.Errorf("signed out of %q, %v", d.signedOut, again.Err())
	}
}

func TestACallerWhoGivesUpDoesNotSpoilTheRefreshForOthers(t *testing.T) {
	d := &double{life: time.Second}
	s := signIn(t, d)
	d.mu.Lock() // the refresh waits
	d.life = 5 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := identityv1.NewSessionServiceClient(s.Conn()).ListSessions(ctx, &identityv1.ListSessionsRequest{})
	d.mu.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	list(t, s)
	if d.refreshes != 1 {
		t.Errorf("%d exchanges", d.refreshes)
	}
}

func list(t *testing.T, s *client.Session) {
	t.Helper()
	if _, err := identityv1.NewSessionServiceClient(s.Conn()).ListSessions(t.Context(), &identityv1.ListSessionsRequest{}); err != nil {
		t.Error(err)
	}
}

func wantShown(t *testing.T, d *double, want string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if got := d.seen.Get("authorization"); len(got) != 1 || got[0] != want {
		t.Errorf("shown %v, want %s", got, want)
	}
}
