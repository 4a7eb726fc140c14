package harness

import (
	"context"
	"fmt"
	"strings"

	"kontor.internal/libs/id"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Password is one that keeps to all rules.
const Password = "Korrekt-Horse-7!"

// Person is a signed-in human being.
type Person struct {
	*Client
	Email, FullName string
	Account         *identityv1.Account
	Tokens          *identityv1.SessionTokens
}

// NewEmail is an address that nobody else in the suite has.
func NewEmail(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "." + id.NewString()[24:] + "@example.org"
}

// SignUp registers somebody, follows the link in the letter, and signs in.
func (s *Suite) SignUp(ctx context.Context, fullName string) (*Person, error) {
	p := &Person{Client: s.Visitor(), Email: NewEmail("user"), FullName: fullName}
	if err := p.Register(ctx); err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	mail, err := s.inbox.Wait(ctx, Query{To: p.Email})
	if err != nil {
		return nil, err
	}
	token, err := mail.Token()
	if err != nil {
		return nil, err
	}
	if err := p.Activate(ctx, token, Password); err != nil {
		return nil, fmt.Errorf("activate: %w", err)
	}
	return p, p.SignIn(ctx, Password)
}

// Register asks for an account.
func (p *Person) Register(ctx context.Context) error {
	return p.Post(ctx, "/v1/accounts:register", &identityv1.RegisterAccountRequest{
		Email: p.Email, FullName: p.FullName, Language: "en", RequestId: id.NewString(),
	}, nil)
}

// Activate follows a confirmation link.
func (p *Person) Activate(ctx context.Context, token, password string) error {
	var answer identityv1.ActivateAccountResponse
	err := p.Post(ctx, "/v1/accounts:activate", &identityv1.ActivateAccountRequest{Token: token, Password: password}, &answer)
	if err == nil {
		p.Account = answer.GetAccount()
	}
	return err
}

// SignIn begins a session and shows its token from now on.
func (p *Person) SignIn(ctx context.Context, password string) error {
	var answer identityv1.SignInResponse
	err := p.Post(ctx, "/v1/sessions:signIn", &identityv1.SignInRequest{Identifier: p.Email, Password: password, DeviceName: "harness"}, &answer)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	p.Account, p.Tokens = answer.GetAccount(), answer.GetTokens()
	p.Token = p.Tokens.GetAccessToken()
	return nil
}

// Refresh buys the next pair of tokens, as programs do every few minutes.
func (p *Person) Refresh(ctx context.Context) error {
	var answer identityv1.RefreshSessionResponse
	err := p.Post(ctx, "/v1/sessions:refresh", &identityv1.RefreshSessionRequest{RefreshToken: p.Tokens.GetRefreshToken()}, &answer)
	if err != nil {
		return err
	}
	p.Tokens = answer.GetTokens()
	p.Token = p.Tokens.GetAccessToken()
	return nil
}
