// Package catalogue is what is sold: products, editions, modules, add-ons, plans, prices. It is data, read from YAML.
package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/locale"
)

//go:embed data/catalogue.yaml
var builtIn []byte

// Kind is what a licence is given for.
type Kind string

// The kinds of licence.
const (
	Trial       Kind = "trial"
	Paid        Kind = "paid"
	Rented      Kind = "rented"
	Educational Kind = "educational"
)

// Catalogue is one version of what is sold. It is not changed after it was loaded.
type Catalogue struct {
	Version     string            `yaml:"version"`
	Seller      Seller            `yaml:"seller"`
	DefaultZone string            `yaml:"default_zone"`
	Zones       map[string]string `yaml:"zones"`
	Modules     map[string]Title  `yaml:"modules"`
	AddOns      []AddOn           `yaml:"add_ons"`
	Platforms   []Platform        `yaml:"platforms"`
	Products    []Product         `yaml:"products"`
	Plans       []Plan            `yaml:"plans"`
}

// Seller is the contract's other side.
type Seller struct {
	Name               string `yaml:"name"`
	RegistrationNumber string `yaml:"registration_number"`
	Address            string `yaml:"address"`
	Email              string `yaml:"email"`
}

// Title is a text by language.
type Title map[string]string

// In picks the text for a caller's wish, an Accept-Language value or one tag; English where there is none in that language.
func (t Title) In(wish string) string {
	if text := t[string(locale.Match(wish))]; text != "" {
		return text
	}
	return t["en"]
}

// AddOn is what is added to a plan.
type AddOn struct {
	ID     string  `yaml:"id"`
	Title  Title   `yaml:"title"`
	Prices []Price `yaml:"prices"`
}

// Platform is what programs run on.
type Platform struct {
	ID    string `yaml:"id"`
	Title Title  `yaml:"title"`
}

// Product is a program.
type Product struct {
	ID          string    `yaml:"id"`
	Title       Title     `yaml:"title"`
	Description Title     `yaml:"description"`
	DataArea    string    `yaml:"data_area"`
	Editions    []Edition `yaml:"editions"`
}

// Edition is how much of a product one gets.
type Edition struct {
	ID      string   `yaml:"id"`
	Title   Title    `yaml:"title"`
	Modules []string `yaml:"modules"`
}

// Plan is a bundle.
type Plan struct {
	ID        string       `yaml:"id"`
	Title     Title        `yaml:"title"`
	Kind      Kind         `yaml:"kind"`
	TrialDays int          `yaml:"trial_days"`
	From      civil.Date   `yaml:"from"`
	Until     civil.Date   `yaml:"until"`
	Products  []ProductRef `yaml:"products"`
	AddOns    []string     `yaml:"add_ons"`
	Limits    Limits       `yaml:"limits"`
	Seats     SeatRules    `yaml:"seats"`
	Prices    []Price      `yaml:"prices"`
}

// ProductRef names a product's edition.
type ProductRef struct {
	Product string `yaml:"product"`
	Edition string `yaml:"edition"`
}

// Limits are how much a plan allows. Accounts of 0 means any number.
type Limits struct {
	Seats           int32 `yaml:"seats"`
	Companies       int32 `yaml:"companies"`
	SeatsPerCompany int32 `yaml:"seats_per_company"`
	Accounts        int32 `yaml:"accounts"`
	LeaseSeconds    int32 `yaml:"lease_seconds"`
}

// Price is what one month costs from a date on.
type Price struct {
	Currency string     `yaml:"currency"`
	From     civil.Date `yaml:"from"`
	Minor    int64      `yaml:"minor"`
}

// Load reads a catalogue from a file, or the one built in when the path is empty, and checks it.
func Load(path string) (*Catalogue, error) {
	content := builtIn
	if path != "" {
		var err error
		if content, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("catalogue: %w", err)
		}
	}
	return Parse(content)
}

// Parse reads a catalogue and checks it. Unknown keys are refused.
func Parse(content []byte) (*Catalogue, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	var c Catalogue
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("catalogue %s: %w", c.Version, err)
	}
	return &c, nil
}

// Plan finds a plan, also one that is no longer sold.
func (c *Catalogue) Plan(id string) (Plan, bool) {
	return find(c.Plans, func(p Plan) bool { return p.ID == id })
}

// Product finds a product.
func (c *Catalogue) Product(id string) (Product, bool) {
	return find(c.Products, func(p Product) bool { return p.ID == id })
}

// Platform finds a platform.
func (c *Catalogue) Platform(id string) (Platform, bool) {
	return find(c.Platforms, func(p Platform) bool { return p.ID == id })
}

// AddOn finds an add-on.
func (c *Catalogue) AddOn(id string) (AddOn, bool) {
	return find(c.AddOns, func(a AddOn) bool { return a.ID == id })
}

// Edition finds an edition of the product.
func (p Product) Edition(id string) (Edition, bool) {
	return find(p.Editions, func(e Edition) bool { return e.ID == id })
}

func find[T any](all []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	var none T
	return none, false
}

// Zone is the zone that the days of a subscriber in a country are counted in.
func (c *Catalogue) Zone(country string) string {
	if zone, ok := c.Zones[country]; ok {
		return zone
	}
	return c.DefaultZone
}

// Today is the date for a subscriber in a country.
func (c *Catalogue) Today(now time.Time, country string) civil.Date {
	zone, err := time.LoadLocation(c.Zone(country))
	if err != nil { // The check has loaded each.
		zone = time.UTC
	}
	return civil.DateOf(now, zone)
}

// Sold says whether a plan can be had on a date.
func (p Plan) Sold(on civil.Date) bool {
	return !on.Before(p.From) && (p.Until.IsZero() || !on.After(p.Until))
}

// Holds says whether a product is in the plan.
func (p Plan) Holds(product string) bool {
	return slices.ContainsFunc(p.Products, func(r ProductRef) bool { return r.Product == product })
}

// PricesOn picks the price of each currency that holds on a date.
func PricesOn(prices []Price, on civil.Date) []Price {
	var valid []Price
	for _, p := range prices {
		if p.From.After(on) {
			continue
		}
		if i := slices.IndexFunc(valid, func(v Price) bool { return v.Currency == p.Currency }); i < 0 {
			valid = append(valid, p)
		} else if p.From.After(valid[i].From) {
			valid[i] = p
		}
	}
	return valid
}
