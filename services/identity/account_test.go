package identity_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/config"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/identity"
	"kontor.internal/services/identity/migrations"
)

func (b *bundle) myAccount(in *identityv1.SignInResponse) identityv1.AccountServiceClient {
	return identityv1.NewAccountServiceClient(b.as(in.GetTokens().GetAccessToken()))
}

func (b *bundle) resetLink(email string) string {
	b.t.Helper()
	_, err := b.accounts.RequestPasswordReset(b.t.Context(), &identityv1.RequestPasswordResetRequest{Email: email})
	require.NoError(b.t, err)
	return b.link(next(b, &identityv1.AccountPasswordResetRequested{}).GetPasswordReset())
}

func TestOnesOwnAccountIsReadAndChanged(t *testing.T) {
	b := setup(t)
	person := b.person("ieva@testapiemers.lv")
	other := b.person("peteris@testapiemers.lv")
	mine := b.myAccount(b.signIn("ieva@testapiemers.lv"))

	for _, name := range []string{"accounts/me", person.GetName()} {
		answer, err := mine.GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: name})
		require.NoError(t, err)
		require.Equal(t, person.GetName(), answer.GetAccount().GetName())
	}
	for _, name := range []string{other.GetName(), "accounts/" + id.NewString(), "accounts/x", "x"} {
		_, err := mine.GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: name})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
		_, err = mine.UpdateAccount(t.Context(), &identityv1.UpdateAccountRequest{Account: &identityv1.Account{Name: name, FullName: "X"}})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	}
	update := func(a *identityv1.Account, paths ...string) (*identityv1.Account, error) {
		a.Name = "accounts/me"
		req := &identityv1.UpdateAccountRequest{Account: a}
		if paths != nil {
			req.UpdateMask = &fieldmaskpb.FieldMask{Paths: paths}
		}
		answer, err := mine.UpdateAccount(t.Context(), req)
		return answer.GetAccount(), err
	}
	changed, err := update(&identityv1.Account{FullName: " Ieva Ozola ", Language: "pl", Email: "other@testapiemers.lv"}, "full_name")
	require.NoError(t, err)
	require.Equal(t, "Ieva Ozola", changed.GetFullName())
	require.Equal(t, "lv", changed.GetLanguage(), "not in the mask")
	require.Equal(t, []string{"full_name"}, next(b, &identityv1.AccountUpdated{}).GetFields())

	changed, err = update(&identityv1.Account{Language: "pl"})
	require.NoError(t, err)
	require.Equal(t, "Ieva Ozola", changed.GetFullName(), "without a mask what is filled in counts")
	require.Equal(t, "pl", changed.GetLanguage())
	next(b, &identityv1.AccountUpdated{})

	_, err = update(&identityv1.Account{FullName: "Ieva Ozola", Language: "pl"})
	require.NoError(t, err)
	b.quiet() // Nothing changed, nothing is told.

	for _, c := range []struct {
		account *identityv1.Account
		mask    string
	}{
		{&identityv1.Account{Email: "x@y.lv"}, "email"},
		{&identityv1.Account{Language: "xx"}, "language"},
		{&identityv1.Account{FullName: "a\nb"}, "full_name"},
		{&identityv1.Account{FullName: strings.Repeat("ā", 201)}, "full_name"},
	} {
		_, err = update(c.account, c.mask)
		servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	}
	_, err = b.accounts.GetAccount(t.Context(), &identityv1.GetAccountRequest{Name: "accounts/me"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
}

func TestIdentifiersAreListed(t *testing.T) {
	b := setup(t)
	b.person("Ieva@testapiemers.lv")
	answer, err := b.myAccount(b.signIn("ieva@testapiemers.lv")).ListIdentifiers(t.Context(), &identityv1.ListIdentifiersRequest{Parent: "accounts/me"})
	require.NoError(t, err)
	require.Len(t, answer.GetIdentifiers(), 1)
	require.Equal(t, identityv1.IdentifierKind_IDENTIFIER_KIND_EMAIL, answer.GetIdentifiers()[0].GetKind())
	require.Equal(t, "Ieva@testapiemers.lv", answer.GetIdentifiers()[0].GetValue())
	require.True(t, answer.GetIdentifiers()[0].GetMain())
	require.NotNil(t, answer.GetIdentifiers()[0].GetVerifyTime())
	require.Empty(t, answer.GetNextPageToken())
}

func TestChangingThePasswordEndsTheOtherSessions(t *testing.T) {
	b := setup(t)
	person := b.person("ieva@testapiemers.lv")
	link := b.resetLink("ieva@testapiemers.lv")
	here, there := b.signIn("ieva@testapiemers.lv"), b.signIn("ieva@testapiemers.lv")
	mine := b.myAccount(here)
	change := func(current, wanted string) error {
		_, err := mine.ChangePassword(t.Context(), &identityv1.ChangePasswordRequest{Name: "accounts/me", CurrentPassword: current, Password: wanted})
		return err
	}
	servicetest.WantReason(t, change(goodPassword, "short"), commonv1.Reason_REASON_PASSWORD_REFUSED)
	servicetest.WantReason(t, change("Wrong-2026", "Ziema-2026"), commonv1.Reason_REASON_PASSWORD_WRONG)
	require.NoError(t, change(goodPassword, "Ziema-2026"))

	told := next(b, &identityv1.AccountPasswordChanged{})
	require.Equal(t, person.GetName(), told.GetAccount())
	require.False(t, told.GetReset_())
	revoked := next(b, &identityv1.SessionRevoked{})
	require.Equal(t, there.GetSession().GetName(), revoked.GetSession())
	require.Equal(t, identityv1.SessionEnd_SESSION_END_PASSWORD_CHANGED, revoked.GetEnd())
	_, err := b.refresh(here.GetTokens().GetRefreshToken())
	require.NoError(t, err)
	_, err = b.refresh(there.GetTokens().GetRefreshToken())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SESSION_REVOKED)

	_, err = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: link, Password: "Vasara-2026"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_USED)
	_, err = b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SIGN_IN_REFUSED)

	for range 4 {
		servicetest.WantReason(t, change("Wrong-2026", "Pavasaris-2026"), commonv1.Reason_REASON_PASSWORD_WRONG)
	}
	servicetest.WantReason(t, change("Ziema-2026", "Pavasaris-2026"), commonv1.Reason_REASON_TOO_MANY_ATTEMPTS)
}

