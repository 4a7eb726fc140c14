package contract_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/locale"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/contract"
)

func document(t *testing.T, lang locale.Language, plan string) contract.Document {
	t.Helper()
	c, err := catalogue.Load("")
	require.NoError(t, err)
	p, ok := c.Plan(plan)
	require.True(t, ok)
	return contract.Document{
		Number: "K-2026-000042", Date: civil.Date{Year: 2026, Month: time.March, Day: 31}, Language: lang, Catalogue: c, Plan: p,
		Zone: "Europe/Riga", Created: time.Date(2026, 3, 31, 9, 30, 0, 0, time.UTC),
		Customer: contract.Customer{
			Legal: true, Name: "SIA “Ķēžu ģērbtuve”", Code: "CL-0000042", RegistrationNumber: "40003000123",
			Address: "Brīvības iela 1, Rīga", Country: "LV",
		},
	}
}

func render(t *testing.T, d contract.Document) []byte {
	t.Helper()
	library, err := contract.LoadLibrary()
	require.NoError(t, err)
	pdf, err := contract.Render(d, library[d.Language])
	require.NoError(t, err)
	return pdf
}

func TestTheSameDocumentGivesTheSameBytes(t *testing.T) {
	for _, lang := range []locale.Language{"en", "lv"} {
		first := render(t, document(t, lang, "books-trial"))
		for range 20 {
			require.True(t, bytes.Equal(first, render(t, document(t, lang, "books-trial"))), "%s", lang)
		}
		other := document(t, lang, "books-trial")
		other.Number = "K-2026-000043"
		require.NotEqual(t, first, render(t, other))
		require.Less(t, len(first), 2<<20)
	}
}

// textOf reads a PDF with poppler's pdftotext where it is installed.
func textOf(t *testing.T, pdf []byte) string {
	t.Helper()
	program, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is not installed")
	}
	path := filepath.Join(t.TempDir(), "contract.pdf")
	require.NoError(t, os.WriteFile(path, pdf, 0o600))
	out, err := exec.CommandContext(t.Context(), program, "-layout", path, "-").Output()
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestADocumentSaysWhoAndWhatInTheCustomersLanguage(t *testing.T) {
	for _, c := range []struct {
		lang  locale.Language
		plan  string
		says  []string
		never []string
	}{
		{"en", "books-trial", []string{
			"Distance contract No. K-2026-000042", "31 March 2026", "SIA “Ķēžu ģērbtuve”", "CL-0000042", "40003000123",
			"The first 30 days are free of charge", "Europe/Riga", "Licence document", "Document exchange", "page 1 of",
		}, []string{"The price is", "€"}},
		{"lv", "books-trial", []string{
			"Distances līgums Nr. K-2026-000042", "2026. gada 31. marts", "Pirmās 30 dienas ir bez maksas", "Dokumentu apmaiņa",
		}, []string{"Cena ir"}},
		{"en", "books-prof", []string{"The price is €49.00 a month without tax", "Payroll"}, []string{"free of charge, and no payment"}},
		{"lv", "books-base", []string{"Cena ir 19,00 € mēnesī", "Konti 3"}, []string{"Izmēģinājums"}},
	} {
		t.Run(string(c.lang)+" "+c.plan, func(t *testing.T) {
			text := textOf(t, render(t, document(t, c.lang, c.plan)))
			text = strings.ReplaceAll(text, "\u00a0", " ")
			for _, part := range c.says {
				require.Contains(t, text, part)
			}
			for _, part := range c.never {
				require.NotContains(t, text, part)
			}
			require.NotRegexp(t, regexp.MustCompile(`\{[a-z_]+\}`), text, "a name that nothing filled in")
		})
	}
}

func TestTypedBracesAndLineBreaksStayText(t *testing.T) {
	d := document(t, "en", "books-trial")
	d.Customer.Name = "{price}\r\n{pages} Ltd"
	text := textOf(t, render(t, d))
	require.Contains(t, text, "(price) (pages) Ltd")
}

func TestALongNameFitsAndEveryLanguageHasAllTexts(t *testing.T) {
	d := document(t, "lv", "books-trial")
	d.Customer.Name = strings.Repeat("Ļoti garš nosaukums ", 60)
	d.Customer.Address = strings.Repeat("x", 500)
	require.NotEmpty(t, render(t, d))

	library, err := contract.LoadLibrary()
	require.NoError(t, err)
	require.Equal(t, []string{"en", "lv"}, library.Languages())
	english := library["en"]
	for lang, texts := range library {
		require.Len(t, texts.Sections, len(english.Sections), "%s", lang)
		for i, s := range texts.Sections {
			require.Equal(t, english.Sections[i].Only, s.Only, "%s section %d", lang, i)
			require.NotEmpty(t, s.Heading)
			require.Len(t, s.Paragraphs, len(english.Sections[i].Paragraphs))
		}
		for key, label := range english.LicenceRows {
			require.NotEmpty(t, texts.LicenceRows[key], "%s: %s", lang, label)
		}
		require.False(t, slices.Contains([]string{
			texts.Contract, texts.Licence, texts.MadeOn, texts.Footer, texts.Seller, texts.Customer, texts.LegalEntity,
			texts.NaturalPerson, texts.RegistrationNumber, texts.Address, texts.Country, texts.Email, texts.Code,
			texts.LicenceIntro, texts.AnyNumber, texts.None, texts.TermTrial, texts.TermPaid, texts.Free, texts.AMonth,
			texts.LicenceOutro,
		}, ""), "%s lacks a text", lang)
	}
}

func BenchmarkRender(b *testing.B) {
	c, err := catalogue.Load("")
	if err != nil {
		b.Fatal(err)
	}
	library, err := contract.LoadLibrary()
	if err != nil {
		b.Fatal(err)
	}
	plan, _ := c.Plan("books-trial")
	d := contract.Document{Number: "K-2026-000001", Language: "lv", Catalogue: c, Plan: plan, Date: civil.Date{Year: 2026, Month: 1, Day: 1}}
	for b.Loop() {
		if _, err := contract.Render(d, library["lv"]); err != nil {
			b.Fatal(err)
		}
	}
}
