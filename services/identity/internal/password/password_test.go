package password_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/password"
)

func TestEveryBrokenRuleIsNamedAtOnce(t *testing.T) {
	const email = "Ieva@testapiemers.lv"
	for _, c := range []struct {
		name, password string
		broken         []password.Rule
	}{
		{"a good one breaks none", "Rudens-2026", nil},
		{"eight characters suffice", "aB3-efgh", nil},
		{"seven do not", "aB3-efg", []password.Rule{password.RuleLength}},
		{"128 are allowed", "aB3-" + strings.Repeat("x", 124), nil},
		{"129 are not", "aB3-" + strings.Repeat("x", 125), []password.Rule{password.RuleLength}},
		{"an empty one breaks all that ask for something", "", []password.Rule{
			password.RuleLength, password.RuleLowerCase, password.RuleUpperCase, password.RuleDigit, password.RuleSpecial,
		}},
		{"four rules at once", "abc", []password.Rule{
			password.RuleLength, password.RuleUpperCase, password.RuleDigit, password.RuleSpecial,
		}},
		{"another keyboard's letters count for nothing", "Пароль-12", []password.Rule{
			password.RuleLatin, password.RuleLowerCase, password.RuleUpperCase,
		}},
		{"letters with marks are not Latin keyboard's", "Rudenī-2026", []password.Rule{password.RuleLatin}},
		{"Persian digits are not digits", "Rudens-۲۰۲۶", []password.Rule{password.RuleLatin, password.RuleDigit}},
		{"a length is counted in characters, not bytes", "āāāāāāā", []password.Rule{
			password.RuleLength, password.RuleLatin, password.RuleLowerCase, password.RuleUpperCase, password.RuleDigit, password.RuleSpecial,
		}},
		{"a blank is allowed but is no special character", "Rudens 2026", []password.Rule{password.RuleSpecial}},
		{"a tab is not typed", "Rudens-2026\t", []password.Rule{password.RuleLatin}},
		{"the e-mail itself is refused whatever its case", "ieva@Testapiemers.LV", []password.Rule{
			password.RuleDigit, password.RuleNotEmail,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.broken, password.Broken(c.password, email))
		})
	}
}

func TestARefusalCarriesEachRuleOnTheField(t *testing.T) {
	err := failure.From(password.Check("abc", "", "password", "lv"))
	require.Equal(t, commonv1.Reason_REASON_PASSWORD_REFUSED, err.Reason())
	require.Equal(t, "length, upper_case, digit, special", err.Meta("rules"))
	require.Len(t, err.Fields(), 4)
	for _, field := range err.Fields() {
		require.Equal(t, "password", field.Path)
		require.Equal(t, password.Rule(field.Rule).Text("lv"), field.Text)
		require.NotEqual(t, password.Rule(field.Rule).Text("en"), field.Text)
	}
	require.NoError(t, password.Check("Rudens-2026", "", "password", "lv"))
}

func TestAPasswordMadeToTheRulesBreaksNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z][A-Z][0-9][!-/][ -~]{4,100}`).Draw(t, "password")
		require.Empty(t, password.Broken(text, ""))
	})
}

func TestEveryRuleHasATextInEachLanguage(t *testing.T) {
	for _, rule := range password.Rules() {
		require.NotEmpty(t, rule.Text("en"))
		require.NotEqual(t, rule.Text("en"), rule.Text("lv"))
		require.Equal(t, rule.Text("en"), rule.Text("fa"), "English where there is none")
	}
}

// light makes hashes cheap enough for tests.
func light() password.Config {
	return password.Config{MemoryKiB: 64, Iterations: 1, Parallelism: 1, AtOnce: 2}
}

func TestAHashMatchesItsPasswordOnly(t *testing.T) {
	h, err := password.NewHasher(light())
	require.NoError(t, err)
	hash, err := h.Hash(t.Context(), "Rudens-2026")
	require.NoError(t, err)
	require.NotContains(t, hash, "Rudens")

	matches, outdated, err := h.Matches(t.Context(), "Rudens-2026", hash)
	require.NoError(t, err)
	require.True(t, matches)
	require.False(t, outdated)

	matches, _, err = h.Matches(t.Context(), "Rudens-2025", hash)
	require.NoError(t, err)
	require.False(t, matches)

	matches, _, err = h.Matches(t.Context(), "Rudens-2026", "")
	require.NoError(t, err)
	require.False(t, matches, "no account has no password")
}

func TestAHashMadeWithOtherParametersIsOutdated(t *testing.T) {
	weak, err := password.NewHasher(light())
	require.NoError(t, err)
	hash, err := weak.Hash(t.Context(), "Rudens-2026")
	require.NoError(t, err)

	stronger := light()
	stronger.Iterations = 2
	h, err := password.NewHasher(stronger)
	require.NoError(t, err)
	matches, outdated, err := h.Matches(t.Context(), "Rudens-2026", hash)
	require.NoError(t, err)
	require.True(t, matches)
	require.True(t, outdated)
}

func TestWhoeverGivesUpWaitingIsTold(t *testing.T) {
	cfg := light()
	cfg.AtOnce, cfg.MemoryKiB, cfg.Iterations = 1, 64<<10, 20 // Long enough to be in the way.
	h, err := password.NewHasher(cfg)
	require.NoError(t, err)
	var busy sync.WaitGroup
	busy.Go(func() {
		_, err := h.Hash(context.Background(), "Rudens-2026")
		require.NoError(t, err)
	})
	defer busy.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for ctx.Err() != nil {
		if _, err = h.Hash(ctx, "Rudens-2026"); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, context.Canceled)
}

func TestUnworkableParametersAreRefused(t *testing.T) {
	_, err := password.NewHasher(password.Config{})
	require.Error(t, err)
}
