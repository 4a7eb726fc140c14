// Package rights asks licensing whether a subscriber's own conditions allow something, and says why not.
package rights

import (
	"context"
	"slices"
	"strings"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Rights asks licensing.
type Rights struct {
	licensing licensingv1.RightServiceClient
}

// New returns Rights that ask over a connection to licensing.
func New(licensing licensingv1.RightServiceClient) *Rights { return &Rights{licensing: licensing} }

// Question is an action and what it is about.
type Question struct {
	// Subscriber is `subscribers/S`.
	Subscriber string
	Action     licensingv1.Action
	// Product that the action concerns, if one.
	Product string
	// CountAfter is how many there would be, for actions that are counted.
	CountAfter int
}

// Require refuses with RIGHT_MISSING and every condition that fails.
func (r *Rights) Require(ctx context.Context, q Question) error {
	decision, err := r.Decide(ctx, q)
	if err != nil {
		return err
	}
	return Refusal(decision)
}

// Decide asks for the decision itself.
func (r *Rights) Decide(ctx context.Context, q Question) (*licensingv1.Decision, error) {
	answer, err := r.licensing.DecideRight(ctx, &licensingv1.DecideRightRequest{
		Subscriber: q.Subscriber, Action: q.Action, Product: q.Product, CountAfter: int32(q.CountAfter),
	})
	return answer.GetDecision(), err
}

// Why is what a decision's failed conditions say, in words.
func Why(decision *licensingv1.Decision) string {
	var why []string
	for _, c := range decision.GetConditions() {
		if !c.GetMet() {
			why = append(why, c.GetText())
		}
	}
	return strings.Join(why, " ")
}

// Refusal is RIGHT_MISSING with every condition that fails, nil when the decision allows the action.
func Refusal(decision *licensingv1.Decision) error {
	if decision.GetAllowed() {
		return nil
	}
	var conditions, remedies []string
	for _, c := range decision.GetConditions() {
		if c.GetMet() {
			continue
		}
		conditions = append(conditions, c.GetKey())
		if c.GetRemedy() != "" && !slices.Contains(remedies, c.GetRemedy()) {
			remedies = append(remedies, c.GetRemedy())
		}
	}
	return failure.New(commonv1.Reason_REASON_RIGHT_MISSING, "conditions", strings.Join(conditions, ","),
		"remedies", strings.Join(remedies, ","), "why", Why(decision))
}
