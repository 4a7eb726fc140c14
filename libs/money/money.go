// Package money is exact money: whole minor units of one currency. Nothing here uses floating point, sums never wrap
// around, and where something must be rounded the caller says how.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

var (
	// ErrUnknownCurrency is the cause where a code is not one of ISO 4217's with a minor unit.
	ErrUnknownCurrency = errors.New("money: unknown currency")
	// ErrCurrencyMismatch is the cause where amounts of two currencies meet.
	ErrCurrencyMismatch = errors.New("money: different currencies")
	// ErrOverflow is the cause where a result does not fit 64 bits of minor units.
	ErrOverflow = errors.New("money: too large")
	// ErrSyntax is the cause where a text is no decimal number with the currency's decimal places.
	ErrSyntax = errors.New("money: not an amount")
	// ErrArgument is the cause where a factor, a divisor, weights or a rounding make no sense.
	ErrArgument = errors.New("money: bad argument")
)

// Amount is some minor units (cents for EUR) of a currency. Amounts compare with ==. The zero value has no currency and
// meets no other amount; make one with New, Zero, Parse or FromProto.
type Amount struct {
	Minor    int64  `json:"minor"`    // minor units; may be negative
	Currency string `json:"currency"` // ISO 4217 code in upper case
}

// New returns an amount of a known currency.
func New(minor int64, currency string) (Amount, error) {
	if _, err := Exponent(currency); err != nil {
		return Amount{}, err
	}
	return Amount{Minor: minor, Currency: currency}, nil
}

// Zero returns nothing of a known currency.
func Zero(currency string) (Amount, error) { return New(0, currency) }

// Sum adds amounts of one currency; of none it is zero.
func Sum(currency string, amounts ...Amount) (Amount, error) {
	total, err := Zero(currency)
	for _, amount := range amounts {
		if err == nil {
			total, err = total.Add(amount)
		}
	}
	return total, err
}

// IsZero reports whether there are no minor units.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// Sign returns -1, 0 or +1.
func (a Amount) Sign() int { return cmp.Compare(a.Minor, 0) }

// Add returns a + b.
func (a Amount) Add(b Amount) (Amount, error) {
	if err := a.same(b); err != nil {
		return Amount{}, err
	}
	sum := a.Minor + b.Minor
	if (sum > a.Minor) != (b.Minor > 0) {
		return Amount{}, fmt.Errorf("%w: %s + %s", ErrOverflow, a, b)
	}
	return Amount{Minor: sum, Currency: a.Currency}, nil
}

// Sub returns a - b.
func (a Amount) Sub(b Amount) (Amount, error) {
	if err := a.same(b); err != nil {
		return Amount{}, err
	}
	difference := a.Minor - b.Minor
	if (difference < a.Minor) != (b.Minor > 0) {
		return Amount{}, fmt.Errorf("%w: %s - %s", ErrOverflow, a, b)
	}
	return Amount{Minor: difference, Currency: a.Currency}, nil
}

// Neg returns -a.
func (a Amount) Neg() (Amount, error) { return Amount{Currency: a.Currency}.Sub(a) }

// Cmp returns -1, 0 or +1 as a is less than, equal to or more than b.
func (a Amount) Cmp(b Amount) (int, error) {
	return cmp.Compare(a.Minor, b.Minor), a.same(b)
}

func (a Amount) same(b Amount) error {
	if a.Currency != b.Currency {
		return fmt.Errorf("%w: %q and %q", ErrCurrencyMismatch, a.Currency, b.Currency)
	}
	return nil
}

// Mul returns a times a whole number, such as a quantity.
func (a Amount) Mul(n int64) (Amount, error) {
	return a.fit(new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(n)))
}

func (a Amount) fit(minor *big.Int) (Amount, error) {
	if !minor.IsInt64() {
		return Amount{}, fmt.Errorf("%w: from %s", ErrOverflow, a)
	}
	return Amount{Minor: minor.Int64(), Currency: a.Currency}, nil
}

// Rounding says what becomes of half a minor unit. The zero value is refused, so that it is always said.
type Rounding int

const (
	// HalfUp rounds a half away from zero, as invoices and taxes usually do.
	HalfUp Rounding = iota + 1
	// HalfEven rounds a half to the even neighbour, so that many roundings don't drift.
	HalfEven
)

