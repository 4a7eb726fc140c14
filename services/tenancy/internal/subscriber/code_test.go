package subscriber_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kontor.internal/services/tenancy/internal/subscriber"
)

func newCodes(t testing.TB, key string) *subscriber.Codes {
	t.Helper()
	codes, err := subscriber.NewCodes([]byte(strings.Repeat(key, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

func TestNoTwoPlacesHaveTheSameCode(t *testing.T) {
	codes, form := newCodes(t, "k"), regexp.MustCompile(`^CL-[0-9]{7}$`)
	seen := map[string]int64{}
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.Int64Range(0, 9_999_999).Draw(t, "place")
		code, err := codes.Code(place)
		if err != nil || !form.MatchString(code) {
			t.Fatalf("code of %d = %q, %v", place, code, err)
		}
		if other, given := seen[code]; given && other != place {
			t.Fatalf("%s is given to %d and %d", code, other, place)
		}
		seen[code] = place
	})
	for place := range int64(20_000) {
		code, err := codes.Code(place)
		if other, given := seen[code]; err != nil || (given && other != place) {
			t.Fatalf("%s is given to %d and %d, %v", code, other, place, err)
		}
		seen[code] = place
	}
}

func TestCodesCannotBeForeseenFromTheirNeighbours(t *testing.T) {
	codes := newCodes(t, "k")
	var list []string
	for place := range int64(100) {
		code, err := codes.Code(place)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, code)
	}
	if slices.IsSorted(list) {
		t.Error("the codes rise with their places")
	}
	other, err := newCodes(t, "x").Code(0)
	if err != nil || other == list[0] {
		t.Errorf("another key gives the same code %s, %v", other, err)
	}
}

func TestPlacesBeyondTheLastCodeAreRefused(t *testing.T) {
	codes := newCodes(t, "k")
	for _, place := range []int64{-1, 10_000_000} {
		if code, err := codes.Code(place); err == nil {
			t.Errorf("code of %d = %s", place, code)
		}
	}
	if _, err := subscriber.NewCodes([]byte("short")); err == nil {
		t.Error("a short key is taken")
	}
}
