package client

import (
	"context"
	"errors"
	"strings"
	"sync"

	"google.golang.org/grpc"

	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Credentials are what a person signs in with.
type Credentials struct {
	// Identifier is a verified identifier of the account: its e-mail.
	Identifier string
	// Password of the account.
	Password string
	// Device is what this device calls itself in the person's list of sessions; may be empty.
	Device string
}

// ErrSignedOut is what calls on a session give that was signed out or closed here.
var ErrSignedOut = errors.New("the session was signed out or closed")

// Session is a signed-in person. Its access token is renewed in the background, until SignOut or Close.
type Session struct {
	client  *Client
	name    string // accounts/A/sessions/N
	tokens  tokens
	stop    context.CancelFunc
	running sync.WaitGroup
}

// SignIn begins a session. Reasons of a refusal: SIGN_IN_REFUSED, TOO_MANY_ATTEMPTS (with RetryAfter).
func (c *Client) SignIn(ctx context.Context, who Credentials) (*Session, error) {
	answer, err := c.sessions().SignIn(ctx, &identityv1.SignInRequest{
		Identifier: who.Identifier, Password: who.Password, DeviceName: who.Device,
	})
	if err != nil {
		return nil, err
	}
	return c.begin(answer.GetSession(), answer.GetTokens()), nil
}

// Resume goes on with a session that was closed, by the refresh token that Session.RefreshToken gave last. Reasons of a
// refusal: REFRESH_TOKEN_INVALID, REFRESH_TOKEN_REUSED, SESSION_EXPIRED; then the person signs in again.
func (c *Client) Resume(ctx context.Context, refreshToken string) (*Session, error) {
	answer, err := c.sessions().RefreshSession(ctx, &identityv1.RefreshSessionRequest{RefreshToken: refreshToken})
	if err != nil {
		return nil, err
	}
	return c.begin(answer.GetSession(), answer.GetTokens()), nil
}

func (c *Client) begin(session *identityv1.Session, got *identityv1.SessionTokens) *Session {
	ctx, stop := context.WithCancel(context.Background())
	s := &Session{client: c, name: session.GetName(), stop: stop}
	living, die := context.WithCancel(context.Background())
	s.tokens = tokens{living: living, die: die, refresh: func(ctx context.Context, token string) (*identityv1.RefreshSessionResponse, error) {
		return c.sessions().RefreshSession(ctx, &identityv1.RefreshSessionRequest{RefreshToken: token})
	}}
	s.tokens.take(got, session)
	s.running.Go(func() { s.tokens.keepFresh(ctx) })
	return s
}

// Account is the account's name, `accounts/A`.
func (s *Session) Account() string {
	account, _, _ := strings.Cut(s.name, "/sessions/")
	return account
}

// Name is the session's name, `accounts/A/sessions/N`.
func (s *Session) Name() string { return s.name }

// Conn calls methods of the contract as the person.
func (s *Session) Conn() grpc.ClientConnInterface {
	return conn{to: s.client.grpc, language: s.client.language, token: s.tokens.get, refused: s.tokens.refused}
}

// Done is closed when the session can't be used any more; Err then says why.
func (s *Session) Done() <-chan struct{} { return s.tokens.living.Done() }

// Err is why the session ended: ErrSignedOut, or Kontor's refusal, e.g. SESSION_REVOKED; nil while it lives.
func (s *Session) Err() error { return s.tokens.failure() }

// RefreshToken is what Resume takes. It changes every few minutes, so ask for it after Close. Keep it as safe as a password.
func (s *Session) RefreshToken() string { return s.tokens.refreshToken() }

// ChooseCompany says which company, `subscribers/S/companies/C`, the session works for; empty for none. The choice is kept
// by the session until the next.
func (s *Session) ChooseCompany(ctx context.Context, company string) error {
	before := s.tokens.exchanges()
	answer, err := identityv1.NewSessionServiceClient(s.Conn()).ChooseCompany(ctx, &identityv1.ChooseCompanyRequest{Company: company})
	if err != nil {
		return err
	}
	if s.tokens.choose(answer.GetAccessToken(), before) {
		return nil
	}
	// The token was renewed meanwhile, and the later of the two may not name the company: get one that surely does.
	return s.tokens.renew(ctx)
}

// SignOut ends the session at Kontor; its tokens are void. Release seats and close companies before it.
func (s *Session) SignOut(ctx context.Context) error {
	s.Close()
	_, err := s.client.sessions().SignOut(ctx, &identityv1.SignOutRequest{RefreshToken: s.tokens.refreshToken()})
	return err
}

// Close ends the work with the session here and leaves it alive at Kontor, for Resume.
func (s *Session) Close() {
	s.tokens.end(ErrSignedOut)
	s.stop()
	s.running.Wait()
	s.tokens.flights.Wait()
}
