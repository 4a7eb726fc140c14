package ubl_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kontor.internal/services/exchange/internal/ubl"
)

// samples finds the published samples beside the repository; they are not part of it.
func samples(t *testing.T, folder string) []string {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			break
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "..", "shared", "samples", "ubl", folder, "*.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("the published UBL samples are not beside the repository")
	}
	return files
}

func content(t *testing.T, file string) string {
	t.Helper()
	bytes, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes)
}

func TestPublishedDocumentsBreakNoRule(t *testing.T) {
	for _, file := range samples(t, "valid") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			d := read(t, content(t, file))
			if ids := broken(d); ids != nil {
				t.Errorf("breaks %v", ids)
			}
			if _, err := d.Totals.Payable.Money(d.Currency); err != nil || d.Seller.DisplayName() == "" || len(d.Lines) == 0 {
				t.Errorf("read %+v, %v", d, err)
			}
		})
	}
}

func TestPublishedFaultsAreFound(t *testing.T) {
	test := regexp.MustCompile(`(?s)<test>.*?<(success|error)>(.*?)</.*?(<(?:Invoice|CreditNote)\b.*?</(?:Invoice|CreditNote)>)`)
	for _, file := range samples(t, "invalid-testsets") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text := content(t, file)
			fragments := test.FindAllStringSubmatch(text, -1)
			if len(fragments) != strings.Count(text, "<test>") {
				t.Fatalf("%d of %d fragments found", len(fragments), strings.Count(text, "<test>"))
			}
			for i, fragment := range fragments {
				wrong := fragment[1] == "error"
				got := broken(read(t, fragment[3]))
				if slices.Contains(got, fragment[2]) != wrong {
					t.Errorf("fragment %d, %s of %s: breaks %v", i, fragment[1], fragment[2], got)
				}
				if !slices.ContainsFunc(ubl.Rules(), func(r ubl.Rule) bool { return r.ID == fragment[2] }) {
					t.Errorf("there is no rule %s", fragment[2])
				}
			}
		})
	}
}
