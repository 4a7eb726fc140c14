package ubl_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"kontor.internal/services/exchange/internal/ubl"
)

func TestDecimalsAreReadAsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0.00": "0.00", "+5": "5", "5.": "5", ".5": "0.5", "0012.30": "12.30", "-0.07": "-0.07",
		"999999999999999999":            "999999999999999999",
		"1.00000000000000000000000":     "1",
		"00000000000000000000000000.10": "0.10",
	} {
		d, err := ubl.ParseDecimal(text)
		if err != nil || d.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, d, err, want)
		}
	}
	for _, text := range []string{"", ".", "-", "+-1", "1e3", "1,5", "1.2.3", "0x1", "INF", "٣", "1000000000000000000", "0.12345678901"} {
		if d, err := ubl.ParseDecimal(text); err == nil {
			t.Errorf("%q is read as %v", text, d)
		}
	}
}

func TestMoneyIsNeverRounded(t *testing.T) {
	for name, c := range map[string]struct{ text, currency, want string }{
		"cents":                         {"12.3", "EUR", "12.30 EUR"},
		"zeros beyond cents":            {"12.3000", "EUR", "12.30 EUR"},
		"a third decimal":               {"12.305", "EUR", ""},
		"whole yen":                     {"12.00", "JPY", "12 JPY"},
		"half a yen":                    {"12.5", "JPY", ""},
		"a currency that nobody issues": {"1", "EUX", ""},
		"more than can be counted":      {"999999999999999999", "EUR", ""},
	} {
		d, err := ubl.ParseDecimal(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Money(c.currency)
		if (err == nil) != (c.want != "") || err == nil && got.String() != c.want {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestADecimalIsTheSameNumberAsItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,8}(\.[0-9]{0,10})?`).Draw(t, "text")
		d, err := ubl.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := new(big.Rat).SetString(text)
		got, valid := new(big.Rat).SetString(d.String())
		if !valid || got.Cmp(want) != 0 {
			t.Fatalf("%q is read as %q", text, d)
		}
	})
}
