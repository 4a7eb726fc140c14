package ubl

import (
	"errors"
	"math/big"
	"strings"

	"kontor.internal/libs/money"
)

// Limits of a decimal number: what fits an int64, and as many decimals as exact arithmetic is done with.
const (
	maxDigits = 18
	maxScale  = 10
)

var (
	errNotDecimal = errors.New("is not a decimal number")
	errRange      = errors.New("has more digits than are read")
	errFraction   = errors.New("has more decimals than the currency")
)

// Decimal is an exact decimal number. The zero value is a number that was not given, and counts as 0.
type Decimal struct {
	units int64 // times 10 to the power of -scale
	scale int
	set   bool
}

// ParseDecimal reads digits with an optional sign and decimals; there is no exponent (xs:decimal).
func ParseDecimal(text string) (Decimal, error) {
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	if whole == "" && fraction == "" {
		return Decimal{}, errNotDecimal
	}
	whole = strings.TrimLeft(whole, "0")
	if len(whole)+len(fraction) > maxDigits || len(fraction) > maxScale {
		fraction = strings.TrimRight(fraction, "0")
	}
	d := Decimal{scale: len(fraction), set: true}
	for _, c := range []byte(whole + fraction) {
		if c < '0' || c > '9' {
			return Decimal{}, errNotDecimal
		}
		d.units = d.units*10 + int64(c-'0') // wraps where there are too many digits, and is refused below
	}
	if len(whole)+len(fraction) > maxDigits || len(fraction) > maxScale {
		return Decimal{}, errRange
	}
	if negative {
		d.units = -d.units
	}
	return d, nil
}

// IsSet tells whether the number was given.
func (d Decimal) IsSet() bool { return d.set }

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int { return big.NewInt(d.units).Sign() }

// String is the number with the decimals it was written with; empty when it was not given.
func (d Decimal) String() string {
	if !d.set {
		return ""
	}
	magnitude, sign := d.units, ""
	if magnitude < 0 {
		magnitude, sign = -magnitude, "-"
	}
	digits := big.NewInt(magnitude).String()
	if d.scale == 0 {
		return sign + digits
	}
	if missing := d.scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - d.scale
	return sign + digits[:point] + "." + digits[point:]
}

// decimals counts the decimals that are not trailing zeros.
func (d Decimal) decimals() int {
	units, scale := d.units, d.scale
	for scale > 0 && units%10 == 0 {
		units, scale = units/10, scale-1
	}
	return scale
}

// scaled is the number times 10 to the power of maxScale.
func (d Decimal) scaled() *big.Int {
	return new(big.Int).Mul(big.NewInt(d.units), power(maxScale-d.scale))
}

func power(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// Money is the number as an amount of a currency. It never rounds.
func (d Decimal) Money(currency string) (money.Amount, error) {
	exponent, err := money.Exponent(currency)
	if err != nil {
		return money.Amount{}, err
	}
	if d.decimals() > exponent {
		return money.Amount{}, errFraction
	}
	minor := new(big.Int).Quo(d.scaled(), power(maxScale-exponent))
	if !minor.IsInt64() {
		return money.Amount{}, errRange
	}
	return money.New(minor.Int64(), currency)
}
