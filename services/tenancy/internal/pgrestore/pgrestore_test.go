package pgrestore

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// archive is what a shell in pg_restore's place gets.
func archive(content string) Open {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

func run(t *testing.T, limits Limits, script string) error {
	t.Helper()
	limits.Time, limits.CPU, limits.Memory = time.Minute, time.Minute, 2<<30
	shell, err := Find("sh", limits)
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(io.Reader) error { return nil }
	return shell.Run(t.Context(), archive(strings.Repeat("a", 1000)), nothing, "-c", script)
}

func TestWhatComesOutIsBounded(t *testing.T) {
	usual := Limits{Stall: time.Minute, Bytes: 1 << 20, Free: 10_000, Ratio: 50}
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"as much as went in":                    {"cat", nil},
		"fifty times as much":                   {"cat >/dev/null; exec head -c 50000 /dev/zero", nil},
		"more than that":                        {"cat >/dev/null; exec head -c 50001 /dev/zero", ErrTooLarge},
		"a little before anything went in":      {"head -c 9000 /dev/zero; cat >/dev/null", nil},
		"without end":                           {"cat >/dev/null; exec cat /dev/zero", ErrTooLarge},
		"what fails as pg_restore does is that": {"cat >/dev/null; echo no >&2; exit 1", ErrArchive},
	} {
		if err := run(t, usual, c.script); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatStallsIsGivenUp(t *testing.T) {
	err := run(t, Limits{Stall: 100 * time.Millisecond, Bytes: 1 << 20, Free: 1 << 20}, "cat >/dev/null; exec sleep 30")
	if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), "stalls") {
		t.Error(err)
	}
}
