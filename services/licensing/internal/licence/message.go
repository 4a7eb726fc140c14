package licence

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/civil"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
)

// Proto is the licence as it is at an instant, without its plan's title.
func (l Licence) Proto(at time.Time) *licensingv1.Licence {
	terms := l.TermsAt(at)
	out := &licensingv1.Licence{
		Name: Name(l.Subscriber, l.ID), Plan: catalogue.PlanName(l.Plan), Kind: l.Kind.Proto(), State: l.State(at).Proto(),
		AddOns: terms.AddOns, Limits: terms.Limits.Proto(),
		StartDate: l.Start.String(), EndDate: text(l.End), TimeZone: l.Zone.String(),
		DaysLeft: int32(l.DaysLeft(at)), Ending: l.Ending(at), KeptUntilDate: text(l.KeptUntil()),
		CreateTime: timestamppb.New(l.Created), Etag: l.etag(),
	}
	for _, p := range terms.Products {
		out.Products = append(out.Products, &licensingv1.PlanProduct{
			Product: "products/" + p.Product, Edition: p.Edition, Modules: p.Modules,
		})
	}
	if ends, ok := l.Ends(); ok {
		out.EndTime = timestamppb.New(ends)
	}
	if l.Contract != (Licence{}).Contract {
		out.Contract = SubscriberName(l.Subscriber) + "/contracts/" + l.Contract.String()
	}
	return out
}

func (l Licence) etag() string { return strconv.FormatInt(l.Revision, 10) }

// Proto is the state in the contract of licensing.
func (s State) Proto() licensingv1.LicenceState {
	switch s {
	case Upcoming:
		return licensingv1.LicenceState_LICENCE_STATE_UPCOMING
	case Active:
		return licensingv1.LicenceState_LICENCE_STATE_ACTIVE
	case Ended:
		return licensingv1.LicenceState_LICENCE_STATE_ENDED
	default:
		return licensingv1.LicenceState_LICENCE_STATE_UNSPECIFIED
	}
}

func (c Change) proto() *licensingv1.LicenceChange {
	out := &licensingv1.LicenceChange{
		Field: c.Field, OldValue: c.Old, NewValue: c.New, UntilDate: text(c.Until), Reason: c.Reason,
		Author: AccountName(c.Author), CreateTime: timestamppb.New(c.Created),
	}
	if c.Price.Currency != "" {
		out.Price = &commonv1.Money{CurrencyCode: c.Price.Currency, MinorUnits: c.Price.Minor}
	}
	return out
}

// text is a date, or nothing.
func text(d civil.Date) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}
