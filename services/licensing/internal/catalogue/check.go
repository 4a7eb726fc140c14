package catalogue

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

const (
	maxLease     = 24 * 60 * 60
	minLease     = 10
	maxTrialDays = 366
)

// check names everything that is wrong at once.
func (c *Catalogue) check() error {
	k := &checker{seen: map[string]bool{}}
	k.require(c.Version != "", "version is missing")
	k.require(c.Seller.Name != "", "seller.name is missing")
	k.zone("default_zone", c.DefaultZone)
	for country, zone := range c.Zones {
		k.require(matchCountry.MatchString(country), "zones: %q is no country", country)
		k.zone("zones."+country, zone)
	}
	for id, title := range c.Modules {
		k.id("modules", id)
		k.title("modules."+id, title)
	}
	for _, a := range c.AddOns {
		k.id("add_ons", a.ID)
		k.title("add_ons."+a.ID, a.Title)
		k.prices("add_ons."+a.ID, a.Prices)
	}
	for _, p := range c.Platforms {
		k.id("platforms", p.ID)
		k.title("platforms."+p.ID, p.Title)
	}
	for _, p := range c.Products {
		k.product(c, p)
	}
	k.require(len(c.Plans) > 0, "there are no plans")
	for _, p := range c.Plans {
		k.plan(c, p)
	}
	return errors.Join(k.problems...)
}

type checker struct {
	problems []error
	seen     map[string]bool
}

func (k *checker) require(ok bool, format string, args ...any) {
	if !ok {
		k.problems = append(k.problems, fmt.Errorf(format, args...))
	}
}

var (
	matchID       = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	matchCountry  = regexp.MustCompile(`^[A-Z]{2}$`)
	matchCurrency = regexp.MustCompile(`^[A-Z]{3}$`)
)

func (k *checker) id(list, id string) {
	k.require(matchID.MatchString(id), "%s: %q is no id", list, id)
	k.require(!k.seen[list+"."+id], "%s: %q stands twice", list, id)
	k.seen[list+"."+id] = true
}

func (k *checker) title(where string, t Title) {
	for _, lang := range []string{"en", "lv"} {
		k.require(t[lang] != "", "%s: no text in %s", where, lang)
	}
}

func (k *checker) zone(where, name string) {
	_, err := time.LoadLocation(name)
	k.require(err == nil && name != "" && name != "Local", "%s: %q is no time zone", where, name)
}

func (k *checker) prices(where string, prices []Price) {
	seen := map[string]bool{}
	for _, p := range prices {
		at := p.Currency + " from " + p.From.String()
		k.require(matchCurrency.MatchString(p.Currency), "%s: %q is no currency", where, p.Currency)
		k.require(p.From.IsValid(), "%s: a price in %s says not from when", where, p.Currency)
		k.require(p.Minor >= 0, "%s: the price in %s is negative", where, at)
		k.require(!seen[at], "%s: two prices in %s", where, at)
		seen[at] = true
	}
}

func (k *checker) product(c *Catalogue, p Product) {
	where := "products." + p.ID
	k.id("products", p.ID)
	k.title(where, p.Title)
	k.title(where+".description", p.Description)
	k.require(matchID.MatchString(p.DataArea), "%s: %q is no data area", where, p.DataArea)
	k.require(len(p.Editions) > 0, "%s: no editions", where)
	for _, e := range p.Editions {
		k.id(where+".editions", e.ID)
		k.title(where+".editions."+e.ID, e.Title)
		k.require(len(e.Modules) > 0, "%s.editions.%s: no modules", where, e.ID)
		for _, m := range e.Modules {
			_, known := c.Modules[m]
			k.require(known, "%s.editions.%s: there is no module %q", where, e.ID, m)
		}
	}
}

func (k *checker) plan(c *Catalogue, p Plan) {
	where := "plans." + p.ID
	k.id("plans", p.ID)
	k.title(where, p.Title)
	k.require(slices.Contains([]Kind{Trial, Paid, Rented, Educational}, p.Kind), "%s: %q is no kind of licence", where, p.Kind)
	k.require((p.Kind == Trial) == (p.TrialDays > 0) && p.TrialDays <= maxTrialDays, "%s: %d days of trial", where, p.TrialDays)
	k.require(p.Kind != Trial || len(p.Prices) == 0, "%s: a trial has no price", where)
	k.require(p.From.IsValid(), "%s: says not from when it is sold", where)
	k.require(p.Until.IsZero() || !p.Until.Before(p.From), "%s: sold until %s, before %s", where, p.Until, p.From)
	k.seats(where+".seats", p)
	k.require(len(p.Products) > 0, "%s: no products", where)
	for _, ref := range p.Products {
		product, known := c.Product(ref.Product)
		_, has := product.Edition(ref.Edition)
		k.require(known && has, "%s: there is no %s in edition %s", where, ref.Product, ref.Edition)
	}
	for _, id := range p.AddOns {
		_, known := c.AddOn(id)
		k.require(known, "%s: there is no add-on %q", where, id)
	}
	l := p.Limits
	k.require(l.Seats > 0 && l.Companies > 0 && l.SeatsPerCompany > 0 && l.Accounts >= 0, "%s: limits are not positive", where)
	k.require(l.LeaseSeconds >= minLease && l.LeaseSeconds <= maxLease, "%s: a lease of %d seconds", where, l.LeaseSeconds)
	k.prices(where, p.Prices)
}
