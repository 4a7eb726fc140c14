package release

import (
	"slices"
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/entitlement"
)

// right tells whether a subscriber had, or has, the right to updates at an instant.
type right func(at time.Time) entitlement.Decision

// choice is what somebody gets of the releases that are newer than what they have.
type choice struct {
	release  *Release // the newest that may be had; nil for none
	newest   *Release // the newest there is; nil when they have it
	decision entitlement.Decision
	offers   []licensingv1.Offer // what would help to have the newest
}

// choose picks the newest release that may be had, of those that are newer than what the client has, the newest first.
func choose(newer []Release, may right, now time.Time) choice {
	if len(newer) == 0 {
		return choice{decision: may(now)}
	}
	c := choice{newest: &newer[0]}
	for i := range newer {
		if d := open(newer[i], may, now); d.Allowed {
			c.release = &newer[i]
			break
		}
	}
	c.decision = open(newer[0], may, now)
	if !c.decision.Allowed {
		c.offers = offersFor(c.decision)
	}
	return c
}

// open says whether a release may be had: by the right of now, or, for good, by the right of the moment when it was published (C3:
// who no longer pays keeps what was published before).
func open(r Release, may right, now time.Time) entitlement.Decision {
	today := may(now)
	if today.Allowed || r.Published.IsZero() {
		return today
	}
	if then := may(r.Published); then.Allowed {
		return then
	}
	return today
}

// offersFor are what mends what failed, in the order in which to do it.
func offersFor(d entitlement.Decision) []licensingv1.Offer {
	var offers []licensingv1.Offer
	for _, c := range d.Conditions {
		if offer := offerOf(c.Remedy); !c.Met && offer != licensingv1.Offer_OFFER_UNSPECIFIED && !slices.Contains(offers, offer) {
			offers = append(offers, offer)
		}
	}
	slices.Sort(offers) // The numbers are in that order.
	return offers
}

func offerOf(remedy string) licensingv1.Offer {
	switch remedy {
	case entitlement.RemedyAcceptContract:
		return licensingv1.Offer_OFFER_ACCEPT_CONTRACT
	case entitlement.RemedySubscribe, entitlement.RemedyRenew, entitlement.RemedyWait:
		return licensingv1.Offer_OFFER_SUBSCRIBE
	case entitlement.RemedyChangePlan:
		return licensingv1.Offer_OFFER_BUY
	default:
		return licensingv1.Offer_OFFER_UNSPECIFIED
	}
}
