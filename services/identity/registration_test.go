package identity_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func TestAVisitorRegistersConfirmsAndSignsIn(t *testing.T) {
	b := setup(t)
	token := b.register("Ieva@Testapiemers.lv")

	page, err := b.accounts.CheckLink(t.Context(), &identityv1.CheckLinkRequest{Token: token})
	require.NoError(t, err)
	require.Equal(t, identityv1.LinkPurpose_LINK_PURPOSE_ACTIVATION, page.GetPurpose())
	require.Equal(t, "Ieva@Testapiemers.lv", page.GetEmail())
	require.Equal(t, "Ieva Kalniņa", page.GetFullName())
	require.WithinDuration(t, time.Now().Add(7*24*time.Hour), page.GetExpireTime().AsTime(), time.Minute)

	_, err = b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "ieva@testapiemers.lv", Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SIGN_IN_REFUSED)

	active, err := b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword, FullName: "Ieva Ozola"})
	require.NoError(t, err)
	require.Equal(t, identityv1.AccountState_ACCOUNT_STATE_ACTIVE, active.GetAccount().GetState())
	require.Equal(t, "Ieva Ozola", active.GetAccount().GetFullName())
	require.Equal(t, "lv", active.GetAccount().GetLanguage())
	told := next(b, &identityv1.AccountActivated{})
	require.Equal(t, active.GetAccount().GetName(), told.GetAccount())
	require.True(t, told.GetSelfRegistered())

	in := b.signIn("IEVA@testapiemers.LV")
	require.True(t, proto.Equal(active.GetAccount(), in.GetAccount()))

	_, err = b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_USED)
	_, err = b.directory.GetAccountLink(t.Context(), &identityv1.GetAccountLinkRequest{Name: "activations/" + id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestARegistrationRepeatedWithItsRequestIDChangesNothing(t *testing.T) {
	b := setup(t)
	req := &identityv1.RegisterAccountRequest{Email: "ieva@testapiemers.lv", RequestId: id.NewString()}
	for range 3 {
		_, err := b.accounts.RegisterAccount(t.Context(), req)
		require.NoError(t, err)
	}
	next(b, &identityv1.AccountRegistered{})
	next(b, &identityv1.AccountActivationRequested{})
	b.quiet()

	other := proto.CloneOf(req)
	other.Email = "peteris@testapiemers.lv"
	_, err := b.accounts.RegisterAccount(t.Context(), other)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
}

func TestAKnownEmailGetsTheSameAnswerAndALetter(t *testing.T) {
	b := setup(t)
	known := b.person("ieva@testapiemers.lv")
	unknown, err := b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: "new@testapiemers.lv", RequestId: id.NewString()})
	require.NoError(t, err)
	next(b, &identityv1.AccountRegistered{})
	next(b, &identityv1.AccountActivationRequested{})

	same, err := b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: "IEVA@testapiemers.lv", RequestId: id.NewString()})
	require.NoError(t, err)
	require.True(t, proto.Equal(unknown, same))
	require.Equal(t, known.GetName(), next(b, &identityv1.AccountAlreadyRegistered{}).GetAccount())

	for _, email := range []string{"ieva@testapiemers.lv", "nobody@testapiemers.lv"} {
		_, err := b.accounts.ResendActivation(t.Context(), &identityv1.ResendActivationRequest{Email: email})
		require.NoError(t, err)
		_, err = b.accounts.RequestPasswordReset(t.Context(), &identityv1.RequestPasswordResetRequest{Email: email})
		require.NoError(t, err)
	}
	next(b, &identityv1.AccountAlreadyRegistered{})
	next(b, &identityv1.AccountPasswordResetRequested{})
	b.quiet()
}

func TestManyRegistrationsOfOneEmailAtOnceMakeOneAccount(t *testing.T) {
	b := setup(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: "ieva@testapiemers.lv", RequestId: id.NewString()})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	next(b, &identityv1.AccountRegistered{})
	for range 8 {
		next(b, &identityv1.AccountActivationRequested{})
	}
	b.quiet()
}

