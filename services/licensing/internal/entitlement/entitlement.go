// Package entitlement answers what a subscriber may do, and why or why not. Decide is one pure function from facts and an
// instant; nothing else in the suite decides it a second time.
package entitlement

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// Facts are all that is known of a subscriber's rights. A new source of rights (a registration, a monthly service) is a
// new field here and a condition that reads it.
type Facts struct {
	Subscriber uuid.UUID
	Contracts  []Contract
	Licences   []licence.Licence // oldest first
	// Zone that days are counted in where no licence says so.
	Zone *time.Location
}

// Contract is a contract as far as rights depend on it.
type Contract struct {
	ID       uuid.UUID
	Number   string
	Accepted time.Time // zero before
}

// Question is what is asked.
type Question struct {
	Action     licensingv1.Action
	Product    string
	CountAfter int32
}

// Decision is the answer.
type Decision struct {
	Question   Question
	Allowed    bool
	Conditions []Condition // those that failed first
	Licence    *licence.Licence
	Changes    time.Time // when the answer changes by itself; zero if it does not
}

// Condition is one thing that was looked at.
type Condition struct {
	Key     string
	Case    string // which of the condition's texts says it
	Met     bool
	Remedy  string
	Values  []Value
	urgency int // the order of those that failed
}

// Value stands in a condition's text.
type Value struct {
	Key    string
	Date   civil.Date // of a date
	Number int64      // of a number, when the date is zero and the text empty
	Text   string
}

// Keys of conditions.
const (
	KeyContractAccepted = "contract_accepted"
	KeyLicenceValid     = "licence_valid"
	KeyPlanIncludes     = "plan_includes"
	KeyWithinLimit      = "within_limit"
	KeyDataKept         = "data_kept"
)

// Keys of what mends a condition.
const (
	RemedyAcceptContract = "accept_contract"
	RemedyWait           = "wait_for_start"
	RemedySubscribe      = "subscribe"
	RemedyRenew          = "renew"
	RemedyChangePlan     = "change_plan"
	RemedyAddOn          = "add_on_" // followed by the add-on's id
	RemedyRaiseLimit     = "raise_limit"
	RemedyRestoreOrder   = "order_restore"
)

const addOnDocumentExchange = "document_exchange"

// Decide answers a question at an instant, from the facts alone.
func Decide(f Facts, q Question, at time.Time) Decision {
	d := decide(f, q, at)
	d.Changes = nextChange(f, q, at, d.Allowed)
	return d
}

