package e2e

import (
	"slices"
	"sync"
	"testing"
	"time"

	"kontor.internal/libs/id"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/test/harness"
)

func register(t *testing.T, s *harness.Suite) (p *harness.Person, token string) {
	t.Helper()
	s.Needs(t, "notification")
	p = &harness.Person{Client: s.Visitor(), Email: harness.NewEmail("ann"), FullName: "Anna Kalniņa"}
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err := s.WaitMail(t, p.Email, "Confirm").Token()
	if err != nil {
		t.Fatal(err)
	}
	return p, token
}

func TestAVisitorRegistersConfirmsAndSignsIn(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, token := register(t, s)

	harness.WantReason(t, p.SignIn(t.Context(), harness.Password), "SIGN_IN_REFUSED") // Not confirmed yet.

	var link identityv1.CheckLinkResponse
	if err := p.Post(t.Context(), "/v1/accounts:checkLink", &identityv1.CheckLinkRequest{Token: token}, &link); err != nil {
		t.Fatal(err)
	}
	if link.GetEmail() != p.Email || link.GetPurpose() != identityv1.LinkPurpose_LINK_PURPOSE_ACTIVATION {
		t.Errorf("the link's page is filled in with %v", &link)
	}

	// All broken rules are told at once (H3).
	err := p.Activate(t.Context(), token, "ŪŪ")
	harness.WantReason(t, err, "PASSWORD_REFUSED")
	if refusal, ok := harness.Refused(err); ok {
		var broken []string
		for _, v := range refusal.Violations {
			broken = append(broken, v.Reason)
		}
		for _, rule := range []string{"length", "latin", "lower_case", "digit", "special"} {
			if !slices.Contains(broken, rule) {
				t.Errorf("the password breaks rule %s, and the answer names only %v", rule, broken)
			}
		}
	}

	if err := p.Activate(t.Context(), token, harness.Password); err != nil {
		t.Fatal(err)
	}
	harness.WantReason(t, p.SignIn(t.Context(), "wrong"), "SIGN_IN_REFUSED")
	if err := p.SignIn(t.Context(), harness.Password); err != nil {
		t.Fatal(err)
	}
	var me identityv1.GetAccountResponse
	if err := p.Get(t.Context(), "/v1/accounts/me", &me); err != nil {
		t.Fatal(err)
	}
	if me.GetAccount().GetEmail() != p.Email || me.GetAccount().GetFullName() != p.FullName {
		t.Errorf("signed in as %v", me.GetAccount())
	}
}

func TestRegisteringAnActiveEmailAgainSendsALetterAndMakesNoSecondAccount(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Otrreiz")
	first := p.Account.GetName()
	if err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.WaitMail(t, p.Email, "already")
	if err := p.SignIn(t.Context(), harness.Password); err != nil {
		t.Fatal(err)
	}
	if p.Account.GetName() != first {
		t.Errorf("a second account %s stands beside %s", p.Account.GetName(), first)
	}
}

func TestOfManyConfirmationsAtOnceOneSucceeds(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, token := register(t, s)
	const visitors = 4
	var done sync.WaitGroup
	failed := make(chan error, visitors)
	for range visitors {
		other := &harness.Person{Client: s.Visitor(), Email: p.Email}
		done.Go(func() { failed <- other.Activate(t.Context(), token, harness.Password) })
	}
	done.Wait()
	close(failed)
	succeeded := 0
	for err := range failed {
		if err == nil {
			succeeded++
			continue
		}
		harness.WantReason(t, err, "LINK_USED")
	}
	if succeeded != 1 {
		t.Errorf("%d of %d confirmations at once succeeded", succeeded, visitors)
	}
	if err := p.SignIn(t.Context(), harness.Password); err != nil {
		t.Error(err)
	}
}