func TestOfTwoConfirmationsAtOnceOneSucceedsAndTheOtherIsToldWhy(t *testing.T) {
	b := setup(t)
	first := b.register("ieva@testapiemers.lv")
	_, err := b.accounts.ResendActivation(t.Context(), &identityv1.ResendActivationRequest{Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)
	second := b.link(next(b, &identityv1.AccountActivationRequested{}).GetActivation())
	require.NotEqual(t, first, second, "a fresh link; the earlier one stays valid")

	var all sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		token := []string{first, second}[i%2]
		all.Go(func() {
			_, errs[i] = b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword})
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_USED)
	}
	require.Equal(t, 1, won)
	next(b, &identityv1.AccountActivated{})
	b.quiet()
}

func TestAConfirmationLinkWorksSevenDays(t *testing.T) {
	b := setup(t)
	token := b.register("ieva@testapiemers.lv")
	b.Advance(7*24*time.Hour - time.Minute)
	_, err := b.accounts.CheckLink(t.Context(), &identityv1.CheckLinkRequest{Token: token})
	require.NoError(t, err)

	b.Advance(time.Minute)
	_, err = b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_EXPIRED)
	require.NotEmpty(t, failure.From(err).Meta("expire_time"))

	_, err = b.accounts.ResendActivation(t.Context(), &identityv1.ResendActivationRequest{Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)
	token = b.link(next(b, &identityv1.AccountActivationRequested{}).GetActivation())
	_, err = b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword})
	require.NoError(t, err)
}

func TestLettersAreSpacedOutByKind(t *testing.T) {
	b := setup(t, "KONTOR_LETTER_PAUSE=1h")
	b.person("ieva@testapiemers.lv")
	for range 3 { // Whoever has letters of one kind sent does not hold up the others.
		_, err := b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: "ieva@testapiemers.lv", RequestId: id.NewString()})
		require.NoError(t, err)
		_, err = b.accounts.RequestPasswordReset(t.Context(), &identityv1.RequestPasswordResetRequest{Email: "ieva@testapiemers.lv"})
		require.NoError(t, err)
	}
	next(b, &identityv1.AccountAlreadyRegistered{})
	next(b, &identityv1.AccountPasswordResetRequested{})
	b.quiet()
}

func TestABadPasswordIsRefusedByEveryRuleItBreaks(t *testing.T) {
	b := setup(t)
	token := b.register("ieva@testapiemers.lv")
	want := []string{"length", "upper_case", "digit", "special"}
	check := func(err error) {
		t.Helper()
		servicetest.WantReason(t, err, commonv1.Reason_REASON_PASSWORD_REFUSED)
		var broken []string
		for _, field := range failure.From(err).Fields() {
			require.Equal(t, "password", field.Path)
			broken = append(broken, field.Rule)
		}
		require.Equal(t, want, broken)
	}
	_, err := b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: "abc"})
	check(err)
	_, err = b.accounts.CheckPassword(t.Context(), &identityv1.CheckPasswordRequest{Password: "abc"})
	check(err)
	_, err = b.accounts.CheckPassword(t.Context(), &identityv1.CheckPasswordRequest{Password: goodPassword, Email: "ieva@testapiemers.lv"})
	require.NoError(t, err)

	rules, err := b.accounts.GetPasswordRules(t.Context(), &identityv1.GetPasswordRulesRequest{})
	require.NoError(t, err)
	require.Len(t, rules.GetRules(), 7)
	require.EqualValues(t, 8, rules.GetMinLength())
	for _, rule := range rules.GetRules() {
		require.NotEmpty(t, rule.GetText())
	}
}

