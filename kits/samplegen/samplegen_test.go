package samplegen_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kontor.internal/kits"
	"kontor.internal/kits/internal/scratch"
	"kontor.internal/kits/kit"
	"kontor.internal/kits/samplegen"
)

func get(t testing.TB, product, version string) *kit.Kit {
	t.Helper()
	set, err := kits.Load()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := kit.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return set.Get(product, parsed)
}

// fill makes a database at a kit's release and fills it.
func fill(t testing.TB, k *kit.Kit, options samplegen.Options) (*scratch.Database, samplegen.Made) {
	t.Helper()
	d := scratch.New(t)
	if _, err := k.Apply(t.Context(), d.Conn, kit.Install{}); err != nil {
		t.Fatal(err)
	}
	made, err := samplegen.Fill(t.Context(), d.Conn, k, options)
	if err != nil {
		t.Fatal(err)
	}
	return d, made
}

// sum is a hash over all rows of the kit's tables.
func sum(t testing.TB, db kit.Querier, k *kit.Kit) string {
	t.Helper()
	var all strings.Builder
	for _, table := range k.Tables {
		all.WriteString(scratch.Value[string](t, db, "SELECT coalesce(md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))), '') FROM "+table.Table+" r"))
	}
	return all.String()
}

func TestTheSameSeedGivesTheSameRows(t *testing.T) {
	for _, k := range []*kit.Kit{get(t, "books", "1.3.0"), get(t, "books", "1.4.0"), get(t, "payroll", "1.0.0")} {
		t.Run(strings.ReplaceAll(k.String(), " ", "_"), func(t *testing.T) {
			one, made := fill(t, k, samplegen.Options{Seed: 7})
			again, _ := fill(t, k, samplegen.Options{Seed: 7})
			other, _ := fill(t, k, samplegen.Options{Seed: 8})
			if made.Rows < 500 {
				t.Errorf("%d rows only", made.Rows)
			}
			first := sum(t, one.Conn, k)
			if first != sum(t, again.Conn, k) {
				t.Error("the same seed gave other rows")
			}
			if first == sum(t, other.Conn, k) {
				t.Error("another seed gave the same rows")
			}
			if n := scratch.Value[int](t, one.Conn, "SELECT count(*) FROM kontor_meta.change_log"); n != 0 {
				t.Errorf("%d changes in the log", n)
			}
		})
	}
}

func TestTheBooksArePlausible(t *testing.T) {
	k := get(t, "books", "1.4.0")
	d, _ := fill(t, k, samplegen.Options{LastYear: 2027, Name: "SIA Liepa", TaxNumber: "LV49900000018"})
	users, err := k.ReadLocalUsers(t.Context(), d.Conn)
	if err != nil || len(users) != 3 {
		t.Fatal(users, err)
	}
	for _, user := range users {
		if len(user.Permissions) == 0 || len(user.Unknown) != 0 || !strings.Contains("Ieva Jānis Anna", user.Name) {
			t.Errorf("%+v", user)
		}
	}
	steps, err := k.Steps(t.Context(), d.Conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		if !step.Finished {
			t.Errorf("%s is not done", step.Key)
		}
	}
	for query, want := range map[string]string{
		"SELECT string_agg(year || ' ' || closed, ', ' ORDER BY year) FROM books.fiscal_years":                                                     "2025 true, 2026 false, 2027 false",
		"SELECT value FROM books.settings WHERE name = 'company.tax_number'":                                                                       "LV49900000018",
		"SELECT (sum(debit_minor) = sum(credit_minor))::text FROM books.trial_balance":                                                             "true",
		"SELECT (count(*) = 0)::text FROM books.invoice_lines WHERE vat_code IS NULL OR cost_centre IS NULL":                                       "true",
		"SELECT (count(DISTINCT tax_number) = count(*))::text FROM books.partners":                                                                 "true",
		"SELECT (max(issue_date) < '2027-03-01' AND min(issue_date) = '2025-01-01')::text FROM books.invoices":                                     "true",
		"SELECT (books.next_number(2027, 'invoice_sale') > max(number))::text FROM books.invoices WHERE fiscal_year = 2027 AND direction = 'sale'": "true",
	} {
		if got := scratch.Value[string](t, d.Conn, query); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
}

func TestACopyOfTheOlderReleaseUpgrades(t *testing.T) {
	older, newest := get(t, "books", "1.3.0"), get(t, "books", "1.4.0")
	d, _ := fill(t, older, samplegen.Options{})
	if _, err := newest.Apply(t.Context(), d.Conn, kit.Install{}); err != nil {
		t.Fatal(err)
	}
	if err := newest.Check(t.Context(), d.Conn); err != nil {
		t.Error(err)
	}
	if n := scratch.Value[int](t, d.Conn, "SELECT count(*) FROM books.invoice_lines WHERE vat_code IS NULL"); n != 0 {
		t.Errorf("%d lines have no VAT code", n)
	}
}

func TestTheDumpIsAsLargeAsAskedFor(t *testing.T) {
	d, _ := fill(t, get(t, "books", "1.4.0"), samplegen.Options{Megabytes: 4})
	size := dumpSize(t, d.DSN)
	if size < 4<<20 || size > 6<<20 {
		t.Errorf("the dump has %d bytes", size)
	}
}

func TestWhatCannotBeMadeIsRefused(t *testing.T) {
	d := scratch.New(t)
	k := get(t, "books", "1.4.0")
	if _, err := samplegen.Fill(t.Context(), d.Conn, k, samplegen.Options{Megabytes: -1}); err == nil {
		t.Error("a negative size was made")
	}
	if _, err := samplegen.Fill(t.Context(), d.Conn, k, samplegen.Options{}); err == nil {
		t.Error("a database without the kit was filled")
	}
	other := *k
	other.Product = "assets"
	if _, err := samplegen.Fill(t.Context(), d.Conn, &other, samplegen.Options{}); err == nil || !strings.Contains(err.Error(), "assets") {
		t.Errorf("an unknown product: %v", err)
	}
}

// dumpSize returns the size of the database's dump in bytes.
func dumpSize(t testing.TB, dsn string) int {
	t.Helper()
	bin, err := exec.Command("pg_config", "--bindir").Output()
	if err != nil {
		t.Fatal(err)
	}
	dump, err := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(bin)), "pg_dump"), "-Fc", "-d", dsn).Output()
	if err != nil {
		t.Fatal(err)
	}
	return len(dump)
}

// BenchmarkApplyBooks is what a new company costs besides its empty database: schema, grants, chart.
func BenchmarkApplyBooks(b *testing.B) {
	k := get(b, "books", "1.4.0")
	for b.Loop() {
		b.StopTimer()
		d := scratch.New(b)
		if err := k.CreateGroups(b.Context(), d.Conn, d.Prefix); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := k.Apply(b.Context(), d.Conn, kit.Install{Owner: d.Owner, Prefix: d.Prefix}); err != nil {
			b.Fatal(err)
		}
		if _, err := k.FillChart(b.Context(), d.Conn, "service", "lv"); err != nil {
			b.Fatal(err)
		}
	}
}
