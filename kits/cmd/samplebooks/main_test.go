package main

import (
	"strings"
	"testing"

	"kontor.internal/kits/internal/scratch"
	"kontor.internal/kits/kit"
)

func TestBothProductsGoIntoOneDatabase(t *testing.T) {
	d := scratch.New(t)
	for _, args := range [][]string{
		{"--dsn", d.DSN, "--release", "1.3.0", "--last-year", "2025"},
		{"--dsn", d.DSN, "--product", "payroll"},
	} {
		if err := run(t.Context(), args); err != nil {
			t.Fatal(args, err)
		}
	}
	releases, err := kit.Releases(t.Context(), d.Conn)
	if err != nil || len(releases) != 2 || releases[0].Version.String() != "1.3.0" || releases[1].Product != "payroll" {
		t.Errorf("%v, %v", releases, err)
	}
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	for want, args := range map[string][]string{
		"--dsn is missing":                 {},
		"there is no product assets":       {"--dsn", "x", "--product", "assets"},
		"there is no kit of books 9.9.9":   {"--dsn", "x", "--release", "9.9.9"},
		"is not a version written":         {"--dsn", "x", "--release", "newest"},
		"flag provided but not defined":    {"--size", "1"},
		"cannot parse `not a dsn at all`:": {"--dsn", "not a dsn at all"},
	} {
		if err := run(t.Context(), args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q, got %v", args, want, err)
		}
	}
}
