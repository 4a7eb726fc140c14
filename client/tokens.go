package client

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

const (
	// refreshTime bounds one exchange of tokens. A repeated exchange is answered the same for 30 s, so that several tries
	// must fit in.
	refreshTime = 8 * time.Second
	// leastLeft is how long an access token has to hold for a call to begin with it.
	leastLeft = 5 * time.Second
	// firstWait and longestWait bound the pause after an exchange that did not get through.
	firstWait, longestWait = 250 * time.Millisecond, 10 * time.Second
)

// tokens are a session's tokens. However many calls want a fresh one, there is one exchange at a time: a refresh token that
// is used twice looks like a theft.
type tokens struct {
	refresh func(ctx context.Context, token string) (*identityv1.RefreshSessionResponse, error)
	living  context.Context // ends with the session
	die     context.CancelFunc
	flights sync.WaitGroup // exchanges under way

	mu     sync.Mutex
	access string
	next   string        // the refresh token
	until  time.Time     // end of access, by this machine's clock
	life   time.Duration // of an access token
	count  int           // exchanges that began
	flight *flight       // the exchange under way
	err    error         // why the session ended
}

// flight is an exchange that several wait for.
type flight struct {
	done chan struct{}
	err  error
}

// take keeps a new pair. How long it holds is told by Kontor's own times: this machine's clock may be wrong.
func (t *tokens) take(got *identityv1.SessionTokens, session *identityv1.Session) {
	t.access, t.next = got.GetAccessToken(), got.GetRefreshToken()
	made := session.GetRefreshTime()
	if made == nil {
		made = session.GetCreateTime()
	}
	t.life = got.GetAccessTokenExpireTime().AsTime().Sub(made.AsTime())
	t.until = time.Now().Add(t.life)
}

// get gives an access token that holds for the next seconds and is not the refused one.
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	t.mu.Lock()
	if t.err != nil || t.access != refused && time.Until(t.until) > leastLeft {
		defer t.mu.Unlock()
		return t.access, t.err
	}
	f := t.fly()
	t.mu.Unlock()
	if err := f.wait(ctx); err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.access, t.err
}

// renew exchanges the tokens by an exchange that begins after the call.
func (t *tokens) renew(ctx context.Context) error {
	t.mu.Lock()
	under := t.flight
	t.mu.Unlock()
	if under != nil {
		if err := under.wait(ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	f := t.fly()
	t.mu.Unlock()
	return f.wait(ctx)
}

// fly joins the exchange under way or begins one. t.mu is held.
func (t *tokens) fly() *flight {
	if t.flight != nil {
		return t.flight
	}
	f := &flight{done: make(chan struct{})}
	if t.err != nil {
		f.err = t.err
		close(f.done)
		return f
	}
	t.flight, t.count = f, t.count+1
	token := t.next
	t.flights.Go(func() { t.exchange(f, token) })
	return f
}

// exchange belongs to no caller: one that gives up waiting must not spoil it for others.
func (t *tokens) exchange(f *flight, token string) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTime)
	defer cancel()
	answer, err := t.refresh(ctx, token)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.take(answer.GetTokens(), answer.GetSession())
	} else if status.Code(err) == codes.Unauthenticated {
		t.endLocked(err)
	}
	f.err, t.flight = err, nil
	close(f.done)
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// keepFresh renews the access token when a fifth of its life is left, so that calls need not wait for it.
func (t *tokens) keepFresh(ctx context.Context) {
	wait := firstWait
	for {
		t.mu.Lock()
		pause := time.Until(t.until) - t.life/5
		t.mu.Unlock()
		if pause <= 0 {
			pause = wait
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		case <-t.living.Done():
			return
		}
		if _, err := t.early(ctx); err != nil {
			wait = min(2*wait, longestWait)
		} else {
			wait = firstWait
		}
	}
}

// early renews the access token unless a call has done it.
func (t *tokens) early(ctx context.Context) (string, error) {
	t.mu.Lock()
	refused := t.access
	if time.Until(t.until) > t.life/5 {
		refused = ""
	}
	t.mu.Unlock()
	return t.get(ctx, refused)
}

// exchanges counts those that began.
func (t *tokens) exchanges() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// choose keeps another access token of the same session, unless an exchange began since the count given.
func (t *tokens) choose(access string, before int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count != before || t.flight != nil {
		return false
	}
	t.access, t.until = access, time.Now().Add(t.life)
	return true
}

// refused hears of refusals of calls and ends the session where one says that it has ended.
func (t *tokens) refused(err error) {
	switch Reason(err) {
	case "SESSION_REVOKED", "SESSION_EXPIRED":
		t.end(err)
	}
}

func (t *tokens) end(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(why)
}

func (t *tokens) endLocked(why error) {
	if t.err == nil {
		t.err = why
		t.die()
	}
}

func (t *tokens) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *tokens) refreshToken() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}
