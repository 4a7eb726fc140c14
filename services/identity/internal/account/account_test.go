package account_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/account"
)

func TestAnEmailHasOneSpelling(t *testing.T) {
	for _, c := range []struct{ name, text, written, key string }{
		{"a plain one", "ieva@testapiemers.lv", "ieva@testapiemers.lv", "ieva@testapiemers.lv"},
		{"case does not matter", "Ieva@TestaPiemers.LV", "Ieva@TestaPiemers.LV", "ieva@testapiemers.lv"},
		{"nor do blanks around it", "  ieva@testapiemers.lv\t", "ieva@testapiemers.lv", "ieva@testapiemers.lv"},
		{"signs that are allowed stay", "i.e+v_a'x@a-b.co.uk", "i.e+v_a'x@a-b.co.uk", "i.e+v_a'x@a-b.co.uk"},
		{"a domain with letters of its own is compared in ASCII", "ieva@Piemērs.lv", "ieva@Piemērs.lv", "ieva@xn--piemrs-s3a.lv"},
		{"and equals its ASCII form", "ieva@xn--piemrs-s3a.lv", "ieva@xn--piemrs-s3a.lv", "ieva@xn--piemrs-s3a.lv"},
		{"letters composed either way are one", "e\u0304va@testapiemers.lv", "\u0113va@testapiemers.lv", "\u0113va@testapiemers.lv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			email, err := account.ParseEmail(c.text, "email")
			require.NoError(t, err)
			require.Equal(t, account.Email{Written: c.written, Key: c.key}, email)
			require.Equal(t, c.key, account.IdentifierKey(c.text))
		})
	}
}

func TestWhatIsNoEmailIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "@", "ieva", "ieva@", "@testapiemers.lv", "ieva@lv", "ieva@.lv", "ieva@testapiemers.", "ieva@testa..lv", ".ieva@testapiemers.lv",
		"ieva.@testapiemers.lv", "i..eva@testapiemers.lv", "ie va@testapiemers.lv", "ieva@testa piemers.lv", "ieva@testapiemers.lv\r\nBcc: x@y.lv",
		"<ieva@testapiemers.lv>", "Ieva <ieva@testapiemers.lv>", "a@b@testapiemers.lv", "ieva@[192.0.2.7]", "ieva@-testapiemers.lv", "ieva\x00@testapiemers.lv",
		"ieva@testa_piemers.lv", strings.Repeat("a", 65) + "@testapiemers.lv", "ieva@" + strings.Repeat("a.", 126) + "lv", "\xff@testapiemers.lv",
	} {
		_, err := account.ParseEmail(text, "email")
		require.Equal(t, commonv1.Reason_REASON_INVALID_ARGUMENT, failure.Reason(err), "%q", text)
	}
}

func FuzzParseEmail(f *testing.F) {
	f.Add("Ieva@Piemērs.lv")
	f.Add("a@b@c.lv")
	f.Fuzz(func(t *testing.T, text string) {
		email, err := account.ParseEmail(text, "email")
		if err != nil {
			return
		}
		if strings.ContainsAny(email.Written, "\r\n\x00 <>") {
			t.Errorf("%q would break a letter's header", email.Written)
		}
		again, err := account.ParseEmail(email.Key, "email")
		if err != nil || again.Key != email.Key {
			t.Errorf("%q has the key %q, whose key is %q (%v)", text, email.Key, again.Key, err)
		}
	})
}

func TestTheNearestOfKontorsLanguagesIsTaken(t *testing.T) {
	for wish, want := range map[string]string{
		"lv": "lv", "lv-LV": "lv", "fa-AF": "fa", "pl": "pl", "sv-FI": "sv", "hu": "hu", "en-GB": "en", "de": "en", "": "en", "nonsense!": "en",
	} {
		require.Equal(t, want, account.Language(wish), wish)
	}
}

func TestANameIsTidiedButKeptFreeOfControlCharacters(t *testing.T) {
	name, err := account.FullName("  Ieva Kalnin\u0327a ", "full_name")
	require.NoError(t, err)
	require.Equal(t, "Ieva Kalni\u0146a", name)
	for _, bad := range []string{"Ieva\nKalniņa", "Ieva\x00", "Ieva\r"} {
		if _, err = account.FullName(bad+"x", "full_name"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestOnlyOnesOwnAccountIsNamed(t *testing.T) {
	own, other := id.New(), id.New()
	ctx := caller.With(context.Background(), caller.Caller{Account: account.Name(own)})
	for _, name := range []string{"accounts/me", account.Name(own)} {
		got, err := account.Own(ctx, name)
		require.NoError(t, err)
		require.Equal(t, own, got)
	}
	for _, name := range []string{account.Name(other), "", "accounts/", "accounts/ME", "me"} {
		_, err := account.Own(ctx, name)
		require.Equal(t, commonv1.Reason_REASON_NOT_FOUND, failure.Reason(err), name)
	}
	_, err := account.Own(context.Background(), "accounts/me")
	require.Error(t, err)
	_, err = account.Own(context.Background(), "")
	require.Error(t, err, "nobody is nobody's account")
}