// decide looks at every condition of the action. Where a subscriber has several licences, the one that fails least is
// spoken of; of equals the newest.
func decide(f Facts, q Question, at time.Time) Decision {
	best := Decision{Question: q, Conditions: conditions(f, q, nil, at)}
	for i := range f.Licences {
		l := &f.Licences[len(f.Licences)-1-i]
		candidate := Decision{Question: q, Licence: l, Conditions: conditions(f, q, l, at)}
		if best.Licence == nil || candidate.rank(at) < best.rank(at) {
			best = candidate
		}
	}
	best.Allowed = best.failed() == 0
	if !best.Allowed || q.Action == licensingv1.Action_ACTION_USE {
		best.Licence = nil // The right comes from none.
	}
	slices.SortStableFunc(best.Conditions, func(a, b Condition) int {
		return cmp.Or(boolCompare(a.Met, b.Met), cmp.Compare(a.urgency, b.urgency))
	})
	return best
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

func (d Decision) failed() int {
	n := 0
	for _, c := range d.Conditions {
		if !c.Met {
			n++
		}
	}
	return n
}

// rank orders answers by licence: fewer failed conditions first, one that runs before one to come before one that is over.
func (d Decision) rank(at time.Time) int {
	order := map[licence.State]int{licence.Active: 0, licence.Upcoming: 1, licence.Ended: 2}
	return 10*d.failed() + order[d.Licence.State(at)]
}

// conditions are those of an action, looked at with one licence, or with none.
func conditions(f Facts, q Question, l *licence.Licence, at time.Time) []Condition {
	all := []Condition{contractAccepted(f, at)}
	switch q.Action {
	case licensingv1.Action_ACTION_USE:
	case licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_EXPORT:
		all = append(all, dataKept(f, at))
	case licensingv1.Action_ACTION_WRITE, licensingv1.Action_ACTION_UPDATE:
		all = append(all, licenceValid(f, l, at), holdsProduct(q, l, at))
	case licensingv1.Action_ACTION_ADD_COMPANY:
		all = append(all, licenceValid(f, l, at), holdsProduct(q, l, at), withinLimit(q, l, at, "companies"))
	case licensingv1.Action_ACTION_ADD_ACCOUNT:
		all = append(all, licenceValid(f, l, at), withinLimit(q, l, at, "accounts"))
	case licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS:
		all = append(all, licenceValid(f, l, at), holdsAddOn(addOnDocumentExchange, l, at))
	case licensingv1.Action_ACTION_BACKUP:
		all = append(all, licenceValid(f, l, at))
	default:
		all = append(all, Condition{Key: "action_known", Case: caseFailed})
	}
	all = slices.DeleteFunc(all, func(c Condition) bool { return c.Key == "" })
	for i := range all {
		all[i].urgency = i
	}
	return all
}

// Cases of conditions' texts.
const (
	caseMet      = "met"
	caseFailed   = "failed"
	caseNone     = "none"
	caseUpcoming = "upcoming"
	caseEnded    = "ended"
	caseTrial    = "trial_ended"
	caseOpen     = "open"
)

// contractAccepted: nothing is usable before a contract is accepted (J1). One that was superseded since was accepted all the same.
func contractAccepted(f Facts, at time.Time) Condition {
	waiting := ""
	for _, c := range slices.Backward(f.Contracts) {
		switch {
		case !c.Accepted.IsZero() && !c.Accepted.After(at):
			return Condition{Key: KeyContractAccepted, Case: caseMet, Met: true, Values: []Value{
				{Key: "number", Text: c.Number}, {Key: "date", Date: civil.DateOf(c.Accepted, f.zone())},
			}}
		case waiting == "":
			waiting = c.Number
		}
	}
	if waiting == "" {
		return Condition{Key: KeyContractAccepted, Case: caseNone, Remedy: RemedyAcceptContract}
	}
	return Condition{
		Key: KeyContractAccepted, Case: caseFailed, Remedy: RemedyAcceptContract, Values: []Value{{Key: "number", Text: waiting}},
	}
}

func (f Facts) zone() *time.Location {
	if n := len(f.Licences); n > 0 {
		return f.Licences[n-1].Zone
	}
	if f.Zone != nil {
		return f.Zone
	}
	return time.UTC
}

// licenceValid: a licence runs. A trial that ended is followed by a subscription, another licence is renewed.
func licenceValid(f Facts, l *licence.Licence, at time.Time) Condition {
	c := Condition{Key: KeyLicenceValid}
	if l == nil {
		c.Case, c.Remedy = caseNone, RemedySubscribe
		if len(f.Contracts) == 0 || !contractAccepted(f, at).Met {
			c.Remedy = RemedyAcceptContract // The trial begins with it.
		}
		return c
	}
	c.Values = []Value{{Key: "plan", Text: l.Plan}}
	switch l.State(at) {
	case licence.Upcoming:
		c.Case, c.Remedy = caseUpcoming, RemedyWait
		c.Values = append(c.Values, Value{Key: "start_date", Date: l.Start})
	case licence.Ended:
		c.Case, c.Remedy = caseEnded, RemedyRenew
		if l.Kind == "trial" {
			c.Case, c.Remedy = caseTrial, RemedySubscribe
		}
		c.Values = append(c.Values, Value{Key: "end_date", Date: l.End})
	default:
		c.Case, c.Met = caseMet, true
		if l.End.IsZero() {
			c.Case = caseOpen
		} else {
			c.Values = append(c.Values, Value{Key: "end_date", Date: l.End}, Value{Key: "days_left", Number: int64(l.DaysLeft(at))})
		}
	}
	return c
}

// holdsProduct: the plan holds the product. Without a product there is no such condition; nor without a licence, which
// is the one thing to say then.
func holdsProduct(q Question, l *licence.Licence, at time.Time) Condition {
	if q.Product == "" || l == nil {
		return Condition{}
	}
	c := Condition{Key: KeyPlanIncludes, Case: caseMet, Met: l.TermsAt(at).Holds(q.Product), Values: []Value{
		{Key: "plan", Text: l.Plan}, {Key: "item", Text: q.Product},
	}}
	if !c.Met {
		c.Case, c.Remedy = caseFailed, RemedyChangePlan
	}
	return c
}

// holdsAddOn: the plan or an agreement with staff holds the add-on (S2).
func holdsAddOn(addOn string, l *licence.Licence, at time.Time) Condition {
	c := Condition{Key: KeyPlanIncludes, Case: caseFailed, Remedy: RemedyAddOn + addOn, Values: []Value{{Key: "item", Text: addOn}}}
	if l == nil {
		c.Case = caseNone
		return c
	}
	c.Values = append([]Value{{Key: "plan", Text: l.Plan}}, c.Values...)
	if slices.Contains(l.TermsAt(at).AddOns, addOn) {
		c.Case, c.Met, c.Remedy = caseMet, true, ""
	}
	return c
}

// withinLimit: the count after the action is not above the limit (H11, H6).
func withinLimit(q Question, l *licence.Licence, at time.Time, what string) Condition {
	if l == nil {
		return Condition{}
	}
	limits := l.TermsAt(at).Limits
	limit := limits.Companies
	if what == "accounts" {
		if limit = limits.Accounts; limit == 0 {
			return Condition{Key: KeyWithinLimit, Case: what + "_" + caseOpen, Met: true} // Any number (J7).
		}
	}
	c := Condition{Key: KeyWithinLimit, Case: what + "_" + caseMet, Met: q.CountAfter <= limit, Values: []Value{
		{Key: "limit", Number: int64(limit)}, {Key: "count", Number: int64(q.CountAfter)},
	}}
	if !c.Met {
		c.Case, c.Remedy = what+"_"+caseFailed, RemedyRaiseLimit
	}
	return c
}

// dataKept: what was entered under a licence can be read and exported while the licence runs and until three months
// after the last one ended (J2, H9).
func dataKept(f Facts, at time.Time) Condition {
	c := Condition{Key: KeyDataKept, Case: caseNone, Remedy: RemedySubscribe}
	if !contractAccepted(f, at).Met {
		c.Remedy = RemedyAcceptContract
	}
	var last civil.Date
	for _, l := range f.Licences {
		if l.State(at) == licence.Upcoming {
			continue
		}
		kept, ends := l.KeptEnds()
		if !ends || l.State(at) == licence.Active {
			return Condition{Key: KeyDataKept, Case: caseOpen, Met: true}
		}
		if at.Before(kept) {
			c.Met = true
		}
		if l.KeptUntil().After(last) {
			last = l.KeptUntil()
		}
	}
	if last.IsZero() {
		return c
	}
	c.Values = []Value{{Key: "kept_until_date", Date: last}}
	if c.Met {
		c.Case, c.Remedy = caseMet, ""
	} else {
		c.Case, c.Remedy = caseEnded, RemedyRestoreOrder
	}
	return c
}

// nextChange is the first instant after at when the answer turns, found by asking at each instant when a fact turns.
func nextChange(f Facts, q Question, at time.Time, allowed bool) time.Time {
	for _, turn := range f.turns() {
		if turn.After(at) && decide(f, q, turn).Allowed != allowed {
			return turn
		}
	}
	return time.Time{}
}

// nextTurn is the first instant after another at which any decision may be another; zero if there is none.
func (f Facts) nextTurn(at time.Time) time.Time {
	for _, turn := range f.turns() {
		if turn.After(at) {
			return turn
		}
	}
	return time.Time{}
}

// turns are the instants at which contracts and licences turn, in their order.
func (f Facts) turns() []time.Time {
	var turns []time.Time
	for _, c := range f.Contracts {
		turns = append(turns, c.Accepted)
	}
	for _, l := range f.Licences {
		turns = append(turns, l.Turns()...)
	}
	slices.SortFunc(turns, time.Time.Compare)
	return turns
}

// String is a value without a language, for programs.
func (v Value) String() string {
	switch {
	case !v.Date.IsZero():
		return v.Date.String()
	case v.Text != "":
		return v.Text
	default:
		return strconv.FormatInt(v.Number, 10)
	}
}
