package document

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// walk takes the named states one after another, each by whoever may.
func walk[S state](a Axis[S], values map[string]int32, of func(int32) S, path string) error {
	var history []Step[S]
	for n, name := range strings.Fields(path) {
		to := of(values[a.prefix+strings.ToUpper(name)])
		next, _, err := a.Take(history, Step[S]{Sequence: int64(n + 1), To: to, Side: a.side[to], Reason: "so"})
		if err != nil {
			return err
		}
		history = next
	}
	return nil
}

func TestStepsFollowEachOtherAsTheyMay(t *testing.T) {
	transport := func(path string) error {
		return walk(Transport, exchangev1.TransportState_value, func(n int32) exchangev1.TransportState { return exchangev1.TransportState(n) }, path)
	}
	office := func(path string) error {
		return walk(Office, exchangev1.OfficeState_value, func(n int32) exchangev1.OfficeState { return exchangev1.OfficeState(n) }, path)
	}
	version := func(path string) error {
		return walk(Version, exchangev1.VersionState_value, func(n int32) exchangev1.VersionState { return exchangev1.VersionState(n) }, path)
	}
	for name, c := range map[string]struct {
		walk func(string) error
		path string
		may  bool
	}{
		"a document is delivered by way of a centre": {transport, "queued sending relayed delivered", true},
		"a document is delivered directly":           {transport, "queued sending delivered", true},
		"a failed try is repeated":                   {transport, "queued sending failed sending delivered", true},
		"a document is given up":                     {transport, "queued sending failed permanently_failed", true},
		"a wrong document is rejected":               {transport, "queued rejected", true},
		"nothing is delivered unsent":                {transport, "queued delivered", false},
		"what is delivered stays so":                 {transport, "queued sending delivered failed", false},
		"what is rejected is not sent":               {transport, "queued rejected sending", false},
		"what is given up is not sent again":         {transport, "queued sending failed permanently_failed sending", false},
		"a way begins in the queue":                  {transport, "sending", false},
		"the office takes a document in":             {office, "waiting seen imported posted", true},
		"a program imports unseen":                   {office, "waiting imported posted", true},
		"a question is asked and answered":           {office, "waiting seen under_query imported posted", true},
		"a document is refused after import":         {office, "waiting imported refused", true},
		"nothing is posted before import":            {office, "waiting seen posted", false},
		"what is posted stays so":                    {office, "waiting imported posted refused", false},
		"what is refused stays so":                   {office, "waiting refused imported", false},
		"what is imported is not unseen again":       {office, "waiting imported seen", false},
		"a later version takes its place":            {version, "current superseded", true},
		"a document is taken back":                   {version, "current cancelled", true},
		"a document is deleted":                      {version, "current deleted", true},
		"what was superseded does not come back":     {version, "current superseded current", false},
		"what was cancelled is not deleted":          {version, "current cancelled deleted", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.walk(c.path)
			if c.may && err != nil || !c.may && failure.Reason(err) != commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED {
				t.Errorf("%s: %v", c.path, err)
			}
		})
	}
}

func officeStep(sequence int64, to exchangev1.OfficeState, side Side, reason string) Step[exchangev1.OfficeState] {
	return Step[exchangev1.OfficeState]{Sequence: sequence, To: to, Side: side, Reason: reason}
}

func TestAStepIsTakenOnceInItsTurnByItsSide(t *testing.T) {
	waiting := officeStep(1, exchangev1.OfficeState_OFFICE_STATE_WAITING, Service, "")
	refused := officeStep(2, exchangev1.OfficeState_OFFICE_STATE_REFUSED, Receiver, "not ours")
	for name, c := range map[string]struct {
		step    Step[exchangev1.OfficeState]
		outcome Outcome
		reason  commonv1.Reason
	}{
		"the next step is taken":                {refused, Taken, 0},
		"the same step again changes nothing":   {waiting, Repeated, 0},
		"a step after a missing one waits":      {officeStep(3, refused.To, Receiver, "not ours"), Early, 0},
		"a taken step is not another one":       {officeStep(1, refused.To, Receiver, "x"), 0, commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED},
		"steps count from one":                  {officeStep(0, refused.To, Receiver, "x"), 0, commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED},
		"the sender does not refuse":            {officeStep(2, refused.To, Sender, "x"), 0, commonv1.Reason_REASON_DOCUMENT_STEP_OTHER_SIDE},
		"a refusal without a reason is none":    {officeStep(2, refused.To, Receiver, " "), 0, commonv1.Reason_REASON_DOCUMENT_STEP_NEEDS_REASON},
		"a question without words is none":      {officeStep(2, exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY, Receiver, ""), 0, commonv1.Reason_REASON_DOCUMENT_STEP_NEEDS_REASON},
		"a state that nobody knows is not one":  {officeStep(2, 99, Receiver, ""), 0, commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED},
		"looking at a document needs no reason": {officeStep(2, exchangev1.OfficeState_OFFICE_STATE_SEEN, Receiver, ""), Taken, 0},
	} {
		t.Run(name, func(t *testing.T) {
			history := []Step[exchangev1.OfficeState]{waiting}
			after, outcome, err := Office.Take(history, c.step)
			if outcome != c.outcome || failure.Reason(err) != c.reason {
				t.Errorf("outcome %v, %v", outcome, err)
			}
			if grown := len(after) == 2; grown != (outcome == Taken) || !slices.Equal(history, []Step[exchangev1.OfficeState]{waiting}) {
				t.Errorf("history %v, was %v", after, history)
			}
		})
	}
}

// Whatever order messages come in and however often, and with whatever false ones among them that have a taken
// step's number: when each came in its turn once, the axis is where the true history says.
func TestRepeatedAndLateMessagesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := draw(t, Transport)
		var history []Step[exchangev1.TransportState]
		noise := rapid.SliceOf(rapid.IntRange(0, len(truth)-1)).Draw(t, "messages")
		for round := 0; len(history) < len(truth); round++ {
			if round > len(truth) {
				t.Fatal("steps that came again were not taken")
			}
			for _, n := range append(noise, rapid.Permutation(indexes(truth)).Draw(t, "again")...) {
				next, outcome, err := Transport.Take(history, truth[n])
				if err != nil || (outcome == Taken) != (n == len(history)) {
					t.Fatalf("step %d after %d: %v, %v", n+1, len(history), outcome, err)
				}
				history = next
			}
		}
		forged := truth[rapid.IntRange(0, len(truth)-1).Draw(t, "forged")]
		forged.Reason += "!"
		if _, _, err := Transport.Take(history, forged); err == nil {
			t.Fatal("a taken step was altered")
		}
		if !slices.Equal(history, truth) || State(history) != truth[len(truth)-1].To {
			t.Fatalf("came to %v, want %v", history, truth)
		}
	})
}

// draw draws a history that may be.
func draw[S state](t *rapid.T, a Axis[S]) []Step[S] {
	var history []Step[S]
	for most := rapid.IntRange(1, 12).Draw(t, "most"); len(history) < most; {
		next := a.next[State(history)]
		if len(next) == 0 {
			break
		}
		to := rapid.SampledFrom(next).Draw(t, "to")
		history = append(history, Step[S]{Sequence: int64(len(history) + 1), To: to, Side: a.side[to]})
	}
	return history
}

func indexes[T any](list []T) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}
