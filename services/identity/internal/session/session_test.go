package session

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func tokens(t testing.TB, letters ...string) *Tokens {
	t.Helper()
	var keys [][]byte
	for _, letter := range letters {
		keys = append(keys, []byte(strings.Repeat(letter, 32)))
	}
	k, err := NewTokens(keys...)
	require.NoError(t, err)
	return k
}

// chain makes the first tokens of a session.
func chain(t testing.TB, n int) []Token {
	t.Helper()
	k := tokens(t, "a")
	first, err := k.First(id.New())
	require.NoError(t, err)
	list := []Token{first}
	for len(list) < n {
		list = append(list, k.Successor(list[len(list)-1]))
	}
	return list
}

func TestRefreshIsDecidedByWhichTokenComesWhen(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	c := chain(t, 5)
	stranger := chain(t, 5)
	state := func(change func(*State)) State {
		s := State{
			Generation: 3, Hash: c[3].Hash(), IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour),
			Used: []Rotation{{1, c[1].Hash(), now.Add(-20 * time.Second)}, {2, c[2].Hash(), now.Add(-10 * time.Second)}},
		}
		if change != nil {
			change(&s)
		}
		return s
	}
	for _, tc := range []struct {
		name  string
		state State
		token Token
		want  Verdict
	}{
		{"the latest is rotated", state(nil), c[3], Rotate},
		{"the one before, used a moment ago, repeats", state(nil), c[2], Repeat},
		{"so does the one before that", state(nil), c[1], Repeat},
		{"exactly at the end of the grace it still repeats", state(func(s *State) { s.Used[1].At = now.Add(-Grace) }), c[2], Repeat},
		{"past the grace it is taken for a copy", state(func(s *State) { s.Used[1].At = now.Add(-Grace - 1) }), c[2], Reused},
		{"one that was forgotten is taken for a copy", state(nil), c[0], Reused},
		{"one that is yet to come is refused", state(nil), c[4], Invalid},
		{"another secret of the same generation is refused", state(nil), stranger[3], Invalid},
		{"an ended session gives nothing", state(func(s *State) { s.Ended = true }), c[3], Over},
		{"nor does one that was idle too long", state(func(s *State) { s.IdleExpires = now }), c[3], Expired},
		{"nor one that lived its whole life", state(func(s *State) { s.Expires = now }), c[3], Expired},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, tc.state.Decide(tc.token, now)) })
	}
}

// model plays the store's part: it does what a verdict says.
type model struct {
	k     *Tokens
	state State
}

func (m *model) refresh(t Token, now time.Time) (Verdict, Token) {
	v := m.state.Decide(t, now)
	switch v {
	case Rotate:
		next := m.k.Successor(t)
		var kept []Rotation
		for _, used := range append(m.state.Used, Rotation{t.Generation, t.Hash(), now}) {
			if now.Sub(used.At) <= Grace {
				kept = append(kept, used)
			}
		}
		m.state.Used, m.state.Generation, m.state.Hash = kept, next.Generation, next.Hash()
		return v, next
	case Repeat:
		return v, m.k.Successor(t)
	case Reused:
		m.state.Ended = true
	}
	return v, Token{}
}

func TestWhateverTokensComeInWhateverOrderOneIsGoodAndACopyEndsAll(t *testing.T) {
	k := tokens(t, "a")
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
		first, err := k.First(uuid.UUID{15: 1})
		require.NoError(t, err)
		m := &model{k: k, state: State{Hash: first.Hash(), IdleExpires: now.Add(IdleLife), Expires: now.Add(Life)}}
		issued := []Token{first}
		usedAt := map[int32]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "pause")) * time.Second)
			token := issued[rapid.IntRange(0, len(issued)-1).Draw(t, "token")]
			ended := m.state.Ended
			verdict, next := m.refresh(token, now)

			at, used := usedAt[token.Generation]
			switch {
			case ended:
				require.Equal(t, Over, verdict)
			case !used:
				require.Equal(t, Rotate, verdict, "a fresh token is always good")
				require.Equal(t, len(issued), int(next.Generation))
				usedAt[token.Generation] = now
				issued = append(issued, next)
			case now.Sub(at) <= Grace:
				require.Equal(t, Repeat, verdict)
				require.Equal(t, issued[token.Generation+1], next, "the same successor")
			default:
				require.Equal(t, Reused, verdict)
				require.True(t, m.state.Ended)
			}
		}
	})
}

func TestARefreshNeverOutlivesTheSession(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	require.Equal(t, now.Add(IdleLife), idleUntil(now, now.Add(Life)))
	require.Equal(t, now.Add(time.Hour), idleUntil(now, now.Add(time.Hour)))
}

func TestATokenIsReadBackAsItWasMade(t *testing.T) {
	k := tokens(t, "a")
	for _, token := range chain(t, 3) {
		got, err := k.Parse(k.Text(token))
		require.NoError(t, err)
		require.Equal(t, token, got)
	}
}

func TestTokensOfOtherKeysAreRefusedUnlessTheKeyIsKept(t *testing.T) {
	token := chain(t, 1)[0]
	text := tokens(t, "a").Text(token)
	_, err := tokens(t, "b").Parse(text)
	require.Equal(t, commonv1.Reason_REASON_REFRESH_TOKEN_INVALID, failure.Reason(err))
	got, err := tokens(t, "b", "a").Parse(text)
	require.NoError(t, err)
	require.Equal(t, token, got)
}

func TestATokenChangedAnywhereIsRefused(t *testing.T) {
	k := tokens(t, "a")
	original := k.Text(chain(t, 2)[1])
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(original)
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		other := rapid.Byte().Draw(t, "byte")
		if text[at] == other {
			return
		}
		text[at] = other
		_, err := k.Parse(string(text))
		require.Equal(t, commonv1.Reason_REASON_REFRESH_TOKEN_INVALID, failure.Reason(err))
	})
}

func TestNamesOfSessionsAreReadStrictly(t *testing.T) {
	account, session := id.New(), id.New()
	gotAccount, gotSession, err := ParseName(Name(account, session))
	require.NoError(t, err)
	require.Equal(t, account, gotAccount)
	require.Equal(t, session, gotSession)
	for _, bad := range []string{"", "accounts/x", "accounts/" + account.String() + "/sessions/", Name(account, session) + "/x"} {
		_, _, err := ParseName(bad)
		require.Equal(t, commonv1.Reason_REASON_NOT_FOUND, failure.Reason(err), bad)
	}
}

func FuzzParse(f *testing.F) {
	k := tokens(f, "a")
	f.Add(k.Text(chain(f, 1)[0]))
	f.Add(k.Text(chain(f, 2)[1]) + "=")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := k.Parse(text); err == nil && k.Text(token) != text {
			t.Errorf("%q and %q are one token", text, k.Text(token))
		}
	})
}