func TestAForgottenPasswordIsSetByLink(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")
	first, second := b.resetLink("ieva@testapiemers.lv"), b.resetLink("IEVA@testapiemers.lv")

	page, err := b.accounts.CheckLink(t.Context(), &identityv1.CheckLinkRequest{Token: first})
	require.NoError(t, err)
	require.Equal(t, identityv1.LinkPurpose_LINK_PURPOSE_PASSWORD_RESET, page.GetPurpose())
	_, err = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: first, Password: "weak"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PASSWORD_REFUSED)

	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		token := []string{first, second}[i%2]
		all.Go(func() {
			_, errs[i] = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: token, Password: "Ziema-2026"})
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_USED)
		}
	}
	require.Equal(t, 1, won)
	require.True(t, next(b, &identityv1.AccountPasswordChanged{}).GetReset_())
	require.Equal(t, in.GetSession().GetName(), next(b, &identityv1.SessionRevoked{}).GetSession())
	_, err = b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: "Ziema-2026"})
	require.NoError(t, err)
	next(b, &identityv1.SessionStarted{})

	late := b.resetLink("ieva@testapiemers.lv")
	b.Advance(time.Hour)
	_, err = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: late, Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_EXPIRED)
}

func TestAForgottenPasswordBeforeTheConfirmationBringsTheConfirmation(t *testing.T) {
	b := setup(t)
	b.register("ieva@testapiemers.lv")
	_, err := b.accounts.RequestPasswordReset(t.Context(), &identityv1.RequestPasswordResetRequest{Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)
	next(b, &identityv1.AccountActivationRequested{})
}

func TestAClosedAccountStaysOut(t *testing.T) {
	b := setup(t)
	person := b.person("ieva@testapiemers.lv")
	reset := b.resetLink("ieva@testapiemers.lv")
	_, err := b.DB.Exec(t.Context(), "UPDATE account SET state = 'closed' WHERE id = $1", strings.TrimPrefix(person.GetName(), "accounts/"))
	require.NoError(t, err)

	_, err = b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ACCOUNT_CLOSED)
	_, err = b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: "Wrong-2026"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SIGN_IN_REFUSED)
	_, err = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: reset, Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ACCOUNT_CLOSED)
	_, err = b.accounts.RequestPasswordReset(t.Context(), &identityv1.RequestPasswordResetRequest{Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)
	next(b, &identityv1.AccountAlreadyRegistered{})

	b.tenancy.invitations["secret"] = invited("ieva@testapiemers.lv")
	_, err = b.accounts.RegisterInvited(t.Context(), &identityv1.RegisterInvitedRequest{
		InvitationToken: "secret", Email: "ieva@testapiemers.lv", Password: goodPassword, RequestId: id.NewString(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ACCOUNT_CLOSED)
	ensured, err := b.tenancyDirectory().EnsureAccount(t.Context(), &identityv1.EnsureAccountRequest{Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)
	require.Equal(t, identityv1.AccountState_ACCOUNT_STATE_CLOSED, ensured.GetAccount().GetState())
	require.Empty(t, ensured.GetActivation())
}

func TestAccountsForTechnicalEndsWaitForTheirHolder(t *testing.T) {
	b := setup(t)
	exchange := identityv1.NewDirectoryServiceClient(b.AsService("exchange"))
	req := &identityv1.EnsureAccountRequest{
		Email: "Sender@testapiemers.lv", FullName: "Sender", Language: "hu", Kind: identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL,
	}
	made, err := exchange.EnsureAccount(t.Context(), req)
	require.NoError(t, err)
	require.True(t, made.GetCreated())
	require.Equal(t, identityv1.AccountState_ACCOUNT_STATE_PENDING, made.GetAccount().GetState())
	require.Equal(t, identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL, next(b, &identityv1.AccountRegistered{}).GetKind())

	again, err := exchange.EnsureAccount(t.Context(), req)
	require.NoError(t, err)
	require.False(t, again.GetCreated())
	require.Equal(t, made.GetActivation(), again.GetActivation(), "repeated it changes nothing")
	b.quiet()

	// A visitor's registration of the same e-mail makes no person's subscriber of it.
	_, err = b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: "sender@testapiemers.lv", RequestId: id.NewString()})
	require.NoError(t, err)
	next(b, &identityv1.AccountActivationRequested{})

	_, err = b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: b.link(made.GetActivation()), Password: goodPassword})
	require.NoError(t, err)
	activated := next(b, &identityv1.AccountActivated{})
	require.Equal(t, identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL, activated.GetKind())
	require.False(t, activated.GetSelfRegistered())
	b.signIn("sender@testapiemers.lv")

	active, err := exchange.EnsureAccount(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, made.GetAccount().GetName(), active.GetAccount().GetName(), "an active e-mail gets no second account")
	require.Empty(t, active.GetActivation())
}

