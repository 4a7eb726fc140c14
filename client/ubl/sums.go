package ubl

import (
	"cmp"
	"math/big"
	"slices"
)

// Totals are an invoice's sums in minor units.
type Totals struct {
	Net     int64 // BT-106 and BT-109: this package writes no allowances and charges
	VAT     int64 // BT-110
	Gross   int64 // BT-112
	Payable int64 // BT-115
}

// group is what is taxed alike.
type group struct {
	category string
	rate     int64
	net, vat int64
}

// Totals sums an invoice. VAT is rounded once for each category and rate, half away from zero (BR-CO-17).
func (i Invoice) Totals() (Totals, error) {
	totals, _, _, err := i.sums()
	return totals, err
}

func (i Invoice) sums() (Totals, []int64, []group, error) {
	if err := i.check(); err != nil {
		return Totals{}, nil, nil, err
	}
	sum := &adder{}
	nets := make([]int64, len(i.Lines))
	var groups []group
	for n, l := range i.Lines {
		nets[n] = sum.product(l.Quantity, l.Price, quantityScale)
		at := slices.IndexFunc(groups, func(g group) bool { return g.category == l.Category && g.rate == l.Rate })
		if at < 0 {
			at, groups = len(groups), append(groups, group{category: l.Category, rate: l.Rate})
		}
		groups[at].net = sum.add(groups[at].net, nets[n])
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.category, b.category), cmp.Compare(b.rate, a.rate))
	})
	var t Totals
	for n, g := range groups {
		groups[n].vat = sum.product(g.net, g.rate, rateScale)
		t.Net = sum.add(t.Net, g.net)
		t.VAT = sum.add(t.VAT, groups[n].vat)
	}
	t.Gross = sum.add(t.Net, t.VAT)
	t.Payable = sum.add(t.Gross, -i.Paid)
	if sum.passed {
		return Totals{}, nil, nil, refuse("its amounts are larger than can be counted")
	}
	if i.Kind == Commercial && t.Payable > 0 && i.Due.IsZero() { // BR-CO-25
		return Totals{}, nil, nil, refuse("it has an amount due and does not say when")
	}
	return t, nets, groups, nil
}

// What a quantity and a rate are counted in.
const (
	quantityScale = 1_000
	rateScale     = 10_000
)

// largest amount, in minor units, that every reader can count: 15 digits.
const largest = 999_999_999_999_999

// adder calculates, and remembers whether it passed the largest amount.
type adder struct{ passed bool }

func (a *adder) add(x, y int64) int64 {
	return a.fit(new(big.Int).Add(big.NewInt(x), big.NewInt(y)))
}

// product is x times y divided by scale, rounded half away from zero.
func (a *adder) product(x, y, scale int64) int64 {
	exact := new(big.Int).Mul(big.NewInt(x), big.NewInt(y))
	half := big.NewInt(scale / 2)
	if exact.Sign() < 0 {
		half.Neg(half)
	}
	return a.fit(exact.Quo(exact.Add(exact, half), big.NewInt(scale)))
}

func (a *adder) fit(value *big.Int) int64 {
	if value.CmpAbs(big.NewInt(largest)) > 0 {
		a.passed = true
		return 0
	}
	return value.Int64()
}
