package rights

import (
	"testing"

	"kontor.internal/libs/failure"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

func TestARefusalNamesEveryConditionThatFailsAndWhatMendsIt(t *testing.T) {
	err := Refusal(&licensingv1.Decision{Conditions: []*licensingv1.Condition{
		{Key: "contract_accepted", Text: "The contract is not accepted.", Remedy: "accept_contract"},
		{Key: "licence_valid", Text: "There is no licence.", Remedy: "accept_contract"},
		{Key: "plan_includes", Met: true, Text: "The plan includes it."},
	}})
	refused := failure.From(err)
	for key, want := range map[string]string{
		"conditions": "contract_accepted,licence_valid", "remedies": "accept_contract",
		"why": "The contract is not accepted. There is no licence.",
	} {
		if got := refused.Meta(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
}

func TestAnAllowedActionIsNotRefused(t *testing.T) {
	if err := Refusal(&licensingv1.Decision{Allowed: true}); err != nil {
		t.Error(err)
	}
}
