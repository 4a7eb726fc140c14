package licence

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
)

// Edit is a wish of staff to change a licence.
type Edit struct {
	Paths  []string // of the mask
	Want   *licensingv1.Licence
	Until  civil.Date
	Reason string
	Price  Price
	Author uuid.UUID
	At     time.Time
	IDs    id.Source
}

// Bounds of limits.
const (
	maxSeats    = 100_000
	maxAccounts = 1_000_000
	minLease    = 10
	maxLease    = 86_400
)

// Apply changes the licence as staff wish and returns what changed, in the order of the mask.
func (l *Licence) Apply(c *catalogue.Catalogue, e Edit) ([]Change, error) {
	if !e.Until.IsZero() && e.Until.Before(civil.DateOf(e.At, l.Zone)) {
		return nil, failure.Invalid("until_date", "is in the past")
	}
	var all []Change
	for _, path := range e.Paths {
		changes, err := l.applyPath(c, e, path)
		if err != nil {
			return nil, err
		}
		all = append(all, changes...)
	}
	l.Changes = append(l.Changes, all...)
	return all, nil
}

func (l *Licence) applyPath(c *catalogue.Catalogue, e Edit, path string) ([]Change, error) {
	switch path {
	case "add_ons":
		return l.applyAddOns(c, e)
	case FieldEndDate, FieldPlan:
		if !e.Until.IsZero() {
			return nil, failure.Invalid("until_date", "is for limits and add-ons only")
		}
		if path == FieldPlan {
			return l.applyPlan(c, e)
		}
		return l.applyEnd(e)
	}
	field, ok := strings.CutPrefix(path, "limits.")
	terms := l.TermsAt(e.At)
	have := terms.limit(field)
	if !ok || have == nil {
		return nil, failure.Invalid("update_mask", strconv.Quote(path)+" can't be changed")
	}
	wanted := Terms{Limits: limitsOf(e.Want.GetLimits())}
	want := *wanted.limit(field)
	if low, high := bounds(field); want < low || want > high {
		return nil, failure.Invalid("licence."+path, "must be from "+strconv.Itoa(int(low))+" to "+strconv.Itoa(int(high)))
	}
	return []Change{e.change(field, strconv.Itoa(int(*have)), strconv.Itoa(int(want)))}, nil
}

func bounds(field string) (low, high int32) {
	switch field {
	case FieldAccounts:
		return 0, maxAccounts
	case FieldLeaseSeconds:
		return minLease, maxLease
	default:
		return 1, maxSeats
	}
}

func limitsOf(l *licensingv1.Limits) catalogue.Limits {
	return catalogue.Limits{
		Seats: l.GetSeats(), Companies: l.GetCompanies(), SeatsPerCompany: l.GetSeatsPerCompany(),
		Accounts: l.GetAccounts(), LeaseSeconds: l.GetLeaseSeconds(),
	}
}

func (l *Licence) applyAddOns(c *catalogue.Catalogue, e Edit) ([]Change, error) {
	have, want := l.TermsAt(e.At).AddOns, e.Want.GetAddOns()
	for _, addOn := range want {
		if _, known := c.AddOn(addOn); !known {
			return nil, failure.Invalid("licence.add_ons", "there is no add-on "+strconv.Quote(addOn))
		}
	}
	var changes []Change
	for _, a := range c.AddOns {
		had, wants := slices.Contains(have, a.ID), slices.Contains(want, a.ID)
		if had != wants {
			changes = append(changes, e.change(FieldAddOn+a.ID, strconv.FormatBool(had), strconv.FormatBool(wants)))
		}
	}
	return changes, nil
}

func (l *Licence) applyEnd(e Edit) ([]Change, error) {
	var end civil.Date
	if err := end.UnmarshalText([]byte(e.Want.GetEndDate())); err != nil {
		return nil, failure.Invalid("licence.end_date", "is no date of the calendar").Wrap(err)
	}
	switch {
	case end.IsZero() && l.Kind == catalogue.Trial:
		return nil, failure.Invalid("licence.end_date", "a trial has an end")
	case !end.IsZero() && end.Before(l.Start):
		return nil, termInvalid(l.Start, end)
	}
	change := e.change(FieldEndDate, text(l.End), text(end))
	l.End, l.Reminded = end, 0
	if l.State(e.At) != Ended {
		l.Ended = false // Its new end is told when it comes.
	}
	return []Change{change}, nil
}

func (l *Licence) applyPlan(c *catalogue.Catalogue, e Edit) ([]Change, error) {
	plan, err := planOf(c, e.Want.GetPlan())
	if err != nil {
		return nil, err
	}
	if (plan.Kind == catalogue.Trial) != (l.Kind == catalogue.Trial) {
		return nil, failure.Invalid("licence.plan", "is of another kind than the licence")
	}
	change := e.change(FieldPlan, l.Plan, plan.ID)
	l.TakePlan(c, plan, e.At)
	return []Change{change}, nil
}

// TakePlan goes over to another plan's terms; the term stays.
func (l *Licence) TakePlan(c *catalogue.Catalogue, plan catalogue.Plan, at time.Time) {
	l.Plan, l.Terms, l.TermsSince = plan.ID, TermsOf(c, plan), at
}

func (e Edit) change(field, before, after string) Change {
	return Change{
		ID: e.IDs(), Field: field, Old: before, New: after, Until: e.Until, Reason: e.Reason, Price: e.Price,
		Author: e.Author, Created: e.At,
	}
}

// planOf finds a plan by its resource name.
func planOf(c *catalogue.Catalogue, name string) (catalogue.Plan, error) {
	plan, ok := c.Plan(catalogue.PlanID(name))
	if !ok {
		return plan, failure.New(commonv1.Reason_REASON_PLAN_UNKNOWN, "plan", name)
	}
	return plan, nil
}

func termInvalid(start, end civil.Date) error {
	return failure.New(commonv1.Reason_REASON_LICENCE_TERM_INVALID, "start_date", start.String(), "end_date", end.String())
}

// TrialUsed is the refusal of a second trial.
func TrialUsed(had Licence) error {
	return failure.New(commonv1.Reason_REASON_TRIAL_USED, "end_date", text(had.End))
}
