package money_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/money"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func TestExponentsAreISO4217s(t *testing.T) {
	for currency, want := range map[string]int{"EUR": 2, "PLN": 2, "SEK": 2, "HUF": 2, "IRR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "AED": 2, "ZWL": 2} {
		got, err := money.Exponent(currency)
		require.NoError(t, err)
		require.Equal(t, want, got, currency)
	}
	for _, unknown := range []string{"", "eur", "EURO", "XAU", "XXX", " EU", "R F", "AAA"} {
		_, err := money.Exponent(unknown)
		require.ErrorIs(t, err, money.ErrUnknownCurrency, unknown)
	}
}

func TestParseAndDecimal(t *testing.T) {
	for _, c := range []struct {
		text, currency string
		minor          int64
		shown          string
	}{
		{"0", "EUR", 0, "0.00"},
		{"-0", "EUR", 0, "0.00"},
		{"0.05", "EUR", 5, "0.05"},
		{"-0.5", "EUR", -50, "-0.50"},
		{"1234.50", "EUR", 123450, "1234.50"},
		{"007", "JPY", 7, "7"},
		{"1.234", "KWD", 1234, "1.234"},
		{"92233720368547758.07", "EUR", math.MaxInt64, "92233720368547758.07"},
		{"-92233720368547758.08", "EUR", math.MinInt64, "-92233720368547758.08"},
	} {
		got, err := money.Parse(c.text, c.currency)
		require.NoError(t, err, c.text)
		require.Equal(t, money.Amount{Minor: c.minor, Currency: c.currency}, got)
		require.Equal(t, c.shown, got.Decimal())
		require.Equal(t, c.shown+" "+c.currency, got.String())
	}
	for _, bad := range []string{"", "-", ".", ".5", "5.", "+1", "1,5", "1e3", "1.005", "1 000", "--1", "٣", "0x1", "1.-5", "NaN"} {
		_, err := money.Parse(bad, "EUR")
		require.ErrorIs(t, err, money.ErrSyntax, bad)
	}
	for _, large := range []string{"92233720368547758.08", "-92233720368547758.09", "99999999999999999999999"} {
		_, err := money.Parse(large, "EUR")
		require.ErrorIs(t, err, money.ErrOverflow, large)
	}
	_, err := money.Parse("1.5", "JPY")
	require.ErrorIs(t, err, money.ErrSyntax)
	_, err = money.Parse("1", "ABC")
	require.ErrorIs(t, err, money.ErrUnknownCurrency)
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		minor, numerator, denominator int64
		rounding                      money.Rounding
		want                          int64
	}{
		{250, 1, 100, money.HalfUp, 3},
		{250, 1, 100, money.HalfEven, 2},
		{350, 1, 100, money.HalfEven, 4},
		{-250, 1, 100, money.HalfUp, -3},
		{-250, 1, 100, money.HalfEven, -2},
		{249, 1, 100, money.HalfUp, 2},
		{251, 1, 100, money.HalfEven, 3},
		{50, 1, 100, money.HalfUp, 1},
		{-50, 1, 100, money.HalfUp, -1},
		{50, 1, 100, money.HalfEven, 0},
		{250, -1, 100, money.HalfUp, -3},
		{250, 1, -100, money.HalfUp, -3},
		{-250, -1, 100, money.HalfUp, 3},
		{9999, 21, 100, money.HalfUp, 2100},
		{math.MaxInt64, 3, 3, money.HalfUp, math.MaxInt64},
	} {
		got, err := eur(c.minor).MulRat(c.numerator, c.denominator, c.rounding)
		require.NoError(t, err)
		require.Equal(t, eur(c.want), got, "%+v", c)
	}
	_, err := eur(1).MulRat(1, 0, money.HalfUp)
	require.ErrorIs(t, err, money.ErrArgument)
	_, err = eur(1).MulRat(1, 1, 0)
	require.ErrorIs(t, err, money.ErrArgument)
	_, err = eur(math.MaxInt64).MulRat(2, 1, money.HalfUp)
	require.ErrorIs(t, err, money.ErrOverflow)
}

