// Package addon asks licensing whether a subscriber has bought the exchange of documents (S2).
package addon

import (
	"context"
	"slices"
	"strings"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// AddOn asks licensing.
type AddOn struct {
	Licensing licensingv1.RightServiceClient
}

// Require refuses with RIGHT_MISSING and every condition that fails, with what mends it.
func (a AddOn) Require(ctx context.Context, subscriber string) error {
	answer, err := a.Licensing.DecideRight(ctx, &licensingv1.DecideRightRequest{
		Subscriber: subscriber, Action: licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS,
	})
	if err != nil {
		return err
	}
	return refusal(answer.GetDecision())
}

// refusal is nil when the decision allows the exchange.
func refusal(decision *licensingv1.Decision) error {
	if decision.GetAllowed() {
		return nil
	}
	var conditions, remedies, why []string
	for _, c := range decision.GetConditions() {
		if c.GetMet() {
			continue
		}
		conditions = append(conditions, c.GetKey())
		why = append(why, c.GetText())
		if c.GetRemedy() != "" && !slices.Contains(remedies, c.GetRemedy()) {
			remedies = append(remedies, c.GetRemedy())
		}
	}
	return failure.New(commonv1.Reason_REASON_RIGHT_MISSING, "conditions", strings.Join(conditions, ","),
		"remedies", strings.Join(remedies, ","), "why", strings.Join(why, " "))
}