func TestWhatIsNoLinkOrNoEmailIsRefused(t *testing.T) {
	b := setup(t)
	for _, token := range []string{"x", strings.Repeat("A", 64), strings.Repeat("/", 64)} {
		_, err := b.accounts.ActivateAccount(t.Context(), &identityv1.ActivateAccountRequest{Token: token, Password: goodPassword})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_INVALID)
		_, err = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: token, Password: goodPassword})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_INVALID)
		_, err = b.accounts.CheckLink(t.Context(), &identityv1.CheckLinkRequest{Token: token})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_INVALID)
	}
	for _, email := range []string{"ieva", "@lv", "a@b", "a b@c.lv", "ieva@testapiemers.lv\r\nBcc: x@y.lv"} {
		_, err := b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: email, RequestId: id.NewString()})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
		_, err = b.accounts.RequestPasswordReset(t.Context(), &identityv1.RequestPasswordResetRequest{Email: email})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	}
	_, err := b.accounts.RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{Email: "ieva@testapiemers.lv", RequestId: "once"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	activation := b.register("peteris@testapiemers.lv")
	_, err = b.accounts.ResetPassword(t.Context(), &identityv1.ResetPasswordRequest{Token: activation, Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LINK_INVALID)
}

func invited(email string) *tenancyv1.LookupInvitationResponse {
	return &tenancyv1.LookupInvitationResponse{Invitation: "subscribers/s/invitations/i", Email: email, FullName: "Pēteris Liepa"}
}

func TestAnInvitedPersonIsActiveAtOnceUnderTheInvitationsEmail(t *testing.T) {
	b := setup(t)
	b.tenancy.invitations["secret"] = invited("Peteris@testapiemers.lv")
	req := &identityv1.RegisterInvitedRequest{
		InvitationToken: "secret", Email: "peteris@testapiemers.lv", Password: goodPassword, Language: "pl-PL", RequestId: id.NewString(),
	}
	first, err := b.accounts.RegisterInvited(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, identityv1.AccountState_ACCOUNT_STATE_ACTIVE, first.GetAccount().GetState())
	require.Equal(t, "Pēteris Liepa", first.GetAccount().GetFullName())
	require.Equal(t, "pl", first.GetAccount().GetLanguage())
	require.False(t, next(b, &identityv1.AccountRegistered{}).GetSelfRegistered())
	require.False(t, next(b, &identityv1.AccountActivated{}).GetSelfRegistered())
	b.signIn("peteris@testapiemers.lv")

	again, err := b.accounts.RegisterInvited(t.Context(), req)
	require.NoError(t, err)
	require.True(t, proto.Equal(first, again))

	req.RequestId = id.NewString()
	_, err = b.accounts.RegisterInvited(t.Context(), req)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ALREADY_REGISTERED)
}

func TestAnInvitedPersonUnderAnotherEmailConfirmsItFirst(t *testing.T) {
	b := setup(t)
	b.tenancy.invitations["secret"] = invited("peteris@testapiemers.lv")
	answer, err := b.accounts.RegisterInvited(t.Context(), &identityv1.RegisterInvitedRequest{
		InvitationToken: "secret", Email: "liepa@testapiemers.lv", Password: goodPassword, RequestId: id.NewString(),
	})
	require.NoError(t, err)
	require.Nil(t, answer.GetAccount())
	next(b, &identityv1.AccountRegistered{})
	next(b, &identityv1.AccountActivationRequested{})
	_, err = b.sessions.SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "liepa@testapiemers.lv", Password: goodPassword})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SIGN_IN_REFUSED)

	known := b.person("ieva@testapiemers.lv")
	answer, err = b.accounts.RegisterInvited(t.Context(), &identityv1.RegisterInvitedRequest{
		InvitationToken: "secret", Email: "ieva@testapiemers.lv", Password: goodPassword, RequestId: id.NewString(),
	})
	require.NoError(t, err, "whether the other e-mail is known is not told")
	require.Nil(t, answer.GetAccount())
	require.Equal(t, known.GetName(), next(b, &identityv1.AccountAlreadyRegistered{}).GetAccount())
}

func TestAnInvitationThatIsOverRegistersNobody(t *testing.T) {
	b := setup(t)
	_, err := b.accounts.RegisterInvited(t.Context(), &identityv1.RegisterInvitedRequest{
		InvitationToken: "gone", Email: "peteris@testapiemers.lv", Password: goodPassword, RequestId: id.NewString(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_INVALID)
	b.quiet()
}

func TestAnInvitedPersonWhoWasAddedBeforeTakesThatAccount(t *testing.T) {
	b := setup(t)
	made, err := b.tenancyDirectory().EnsureAccount(t.Context(), &identityv1.EnsureAccountRequest{Email: "peteris@testapiemers.lv"})
	require.NoError(t, err)
	next(b, &identityv1.AccountRegistered{})
	b.tenancy.invitations["secret"] = invited("peteris@testapiemers.lv")
	answer, err := b.accounts.RegisterInvited(t.Context(), &identityv1.RegisterInvitedRequest{
		InvitationToken: "secret", Email: "peteris@testapiemers.lv", Password: goodPassword, RequestId: id.NewString(),
	})
	require.NoError(t, err)
	require.Equal(t, made.GetAccount().GetName(), answer.GetAccount().GetName())
	next(b, &identityv1.AccountActivated{})
	_, err = b.directory.GetAccountLink(t.Context(), &identityv1.GetAccountLinkRequest{Name: made.GetActivation()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}