func TestAllocate(t *testing.T) {
	for _, c := range []struct {
		minor   int64
		weights []int64
		want    []int64
	}{
		{100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{-100, []int64{1, 1, 1}, []int64{-34, -33, -33}},
		{5, []int64{3, 7}, []int64{2, 3}},
		{1, []int64{0, 1, 1}, []int64{0, 1, 0}},
		{2, []int64{1, 0, 1, 1}, []int64{1, 0, 1, 0}},
		{0, []int64{1, 2}, []int64{0, 0}},
		{math.MinInt64, []int64{1}, []int64{math.MinInt64}},
	} {
		parts, err := eur(c.minor).Allocate(c.weights...)
		require.NoError(t, err)
		for i, part := range parts {
			require.Equal(t, eur(c.want[i]), part, "%+v", c)
		}
	}
	for _, weights := range [][]int64{{}, {0, 0}, {1, -1}} {
		_, err := eur(1).Allocate(weights...)
		require.ErrorIs(t, err, money.ErrArgument)
	}
}

func TestCurrenciesDoNotMix(t *testing.T) {
	other := money.Amount{Minor: 1, Currency: "PLN"}
	_, err := eur(1).Add(other)
	require.ErrorIs(t, err, money.ErrCurrencyMismatch)
	_, err = eur(1).Sub(other)
	require.ErrorIs(t, err, money.ErrCurrencyMismatch)
	_, err = eur(1).Cmp(other)
	require.ErrorIs(t, err, money.ErrCurrencyMismatch)
	_, err = money.Sum("EUR", eur(1), other)
	require.ErrorIs(t, err, money.ErrCurrencyMismatch)
	_, err = money.New(1, "ABC")
	require.ErrorIs(t, err, money.ErrUnknownCurrency)
}

// The same sums in unlimited integers: equal where they fit, refused where they don't.
func TestArithmeticIsExactOrRefused(t *testing.T) {
	minor := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-100, 100),
		rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := minor.Draw(t, "a"), minor.Draw(t, "b")
		agree := func(got money.Amount, err error, want *big.Int) {
			if !want.IsInt64() {
				require.ErrorIs(t, err, money.ErrOverflow)
				return
			}
			require.NoError(t, err)
			require.Equal(t, eur(want.Int64()), got)
		}
		x, y := big.NewInt(a), big.NewInt(b)
		got, err := eur(a).Add(eur(b))
		agree(got, err, new(big.Int).Add(x, y))
		got, err = eur(a).Sub(eur(b))
		agree(got, err, new(big.Int).Sub(x, y))
		got, err = eur(a).Mul(b)
		agree(got, err, new(big.Int).Mul(x, y))
		got, err = eur(a).Neg()
		agree(got, err, new(big.Int).Neg(x))
		order, err := eur(a).Cmp(eur(b))
		require.NoError(t, err)
		require.Equal(t, x.Cmp(y), order)
	})
}

func TestRoundingIsWithinHalfAUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Range(-1e12, 1e12).Draw(t, "a")
		n := rapid.Int64Range(-1e6, 1e6).Draw(t, "n")
		d := rapid.Int64Range(1, 1e6).Draw(t, "d") * rapid.SampledFrom([]int64{1, -1}).Draw(t, "sign")
		rounding := rapid.SampledFrom([]money.Rounding{money.HalfUp, money.HalfEven}).Draw(t, "rounding")
		got, err := eur(a).MulRat(n, d, rounding)
		require.NoError(t, err)
		exact := new(big.Rat).Mul(new(big.Rat).SetInt64(a), big.NewRat(n, d))
		off := exact.Sub(exact, new(big.Rat).SetInt64(got.Minor))
		require.LessOrEqual(t, off.Abs(off).Cmp(big.NewRat(1, 2)), 0)
		mirrored, err := eur(-a).MulRat(n, d, rounding)
		require.NoError(t, err)
		require.Equal(t, -got.Minor, mirrored.Minor, "a refund mirrors its payment")
	})
}

func TestPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64().Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 20).Draw(t, "weights")
		parts, err := eur(total).Allocate(weights...)
		all := new(big.Int)
		for _, weight := range weights {
			all.Add(all, big.NewInt(weight))
		}
		if all.Sign() == 0 {
			require.ErrorIs(t, err, money.ErrArgument)
			return
		}
		require.NoError(t, err)
		sum, err := money.Sum("EUR", parts...)
		require.NoError(t, err)
		require.Equal(t, eur(total), sum)
		for i, part := range parts {
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(total), big.NewInt(weights[i])), all)
			off := exact.Sub(exact, new(big.Rat).SetInt64(part.Minor))
			require.Negative(t, off.Abs(off).Cmp(big.NewRat(1, 1)), "within one unit of its share")
		}
	})
}

func TestDecimalAndProtoRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := money.Amount{
			Minor:    rapid.Int64().Draw(t, "minor"),
			Currency: rapid.SampledFrom([]string{"EUR", "JPY", "KWD", "CLF", "IRR"}).Draw(t, "currency"),
		}
		parsed, err := money.Parse(amount.Decimal(), amount.Currency)
		require.NoError(t, err)
		require.Equal(t, amount, parsed)
		parsed, err = money.FromProto(amount.ToProto())
		require.NoError(t, err)
		require.Equal(t, amount, parsed)
	})
	for _, bad := range []*commonv1.Money{nil, {}, {CurrencyCode: "ABC", MinorUnits: 1}} {
		_, err := money.FromProto(bad)
		require.ErrorIs(t, err, money.ErrUnknownCurrency)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("12.30", "EUR")
	f.Fuzz(func(t *testing.T, text, currency string) {
		amount, err := money.Parse(text, currency)
		if err != nil {
			return
		}
		if again, err := money.Parse(amount.Decimal(), currency); err != nil || again != amount {
			t.Fatalf("%q became %s", text, amount)
		}
	})
}