// MulRat returns a * numerator / denominator, rounded once to whole minor units: 21 % is MulRat(21, 100, HalfUp).
func (a Amount) MulRat(numerator, denominator int64, rounding Rounding) (Amount, error) {
	if denominator == 0 {
		return Amount{}, fmt.Errorf("%w: division by zero", ErrArgument)
	}
	if rounding != HalfUp && rounding != HalfEven {
		return Amount{}, fmt.Errorf("%w: rounding %d", ErrArgument, rounding)
	}
	product := new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(numerator))
	divisor := big.NewInt(denominator)
	quotient, rest := new(big.Int).QuoRem(product, divisor, new(big.Int)) // towards zero
	half := new(big.Int).Lsh(rest.Abs(rest), 1).CmpAbs(divisor)
	if half > 0 || half == 0 && (rounding == HalfUp || quotient.Bit(0) == 1) {
		away := int64(product.Sign() * divisor.Sign())
		quotient.Add(quotient, big.NewInt(away))
	}
	return a.fit(quotient)
}

// Allocate splits a by weights so that the parts add up to it exactly. Each part is its exact share cut to whole minor
// units; what is left goes one unit each to the parts that lost most by the cut, the earlier first among equals. Weights
// are not negative and not all zero; a weight of zero gets nothing.
func (a Amount) Allocate(weights ...int64) ([]Amount, error) {
	total := new(big.Int)
	for _, weight := range weights {
		if weight < 0 {
			return nil, fmt.Errorf("%w: weight %d", ErrArgument, weight)
		}
		total.Add(total, big.NewInt(weight))
	}
	if total.Sign() == 0 {
		return nil, fmt.Errorf("%w: no weight", ErrArgument)
	}
	parts, lost, order := make([]Amount, len(weights)), make([]*big.Int, len(weights)), make([]int, len(weights))
	left := a.Minor
	for i, weight := range weights {
		product := new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(weight))
		share, rest := product.QuoRem(product, total, new(big.Int)) // towards zero, so no part is above its share
		parts[i] = Amount{Minor: share.Int64(), Currency: a.Currency}
		lost[i], order[i] = rest.Abs(rest), i
		left -= parts[i].Minor
	}
	slices.SortStableFunc(order, func(x, y int) int { return lost[y].Cmp(lost[x]) })
	unit := int64(cmp.Compare(left, 0))
	for i := 0; left != 0; i++ { // fewer units are left than there are parts with a rest
		parts[order[i]].Minor += unit
		left -= unit
	}
	return parts, nil
}

// Decimal returns the amount as a plain decimal number with all of the currency's decimal places, "-1234.50", the form
// of interfaces. For people see package locale. An amount of an unknown currency is shown in minor units.
func (a Amount) Decimal() string {
	exponent, err := Exponent(a.Currency)
	if err != nil {
		exponent = 0
	}
	sign, digits := "", fmt.Sprintf("%0*d", exponent+1, a.magnitude())
	if a.Minor < 0 {
		sign = "-"
	}
	if exponent == 0 {
		return sign + digits
	}
	point := len(digits) - exponent
	return sign + digits[:point] + "." + digits[point:]
}

// magnitude is the absolute value; unlike -Minor it exists for the least int64 too.
func (a Amount) magnitude() uint64 {
	if a.Minor < 0 {
		return -uint64(a.Minor)
	}
	return uint64(a.Minor)
}

// String returns the decimal number and the currency, "-1234.50 EUR", for logs.
func (a Amount) String() string { return a.Decimal() + " " + a.Currency }

// Parse reads a plain decimal number: an optional minus, digits, and an optional point with at most as many digits as
// the currency has decimal places. Nothing is rounded: "0.005" is no amount of EUR.
func Parse(text, currency string) (Amount, error) {
	exponent, err := Exponent(currency)
	if err != nil {
		return Amount{}, err
	}
	unsigned, negative := strings.CutPrefix(text, "-")
	whole, fraction, pointed := strings.Cut(unsigned, ".")
	if !digits(whole) || pointed && !digits(fraction) || len(fraction) > exponent {
		return Amount{}, fmt.Errorf("%w: %q in %s", ErrSyntax, text, currency)
	}
	magnitude, ok := accumulate(whole + fraction + strings.Repeat("0", exponent-len(fraction)))
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	if !ok || magnitude > limit {
		return Amount{}, fmt.Errorf("%w: %q in %s", ErrOverflow, text, currency)
	}
	if negative {
		magnitude = -magnitude
	}
	return Amount{Minor: int64(magnitude), Currency: currency}, nil
}

func digits(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

func accumulate(digits string) (value uint64, ok bool) {
	for _, digit := range []byte(digits) {
		if value > (math.MaxUint64-9)/10 {
			return 0, false
		}
		value = value*10 + uint64(digit-'0')
	}
	return value, true
}

// FromProto reads the wire form; nil and unknown currencies are refused.
func FromProto(message *commonv1.Money) (Amount, error) {
	return New(message.GetMinorUnits(), message.GetCurrencyCode())
}

// ToProto returns the wire form.
func (a Amount) ToProto() *commonv1.Money {
	return &commonv1.Money{CurrencyCode: a.Currency, MinorUnits: a.Minor}
}
