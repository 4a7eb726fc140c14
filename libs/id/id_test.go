package id_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/id"
)

func TestNewIsVersion7AndGrows(t *testing.T) {
	last := id.New()
	require.EqualValues(t, 7, last.Version())
	for range 1000 {
		next := id.New()
		require.Less(t, last.String(), next.String())
		last = next
	}
}

func TestParseTakesOnlyTheCanonicalForm(t *testing.T) {
	text := id.NewString()
	parsed, err := id.Parse(text)
	require.NoError(t, err)
	require.Equal(t, text, parsed.String())
	for _, bad := range []string{"", "x", "urn:uuid:" + text, "{" + text + "}", "018F0000-0000-7000-8000-00000000000A"} {
		_, err := id.Parse(bad)
		require.Error(t, err, bad)
	}
}

func TestSequenceIsForeseeable(t *testing.T) {
	source := id.Sequence()
	require.Equal(t, uuid.MustParse("00000000-0000-7000-8000-000000000001"), source())
	require.Equal(t, uuid.MustParse("00000000-0000-7000-8000-000000000002"), source())
}

func FuzzParse(f *testing.F) {
	f.Add(id.NewString())
	f.Fuzz(func(t *testing.T, text string) {
		if parsed, err := id.Parse(text); err == nil && parsed.String() != text {
			t.Fatalf("two spellings: %q and %q", text, parsed)
		}
	})
}
