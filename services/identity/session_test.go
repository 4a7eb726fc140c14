package identity_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

func (b *bundle) mySessions(in *identityv1.SignInResponse) identityv1.SessionServiceClient {
	return identityv1.NewSessionServiceClient(b.as(in.GetTokens().GetAccessToken()))
}

func (b *bundle) refresh(token string) (*identityv1.RefreshSessionResponse, error) {
	return b.sessions.RefreshSession(b.t.Context(), &identityv1.RefreshSessionRequest{RefreshToken: token})
}

// age moves a session's past back, as if the time had gone by: sessions live in real time.
func (b *bundle) age(session, by string) {
	b.t.Helper()
	_, last, _ := strings.Cut(session, "/sessions/")
	for _, sql := range []string{
		`UPDATE session SET create_time = create_time - $2::interval, refresh_time = refresh_time - $2::interval,
		 idle_expire_time = idle_expire_time - $2::interval, expire_time = expire_time - $2::interval WHERE id = $1`,
		`UPDATE session_rotation SET rotate_time = rotate_time - $2::interval WHERE session_id = $1`,
	} {
		_, err := b.DB.Exec(b.t.Context(), sql, last, by)
		require.NoError(b.t, err)
	}
}

func TestSigningInGivesTokensThatSayWhoAndNothingOfRights(t *testing.T) {
	b := setup(t)
	person := b.person("ieva@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")
	require.Equal(t, "Office PC", in.GetSession().GetDeviceName())
	require.Equal(t, "192.0.2.7", in.GetSession().GetAddress())
	require.True(t, in.GetSession().GetCurrent())
	require.WithinDuration(t, time.Now().Add(5*time.Minute), in.GetTokens().GetAccessTokenExpireTime().AsTime(), 10*time.Second)
	require.WithinDuration(t, time.Now().Add(30*24*time.Hour), in.GetTokens().GetRefreshTokenExpireTime().AsTime(), 10*time.Second)

	answer, err := identityv1.NewKeyServiceClient(b.Visitor()).GetJwks(t.Context(), &identityv1.GetJwksRequest{})
	require.NoError(t, err)
	set, err := jwk.Parse(answer.GetJwks())
	require.NoError(t, err)
	token, err := jwt.Parse([]byte(in.GetTokens().GetAccessToken()), jwt.WithKeySet(set))
	require.NoError(t, err)
	claims, err := json.Marshal(token)
	require.NoError(t, err)
	var said map[string]any
	require.NoError(t, json.Unmarshal(claims, &said))
	require.Equal(t, person.GetName(), said["sub"])
	require.Equal(t, in.GetSession().GetName(), said["sid"])
	for claim := range said {
		require.Contains(t, []string{"iss", "aud", "sub", "iat", "nbf", "exp", "sid", "cmp", "knd", "use"}, claim)
	}

	mine, err := identityv1.NewAccountServiceClient(b.as(in.GetTokens().GetAccessToken())).GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: "accounts/me"})
	require.NoError(t, err)
	require.True(t, proto.Equal(person, mine.GetAccount()))
}

func TestAWrongPasswordAndAnUnknownEmailLookAlike(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	b.register("pending@testapiemers.lv")
	var texts []string
	for _, email := range []string{"ieva@testapiemers.lv", "nobody@testapiemers.lv", "pending@testapiemers.lv", "no e-mail at all"} {
		for range 5 {
			_, err := b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: email, Password: "Wrong-2026"})
			servicetest.WantReason(t, err, commonv1.Reason_REASON_SIGN_IN_REFUSED)
			texts = append(texts, err.Error())
		}
		_, err := b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: email, Password: "Wrong-2026"})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_TOO_MANY_ATTEMPTS)
	}
	for _, text := range texts {
		require.Equal(t, texts[0], text)
	}
}

