// Package licence is a subscriber's right to a plan for a term: what it holds, from when to when, what staff changed of
// it, and when its end is told.
package licence

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	"kontor.internal/services/licensing/internal/catalogue"
)

// Licence is a right to what a plan held when the licence was given, for a term of whole days in the subscriber's zone.
type Licence struct {
	ID         uuid.UUID
	Subscriber uuid.UUID
	Kind       catalogue.Kind
	Plan       string
	Terms      Terms     // as given, before changes
	TermsSince time.Time // when the plan's terms were taken over
	Start      civil.Date
	End        civil.Date // last day; zero when it has no end
	Zone       *time.Location
	Contract   uuid.UUID // that began it; nil when staff gave it
	Changes    []Change  // oldest first
	Started    bool      // whether its start was told
	Ended      bool      // whether its end was told
	Reminded   int       // days before the end of the latest reminder; 0 before the first
	Revision   int64
	Created    time.Time
}

// Terms are what a licence holds.
type Terms struct {
	Products []Product
	AddOns   []string
	Limits   catalogue.Limits
}

// Product is a product with the edition and modules that are open.
type Product struct {
	Product string   `json:"product"`
	Edition string   `json:"edition"`
	Modules []string `json:"modules"`
}

// Change is one thing that staff changed.
type Change struct {
	ID      uuid.UUID
	Field   string
	Old     string
	New     string
	Until   civil.Date // last day on which a limit or add-on holds; zero for as long as the licence
	Reason  string
	Price   Price
	Author  uuid.UUID
	Created time.Time
}

// Price is what was agreed a month; without a currency nothing was.
type Price struct {
	Currency string
	Minor    int64
}

// Fields that change.
const (
	FieldSeats           = "seats"
	FieldCompanies       = "companies"
	FieldSeatsPerCompany = "seats_per_company"
	FieldAccounts        = "accounts"
	FieldLeaseSeconds    = "lease_seconds"
	FieldAddOn           = "add_ons." // followed by the add-on's id; "true" or "false"
	FieldEndDate         = "end_date"
	FieldPlan            = "plan"
)

// State is where a licence is in its term.
type State int

// The states, in the order in which they come.
const (
	Upcoming State = iota
	Active
	Ended
)

const (
	// endingDays is how many days before its last one a licence counts as ending.
	endingDays = 7
	// keptMonths is how long data stays after the last licence ended (H9).
	keptMonths = 3
)

// TermsOf are what a plan holds now.
func TermsOf(c *catalogue.Catalogue, plan catalogue.Plan) Terms {
	terms := Terms{AddOns: slices.Clone(plan.AddOns), Limits: plan.Limits}
	for _, ref := range plan.Products {
		product, _ := c.Product(ref.Product)
		edition, _ := product.Edition(ref.Edition)
		terms.Products = append(terms.Products, Product{Product: ref.Product, Edition: ref.Edition, Modules: slices.Clone(edition.Modules)})
	}
	return terms
}

// TrialTerm is the first and the last day of a trial that is accepted at an instant. The day of acceptance is not
// counted, as in all terms that begin with an event (Regulation (EEC, Euratom) No 1182/71, article 3): 30 days accepted
// on the 1st end with the 31st, and on the 1st 30 days are left.
func TrialTerm(plan catalogue.Plan, accepted time.Time, zone *time.Location) (start, end civil.Date) {
	start = civil.DateOf(accepted, zone)
	return start, start.AddDays(plan.TrialDays)
}

// StartOfDay is the first instant of a day. Where clocks go forward at midnight, that is not midnight.
func StartOfDay(d civil.Date, zone *time.Location) time.Time {
	t := d.In(zone)
	for civil.DateOf(t, zone).Before(d) {
		t = t.Add(time.Hour)
	}
	return t.UTC()
}

// Starts is the instant at which the first day begins.
func (l Licence) Starts() time.Time { return StartOfDay(l.Start, l.Zone) }

// Ends is the instant at which the last day is over; false when the licence has no end.
func (l Licence) Ends() (time.Time, bool) {
	if l.End.IsZero() {
		return time.Time{}, false
	}
	return StartOfDay(l.End.AddDays(1), l.Zone), true
}

// State tells where the licence is at an instant.
func (l Licence) State(at time.Time) State {
	if at.Before(l.Starts()) {
		return Upcoming
	}
	if ends, ok := l.Ends(); ok && !at.Before(ends) {
		return Ended
	}
	return Active
}

// DaysLeft counts the whole days after the present one; 0 on the last day, after it, and without an end.
func (l Licence) DaysLeft(at time.Time) int {
	if l.End.IsZero() {
		return 0
	}
	return max(0, l.End.DaysSince(civil.DateOf(at, l.Zone)))
}