func TestARefreshTokenIsGoodOnceAndItsReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Refreša")
	first := p.Tokens.GetRefreshToken()
	refreshFirst := func() (*identityv1.SessionTokens, error) {
		var answer identityv1.RefreshSessionResponse
		err := p.Post(t.Context(), "/v1/sessions:refresh", &identityv1.RefreshSessionRequest{RefreshToken: first}, &answer)
		return answer.GetTokens(), err
	}

	if err := p.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := p.Tokens.GetRefreshToken()
	if second == first {
		t.Fatal("the refresh token did not change")
	}
	// An answer that was lost may be asked for again.
	repeated, err := refreshFirst()
	if err != nil {
		t.Fatal(err)
	}
	if repeated.GetRefreshToken() != second {
		t.Error("repeated at once, the refresh gave another successor")
	}
	if err := p.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Half a minute later the first token can only be a copy in somebody's hands.
	const grace, between = 30 * time.Second, 2 * time.Second
	deadline := time.Now().Add(grace + 15*time.Second)
	tick := time.NewTicker(between)
	defer tick.Stop()
	for err = nil; err == nil && time.Now().Before(deadline); <-tick.C {
		_, err = refreshFirst()
	}
	harness.WantReason(t, err, "REFRESH_TOKEN_REUSED")
	if err := p.Refresh(t.Context()); err == nil {
		t.Error("the session lives on after one of its tokens was used twice")
	}
	eventually(t, 2*time.Second, "the access token is refused", func() bool {
		return harness.Reason(p.Get(t.Context(), "/v1/accounts/me", nil)) == "SESSION_REVOKED"
	})
}

func TestSigningOutEndsTheAccessTokenWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Izrakstīta")
	conn, err := p.GRPC()
	if err != nil {
		t.Fatal(err)
	}
	accounts := identityv1.NewAccountServiceClient(conn)
	if _, err := accounts.GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: "accounts/me"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Post(t.Context(), "/v1/sessions:signOut", &identityv1.SignOutRequest{}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Second, "REST and gRPC refuse the token", func() bool {
		_, overGRPC := accounts.GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: "accounts/me"})
		return harness.Reason(overGRPC) == "SESSION_REVOKED" && harness.Reason(p.Get(t.Context(), "/v1/accounts/me", nil)) == "SESSION_REVOKED"
	})
	harness.WantReason(t, p.Refresh(t.Context()), "SESSION_REVOKED")
}

func TestAForgottenPasswordIsSetAnewByLetter(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Aizmāršīga")
	before := *p
	reset := &identityv1.RequestPasswordResetRequest{Email: p.Email}
	if err := s.Visitor().Post(t.Context(), "/v1/accounts:requestPasswordReset", reset, nil); err != nil {
		t.Fatal(err)
	}
	token, err := s.WaitMail(t, p.Email, "new password").Token()
	if err != nil {
		t.Fatal(err)
	}
	const password = "Jauna-Parole-8?"
	change := &identityv1.ResetPasswordRequest{Token: token, Password: password}
	if err := s.Visitor().Post(t.Context(), "/v1/accounts:resetPassword", change, nil); err != nil {
		t.Fatal(err)
	}
	harness.WantReason(t, s.Visitor().Post(t.Context(), "/v1/accounts:resetPassword", change, nil), "LINK_USED")
	if err := before.Refresh(t.Context()); err == nil {
		t.Error("a session from before the reset lives on")
	}
	harness.WantReason(t, p.SignIn(t.Context(), harness.Password), "SIGN_IN_REFUSED")
	if err := p.SignIn(t.Context(), password); err != nil {
		t.Error(err)
	}
	// Who has no account is not told so.
	if err := s.Visitor().Post(t.Context(), "/v1/accounts:requestPasswordReset",
		&identityv1.RequestPasswordResetRequest{Email: harness.NewEmail("nobody")}, nil); err != nil {
		t.Error(err)
	}
}

func TestARepeatedRequestIDAnswersTheSameAndRefusesOtherContent(t *testing.T) {
	t.Parallel()
	s := suite(t)
	visitor := s.Visitor()
	request := &identityv1.RegisterAccountRequest{Email: harness.NewEmail("twice"), Language: "en", RequestId: id.NewString()}
	for range 2 {
		if err := visitor.Post(t.Context(), "/v1/accounts:register", request, nil); err != nil {
			t.Fatal(err)
		}
	}
	request.Email = harness.NewEmail("other")
	harness.WantReason(t, visitor.Post(t.Context(), "/v1/accounts:register", request, nil), "REQUEST_ID_REUSED")
}