func TestGuessingIsSlowedButTheHolderIsNotLockedOut(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv") // From 192.0.2.7, which is known from now on.
	guess := func(address, password string) error {
		_, err := b.from(address).SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: password})
		return err
	}
	for range 5 {
		servicetest.WantReason(t, guess("198.51.100.1", "Wrong-2026"), commonv1.Reason_REASON_SIGN_IN_REFUSED)
	}
	err := guess("198.51.100.1", goodPassword)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOO_MANY_ATTEMPTS)
	require.NotEmpty(t, failure.From(err).Meta("retry_seconds"))
	require.Contains(t, failure.Status(failure.From(err), b.Service.Texts, "en").Proto().String(), "RetryInfo")

	// From ever other addresses the account as a whole is slowed …
	for range 5 {
		servicetest.WantReason(t, guess("198.51.100.2", "Wrong-2026"), commonv1.Reason_REASON_SIGN_IN_REFUSED)
	}
	servicetest.WantReason(t, guess("198.51.100.3", goodPassword), commonv1.Reason_REASON_TOO_MANY_ATTEMPTS)
	// … but not where its holder signed in before.
	require.NoError(t, guess("192.0.2.7", goodPassword))
	next(b, &identityv1.SessionStarted{})

	// And a reset link leads in from anywhere, at once.
	_, err = b.accounts.RequestPasswordReset(t.Context(), &identityv1.RequestPasswordResetRequest{Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)
	token := b.link(next(b, &identityv1.AccountPasswordResetRequested{}).GetPasswordReset())
	elsewhere := identityv1.NewAccountServiceClient(b.With(caller.Caller{Address: "198.51.100.1"}))
	_, err = elsewhere.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: token, Password: "Ziema-2026"})
	require.NoError(t, err)
	require.NoError(t, guess("198.51.100.1", "Ziema-2026"))
}

func TestManyGuessesAtOnceAreNotMoreThanInTurn(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	var all sync.WaitGroup
	reasons := make([]commonv1.Reason, 20)
	for i := range reasons {
		all.Go(func() {
			_, err := b.from("198.51.100.1").SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: "Wrong-2026"})
			reasons[i] = failure.Reason(err)
		})
	}
	all.Wait()
	tried := 0
	for _, reason := range reasons {
		if reason == commonv1.Reason_REASON_SIGN_IN_REFUSED {
			tried++
		} else {
			require.Equal(t, commonv1.Reason_REASON_TOO_MANY_ATTEMPTS, reason)
		}
	}
	require.Equal(t, 5, tried)
}

func TestARefreshRotatesAndRepeatedGivesTheSameSuccessor(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")

	var all sync.WaitGroup
	successors := make([]string, 6)
	for i := range successors {
		all.Go(func() {
			answer, err := b.refresh(in.GetTokens().GetRefreshToken())
			if err != nil {
				t.Error(err)
				return
			}
			successors[i] = answer.GetTokens().GetRefreshToken()
		})
	}
	all.Wait()
	for _, successor := range successors {
		require.Equal(t, successors[0], successor)
	}
	require.NotEqual(t, in.GetTokens().GetRefreshToken(), successors[0])

	last, err := b.refresh(successors[0])
	require.NoError(t, err)
	again, err := b.refresh(in.GetTokens().GetRefreshToken())
	require.NoError(t, err, "within 30 s even when the successor was used")
	require.Equal(t, successors[0], again.GetTokens().GetRefreshToken())

	_, err = identityv1.NewAccountServiceClient(b.as(last.GetTokens().GetAccessToken())).GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: "accounts/me"})
	require.NoError(t, err)

	var stored string
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT string_agg(s::text, ' ') FROM session s").Scan(&stored))
	require.NotContains(t, stored, successors[0])
}

func TestAUsedRefreshTokenThatComesLateEndsTheSession(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")
	next1, err := b.refresh(in.GetTokens().GetRefreshToken())
	require.NoError(t, err)
	b.age(in.GetSession().GetName(), "31 seconds")

	_, err = b.refresh(in.GetTokens().GetRefreshToken())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	told := next(b, &identityv1.SessionRevoked{})
	require.Equal(t, in.GetSession().GetName(), told.GetSession())
	require.Equal(t, identityv1.SessionEnd_SESSION_END_TOKEN_REUSED, told.GetEnd())

	_, err = b.refresh(next1.GetTokens().GetRefreshToken())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SESSION_REVOKED)
	servicetest.Eventually(t, "the access token is void", func() bool {
		_, err := b.mySessions(in).ListSessions(t.Context(), &identityv1.ListSessionsRequest{Parent: "accounts/me"})
		return failure.Reason(err) == commonv1.Reason_REASON_SESSION_REVOKED
	})
}