// Ending says whether the licence runs and ends within a week.
func (l Licence) Ending(at time.Time) bool {
	return !l.End.IsZero() && l.State(at) == Active && l.DaysLeft(at) <= endingDays
}

// KeptUntil is the last day on which data stays after this licence ended; zero without an end.
func (l Licence) KeptUntil() civil.Date {
	if l.End.IsZero() {
		return civil.Date{}
	}
	return l.End.AddMonths(keptMonths)
}

// KeptEnds is the instant at which that day is over; false without an end.
func (l Licence) KeptEnds() (time.Time, bool) {
	if l.End.IsZero() {
		return time.Time{}, false
	}
	return StartOfDay(l.KeptUntil().AddDays(1), l.Zone), true
}

// TermsAt are the terms with the changes that hold at an instant.
func (l Licence) TermsAt(at time.Time) Terms {
	terms := l.Terms
	terms.AddOns = slices.Clone(l.Terms.AddOns)
	for _, c := range l.Changes {
		if l.holds(c, at) {
			terms.apply(c)
		}
	}
	return terms
}

// holds says whether a change of limits or add-ons counts at an instant: made by then, not over, and not older than the
// plan's present terms.
func (l Licence) holds(c Change, at time.Time) bool {
	return !c.Created.After(at) && !c.Created.Before(l.TermsSince) && (c.Until.IsZero() || at.Before(StartOfDay(c.Until.AddDays(1), l.Zone)))
}

func (t *Terms) apply(c Change) {
	if id, ok := strings.CutPrefix(c.Field, FieldAddOn); ok {
		t.AddOns = slices.DeleteFunc(t.AddOns, func(a string) bool { return a == id })
		if c.New == "true" {
			t.AddOns = append(t.AddOns, id)
		}
		return
	}
	if limit := t.limit(c.Field); limit != nil {
		if value, err := strconv.ParseInt(c.New, 10, 32); err == nil { // Written by us as a number.
			*limit = int32(value)
		}
	}
}

// limit is the limit of a field's name; nil for fields that are none.
func (t *Terms) limit(field string) *int32 {
	switch field {
	case FieldSeats:
		return &t.Limits.Seats
	case FieldCompanies:
		return &t.Limits.Companies
	case FieldSeatsPerCompany:
		return &t.Limits.SeatsPerCompany
	case FieldAccounts:
		return &t.Limits.Accounts
	case FieldLeaseSeconds:
		return &t.Limits.LeaseSeconds
	default:
		return nil
	}
}

// Holds says whether a product is in the terms; no product is in all.
func (t Terms) Holds(product string) bool {
	return product == "" || slices.ContainsFunc(t.Products, func(p Product) bool { return p.Product == product })
}

// Turns are the instants at which what the licence allows may change: it starts, it ends, data is no longer kept, a
// change begins (for whoever asks about the past) or runs out.
func (l Licence) Turns() []time.Time {
	turns := []time.Time{l.Starts()}
	if ends, ok := l.Ends(); ok {
		kept, _ := l.KeptEnds()
		turns = append(turns, ends, kept)
	}
	for _, c := range l.Changes {
		turns = append(turns, c.Created)
		if !c.Until.IsZero() {
			turns = append(turns, StartOfDay(c.Until.AddDays(1), l.Zone))
		}
	}
	return turns
}

// reminderHour is when people read: 9 o'clock in their zone.
const reminderHour = 9

// reminderDays are the days before the last one on whose mornings a trial's end is told (J2), the most urgent first.
func reminderDays() []int { return []int{1, 3, 7} }

// reminder is the instant at which a reminder is due; false for one that this licence doesn't get (any more).
func (l Licence) reminder(days int) (time.Time, bool) {
	if l.Kind != catalogue.Trial || l.End.IsZero() || l.Reminded > 0 && days >= l.Reminded {
		return time.Time{}, false
	}
	morning := StartOfDay(l.End.AddDays(-days), l.Zone).Add(reminderHour * time.Hour)
	return morning, !morning.Before(l.Created) && !morning.Before(l.Starts())
}

// DueReminder says which reminder is to be sent at an instant: the most urgent one whose time has come. Those before it,
// if nobody could send them, are left out.
func (l Licence) DueReminder(at time.Time) (days int, due bool) {
	if l.State(at) != Active {
		return 0, false
	}
	for _, days := range reminderDays() {
		if morning, gets := l.reminder(days); gets && !at.Before(morning) {
			return days, true
		}
	}
	return 0, false
}

// NextReminder is when to look at the licence again for a reminder; false when there are no more.
func (l Licence) NextReminder() (time.Time, bool) {
	for _, days := range slices.Backward(reminderDays()) {
		if morning, gets := l.reminder(days); gets {
			return morning, true
		}
	}
	return time.Time{}, false
}