func TestAnActivationHandedOutWorksForAWhile(t *testing.T) {
	b := setup(t)
	req := &identityv1.EnsureAccountRequest{Email: "ieva@testapiemers.lv"}
	first, err := b.tenancyDirectory().EnsureAccount(t.Context(), req)
	require.NoError(t, err)
	b.Advance(6*24*time.Hour + time.Hour)
	second, err := b.tenancyDirectory().EnsureAccount(t.Context(), req)
	require.NoError(t, err)
	require.NotEqual(t, first.GetActivation(), second.GetActivation())
	answer, err := b.directory.GetAccountLink(t.Context(), &identityv1.GetAccountLinkRequest{Name: second.GetActivation()})
	require.NoError(t, err)
	require.Greater(t, time.Until(answer.GetExpireTime().AsTime()), 13*24*time.Hour)
	b.Advance(24 * time.Hour)
	_, err = b.directory.GetAccountLink(t.Context(), &identityv1.GetAccountLinkRequest{Name: first.GetActivation()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestManyAtOnceEnsureOneAccount(t *testing.T) {
	b := setup(t)
	var all sync.WaitGroup
	answers := make([]*identityv1.EnsureAccountResponse, 8)
	directory := b.tenancyDirectory()
	for i := range answers {
		all.Go(func() {
			answer, err := directory.EnsureAccount(t.Context(), &identityv1.EnsureAccountRequest{Email: "ieva@testapiemers.lv"})
			if err != nil {
				t.Error(err)
			}
			answers[i] = answer
		})
	}
	all.Wait()
	made := 0
	for _, answer := range answers {
		require.Equal(t, answers[0].GetAccount().GetName(), answer.GetAccount().GetName())
		require.Equal(t, answers[0].GetActivation(), answer.GetActivation())
		if answer.GetCreated() {
			made++
		}
	}
	require.Equal(t, 1, made)
}

func TestTheDirectoryFindsAccountsAndSessions(t *testing.T) {
	b := setup(t)
	ieva, peteris := b.person("ieva@testapiemers.lv"), b.person("peteris@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")
	batch, err := b.directory.BatchGetAccounts(t.Context(), &identityv1.BatchGetAccountsRequest{
		Names: []string{ieva.GetName(), peteris.GetName(), "accounts/" + id.NewString(), "nonsense"},
	})
	require.NoError(t, err)
	require.Len(t, batch.GetAccounts(), 2)

	found, err := b.tenancyDirectory().FindAccount(t.Context(), &identityv1.FindAccountRequest{Email: "IEVA@Testapiemers.lv"})
	require.NoError(t, err)
	require.Equal(t, ieva.GetName(), found.GetAccount().GetName())
	_, err = b.tenancyDirectory().FindAccount(t.Context(), &identityv1.FindAccountRequest{Email: "nobody@testapiemers.lv"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = b.tenancyDirectory().FindAccount(t.Context(), &identityv1.FindAccountRequest{Email: "nonsense"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = b.tenancyDirectory().EnsureAccount(t.Context(), &identityv1.EnsureAccountRequest{Email: "nonsense"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)

	alive := func(name string) bool {
		t.Helper()
		answer, err := b.directory.CheckSession(t.Context(), &identityv1.CheckSessionRequest{Session: name})
		require.NoError(t, err)
		return answer.GetActive()
	}
	_, number, _ := strings.Cut(in.GetSession().GetName(), "/sessions/")
	require.True(t, alive(in.GetSession().GetName()))
	require.False(t, alive(peteris.GetName()+"/sessions/"+number), "another's session")
	require.False(t, alive(ieva.GetName()+"/sessions/"+id.NewString()))
	require.False(t, alive("nonsense"))
	_, err = b.sessions.SignOut(t.Context(), &identityv1.SignOutRequest{RefreshToken: in.GetTokens().GetRefreshToken()})
	require.NoError(t, err)
	require.False(t, alive(in.GetSession().GetName()))
}

func TestTheDirectoryIsForServicesOnly(t *testing.T) {
	b := setup(t)
	b.person("ieva@testapiemers.lv")
	in := b.signIn("ieva@testapiemers.lv")
	outside := identityv1.NewDirectoryServiceClient(b.as(in.GetTokens().GetAccessToken()))
	_, err := outside.EnsureAccount(t.Context(), &identityv1.EnsureAccountRequest{Email: "x@testapiemers.lv"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = outside.GetAccountLink(t.Context(), &identityv1.GetAccountLinkRequest{Name: "activations/" + id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = b.tenancyDirectory().GetAccountLink(t.Context(), &identityv1.GetAccountLinkRequest{Name: "activations/" + id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestNoSecretStandsInAnyTable(t *testing.T) {
	b := setup(t)
	token := b.register("ieva@testapiemers.lv")
	_, err := b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword})
	require.NoError(t, err)
	next(b, &identityv1.AccountActivated{})
	in := b.signIn("ieva@testapiemers.lv")
	b.tenancy.invitations["invitation-secret"] = invited("peteris@testapiemers.lv")
	_, err = b.accounts.RegisterInvited(t.Context(), &identityv1.RegisterInvitedRequest{
		InvitationToken: "invitation-secret", Email: "peteris@testapiemers.lv", Password: goodPassword, RequestId: id.NewString(),
	})
	require.NoError(t, err)

	rows, err := b.DB.Query(t.Context(), "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname IN ('public', 'kontor')")
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(t, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(tables), 10)
	for _, table := range tables {
		for _, secret := range []string{goodPassword, token, in.GetTokens().GetRefreshToken(), in.GetTokens().GetAccessToken(), "invitation-secret"} {
			var found bool
			// bytea shows as hexadecimal; look for that form too.
			err := b.DB.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM "+table+" x WHERE position($1 IN x::text) > 0 OR position(encode(convert_to($1, 'UTF8'), 'hex') IN x::text) > 0)", secret).Scan(&found)
			require.NoError(t, err)
			require.Falsef(t, found, "%s holds a secret", table)
		}
	}
}

func TestEveryConstraintHasANameOfItsOwn(t *testing.T) {
	pgtest.CheckConstraintsNamed(t, pgtest.New(t, migrations.FS))
}

func TestEverySettingIsDescribed(t *testing.T) {
	keys := map[string]bool{}
	for _, key := range config.Describe(identity.Config{}) {
		require.NotEmpty(t, key.Doc, key.Name)
		keys[key.Name] = key.Secret
	}
	for _, secret := range []string{"key_encryption_key", "key_encryption_key_previous", "token_key", "token_key_previous"} {
		require.True(t, keys[secret], secret)
	}
}

func TestUnworkableSettingsAreRefusedBeforeAnythingIsOpened(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*identity.Config)
	}{
		{"a short key-encryption key", func(c *identity.Config) { c.KeyEncryptionKey = "short" }},
		{"a short token key", func(c *identity.Config) { c.TokenKey = "short" }},
		{"a key that signs before others know it", func(c *identity.Config) { c.SigningKeyLead = time.Minute }},
		{"a key that hardly signs", func(c *identity.Config) { c.SigningKeyLife = time.Hour }},
		{"hashing without memory", func(c *identity.Config) { c.Argon2.MemoryKiB = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings(t, settings(t, identity.Config{}.Config).Config)
			c.change(&cfg)
			_, err := identity.New(t.Context(), cfg)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "postgres")
			require.NotEqual(t, commonv1.Reason_REASON_UNAVAILABLE, failure.Reason(err))
		})
	}
}