func TestSessionsSlideButEnd(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	token := func(in *identityv1.SignInResponse) string { return in.GetTokens().GetRefreshToken() }

	idle := b.signIn("ieva@testapiemers.lv")
	b.age(idle.GetSession().GetName(), "30 days")
	_, err := b.refresh(token(idle))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SESSION_EXPIRED)

	old := b.signIn("ieva@testapiemers.lv")
	current := token(old)
	for range 3 {
		b.age(old.GetSession().GetName(), "29 days")
		answer, err := b.refresh(current)
		require.NoError(t, err)
		current = answer.GetTokens().GetRefreshToken()
	}
	b.age(old.GetSession().GetName(), "4 days")
	_, err = b.refresh(current)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SESSION_EXPIRED)
	b.quiet()
}

func TestWhatIsNoRefreshTokenIsRefused(t *testing.T) {
	b := setup(t)
	for _, text := range []string{"x", strings.Repeat("A", 91), strings.Repeat("A", 200)} {
		_, err := b.refresh(text)
		servicetest.WantReason(t, err, commonv1.Reason_REASON_REFRESH_TOKEN_INVALID)
		_, err = b.sessions.SignOut(t.Context(), &identityv1.SignOutRequest{RefreshToken: text})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_REFRESH_TOKEN_INVALID)
	}
	_, err := b.sessions.SignOut(t.Context(), &identityv1.SignOutRequest{})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
}

func TestSigningOutVoidsTheTokensAtOnce(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	in, other := b.signIn("ieva@testapiemers.lv"), b.signIn("ieva@testapiemers.lv")
	for range 2 { // Repeated it changes nothing.
		_, err := b.sessions.SignOut(t.Context(), &identityv1.SignOutRequest{RefreshToken: in.GetTokens().GetRefreshToken()})
		require.NoError(t, err)
	}
	require.Equal(t, identityv1.SessionEnd_SESSION_END_SIGNED_OUT, next(b, &identityv1.SessionRevoked{}).GetEnd())
	_, err := b.refresh(in.GetTokens().GetRefreshToken())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SESSION_REVOKED)

	_, err = b.mySessions(other).SignOut(t.Context(), &identityv1.SignOutRequest{})
	require.NoError(t, err)
	require.Equal(t, other.GetSession().GetName(), next(b, &identityv1.SessionRevoked{}).GetSession())
	b.quiet()
}

