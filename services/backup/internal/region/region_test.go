package region

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARegionHasItsOwnStoreOrTheSharedOne(t *testing.T) {
	shared, own := t.TempDir(), t.TempDir()
	s, err := Open(t.Context(), Rules{Shared: "file://" + shared, Own: []string{"eu-south=file://" + own}, Second: []string{"eu-north=eu-south"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NotSame(t, s.Of("eu-north"), s.Of("eu-south"))
	require.Same(t, s.Of("eu-north"), s.Of("eu-west"))
	require.Len(t, s.All(), 2)
	require.Equal(t, "eu-south", s.Second("eu-north"))
	require.Empty(t, s.Second("eu-south"))
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for what, r := range map[string]Rules{
		"no value":          {Own: []string{"eu-north="}},
		"no region":         {Own: []string{"=file:///x"}},
		"a path":            {Second: []string{"../x=eu-north"}},
		"to a path":         {Second: []string{"eu-north=../x"}},
		"to itself":         {Second: []string{"eu-north=eu-north"}},
		"twice":             {Second: []string{"eu-north=a", "eu-north=b"}},
		"a malformed store": {Own: []string{"eu-north=nowhere"}},
	} {
		r.Shared = "file://" + t.TempDir()
		_, err := Open(t.Context(), r)
		require.Error(t, err, what)
	}
}
