package locale

import (
	"strings"

	"golang.org/x/text/currency"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"kontor.internal/libs/money"
)

// nbsp keeps a number and its unit on one line.
const nbsp = "\u00a0"

// Digits replaces Latin digits by the language's own: Persian has others, the rest of the text stays as it is.
func (l Language) Digits(text string) string {
	if l != Persian {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '۰' + (r - '0')
		}
		return r
	}, text)
}

// Integer writes a whole number with the language's digits and grouping: "1,234,567", "۱٬۲۳۴٬۵۶۷".
func (l Language) Integer(n int64) string { return l.printer().Sprint(number.Decimal(n)) }

// Decimal writes a plain decimal number such as "-1234.50" in the language's way, exactly and with every digit it has.
// Another text is returned as it is.
func (l Language) Decimal(plain string) string {
	unsigned, negative := strings.CutPrefix(plain, "-")
	whole, fraction, pointed := strings.Cut(unsigned, ".")
	if !isDigits(whole) || pointed && !isDigits(fraction) || len(whole) > 19 {
		return plain
	}
	printer := l.printer()
	var shown strings.Builder
	if negative && strings.Trim(whole+fraction, "0") != "" {
		// The sign differs between languages and so does what stands around it.
		shown.WriteString(strings.TrimSuffix(printer.Sprint(number.Decimal(-1)), printer.Sprint(number.Decimal(1))))
	}
	shown.WriteString(printer.Sprint(number.Decimal(toUint(whole))))
	if pointed {
		shown.WriteString(separator(printer))
		shown.WriteString(l.Digits(fraction))
	}
	return shown.String()
}

// Percent writes a whole percentage: "21%", "21 %", "۲۱٪".
func (l Language) Percent(percent int64) string {
	shown := l.Integer(percent)
	switch l {
	case Persian:
		return shown + "٪"
	case Swedish:
		return shown + nbsp + "%"
	default:
		return shown + "%"
	}
}

// Money writes an amount with its currency: "€1,234.50", "1 234,50 €", "۱٬۲۳۴ ریال". Where people write a currency without
// decimal places (rials), zero ones are left out; others never are.
func (l Language) Money(amount money.Amount) string {
	plain, sign := amount.Decimal(), ""
	symbol := amount.Currency
	if unit, err := currency.ParseISO(amount.Currency); err == nil {
		symbol = l.printer().Sprint(currency.Symbol(unit))
		if scale, _ := currency.Standard.Rounding(unit); scale == 0 {
			whole, fraction, _ := strings.Cut(plain, ".")
			if strings.Trim(fraction, "0") == "" {
				plain = whole
			}
		}
	}
	if l != English {
		return l.Decimal(plain) + nbsp + symbol
	}
	if unsigned, negative := strings.CutPrefix(plain, "-"); negative {
		plain, sign = unsigned, "-"
	}
	if symbol == amount.Currency {
		symbol += nbsp
	}
	return sign + symbol + l.Decimal(plain)
}

func (l Language) printer() *message.Printer { return message.NewPrinter(l.Tag()) }

// separator is what the printer puts between the whole part and the fraction.
func separator(printer *message.Printer) string {
	shown := []rune(printer.Sprint(number.Decimal(0.5)))
	return string(shown[1 : len(shown)-1])
}

func isDigits(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// toUint reads digits, 19 at most, which always fit.
func toUint(digits string) (value uint64) {
	for _, digit := range []byte(digits) {
		value = value*10 + uint64(digit-'0')
	}
	return value
}