func TestSessionsAreListedByPageAndEndedOneByOne(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	b.person("peteris@testapiemers.lv")
	stranger := b.signIn("peteris@testapiemers.lv")
	var all []*identityv1.SignInResponse
	for range 5 {
		all = append(all, b.signIn("ieva@testapiemers.lv"))
	}
	mine := b.mySessions(all[4])

	var names []string
	req := &identityv1.ListSessionsRequest{Parent: "accounts/me", PageSize: 2}
	for {
		page, err := mine.ListSessions(t.Context(), req)
		require.NoError(t, err)
		for _, session := range page.GetSessions() {
			names = append(names, session.GetName())
			require.Equal(t, session.GetName() == all[4].GetSession().GetName(), session.GetCurrent())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	require.Len(t, names, 5)
	for i, name := range names {
		require.Equal(t, all[4-i].GetSession().GetName(), name, "latest first")
	}

	_, err := mine.RevokeSession(t.Context(), &identityv1.RevokeSessionRequest{Name: names[4]})
	require.NoError(t, err)
	require.Equal(t, identityv1.SessionEnd_SESSION_END_REVOKED, next(b, &identityv1.SessionRevoked{}).GetEnd())
	_, err = mine.RevokeSession(t.Context(), &identityv1.RevokeSessionRequest{Name: "accounts/me/sessions" + names[3][strings.LastIndexByte(names[3], '/'):]})
	require.NoError(t, err)
	next(b, &identityv1.SessionRevoked{})
	page, err := mine.ListSessions(t.Context(), &identityv1.ListSessionsRequest{Parent: all[0].GetAccount().GetName()})
	require.NoError(t, err)
	require.Len(t, page.GetSessions(), 3)

	for _, name := range []string{
		stranger.GetSession().GetName(), "accounts/me/sessions" + strings.TrimPrefix(stranger.GetSession().GetName(), stranger.GetAccount().GetName()+"/sessions"),
		"accounts/me/sessions/" + id.NewString(), "accounts/me/sessions/x", "accounts/me",
	} {
		_, err = mine.RevokeSession(t.Context(), &identityv1.RevokeSessionRequest{Name: name})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	}
	_, err = mine.ListSessions(t.Context(), &identityv1.ListSessionsRequest{Parent: stranger.GetAccount().GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = mine.ListSessions(t.Context(), &identityv1.ListSessionsRequest{Parent: "accounts/me", PageToken: "forged"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PAGE_TOKEN_INVALID)
}

func TestTheChosenCompanyStandsInTheTokens(t *testing.T) {
	b := setup(t)
	person := b.person("ieva@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")
	mine := b.mySessions(in)
	subscriber := "subscribers/" + id.NewString()
	company, closed := subscriber+"/companies/"+id.NewString(), subscriber+"/companies/"+id.NewString()
	b.tenancy.companies[company], b.tenancy.companies[closed] = true, true
	b.Access.Grant(person.GetName(), company, authv1.Permission_PERMISSION_COMPANIES_READ)

	_, err := mine.ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{Company: closed})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	require.Equal(t, "The Owner", failure.From(err).Meta("administrator"))
	foreign := "subscribers/" + id.NewString() + "/companies/" + id.NewString()
	_, err = mine.ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{Company: foreign})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	require.Empty(t, failure.From(err).Meta("administrator"))
	for _, bad := range []string{"x", subscriber, "connections/x/companies/y"} {
		_, err = mine.ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{Company: bad})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	}

	chosen, err := mine.ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{Company: company})
	require.NoError(t, err)
	require.Equal(t, company, chosen.GetSession().GetCompany())
	require.Equal(t, company, companyOf(t, chosen.GetAccessToken()))

	refreshed, err := b.refresh(in.GetTokens().GetRefreshToken())
	require.NoError(t, err)
	require.Equal(t, company, companyOf(t, refreshed.GetTokens().GetAccessToken()))

	none, err := mine.ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{})
	require.NoError(t, err)
	require.Empty(t, companyOf(t, none.GetAccessToken()))
}

func companyOf(t *testing.T, token string) string {
	t.Helper()
	parsed, err := jwt.ParseInsecure([]byte(token))
	require.NoError(t, err)
	var company string
	require.NoError(t, parsed.Get("cmp", &company))
	return company
}

func TestACompanyThatIsGoneIsNotChosen(t *testing.T) {
	b := setup(t)
	person := b.person("ieva@testapiemers.lv")
	subscriber := "subscribers/" + id.NewString()
	b.Access.Grant(person.GetName(), subscriber, authv1.Permission_PERMISSION_COMPANIES_READ)
	_, err := b.mySessions(b.signIn("ieva@testapiemers.lv")).ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{
		Company: subscriber + "/companies/" + id.NewString(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestSessionMethodsNeedASession(t *testing.T) {
	b := setup(t)
	_, err := b.sessions.ListSessions(t.Context(), &identityv1.ListSessionsRequest{Parent: "accounts/me"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
	_, err = b.sessions.ChooseCompany(t.Context(), &identityv1.ChooseCompanyRequest{})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
	_, err = b.sessions.RevokeSession(t.Context(), &identityv1.RevokeSessionRequest{Name: "accounts/me/sessions/" + uuid.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
	// A token of another signer is worth nothing.
	foreign := identityv1.NewSessionServiceClient(b.As("accounts/" + id.NewString()))
	_, err = foreign.ListSessions(t.Context(), &identityv1.ListSessionsRequest{Parent: "accounts/me"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_INVALID)
}
