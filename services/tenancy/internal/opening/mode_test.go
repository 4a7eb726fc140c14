package opening

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/rights"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// licences answers as licensing would.
type licences struct {
	licensingv1.RightServiceClient
	write, read bool
	changes     time.Time
	asked       int
	away        error
}

func (l *licences) DecideRight(_ context.Context, r *licensingv1.DecideRightRequest, _ ...grpc.CallOption) (*licensingv1.DecideRightResponse, error) {
	if l.away != nil {
		return nil, l.away
	}
	l.asked++
	d := &licensingv1.Decision{Allowed: r.GetAction() == licensingv1.Action_ACTION_WRITE && l.write || r.GetAction() == licensingv1.Action_ACTION_READ && l.read}
	if !d.GetAllowed() {
		d.Conditions = []*licensingv1.Condition{{Key: "licence_valid", Text: "It ended."}}
	}
	if !l.changes.IsZero() {
		d.ChangeTime = timestamppb.New(l.changes)
	}
	return &licensingv1.DecideRightResponse{Decision: d}, nil
}

func TestWhatALicenceAllows(t *testing.T) {
	for name, c := range map[string]struct {
		write, read bool
		why         string
		refused     bool
	}{
		"to write":         {true, true, "", false},
		"to read":          {false, true, "It ended.", false},
		"neither":          {false, false, "It ended.", true},
		"writing suffices": {true, false, "", false},
	} {
		m, err := ask(t.Context(), rights.New(&licences{write: c.write, read: c.read}), uuid.New(), "books")
		if err != nil || m.Write != c.write || m.WhyNot != c.why || (failure.Reason(m.Refused) == commonv1.Reason_REASON_RIGHT_MISSING) != c.refused {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestAnAnswerIsRememberedWhileItCanNotBeAnother(t *testing.T) {
	suite := time.Now()
	l := &licences{write: true, read: true, changes: suite.Add(time.Hour)}
	m, p := newModes(rights.New(l)), pair{uuid.New(), "books"}
	of := func(at time.Time, oldest time.Duration, asked int) {
		t.Helper()
		if _, err := m.of(t.Context(), p, at, oldest); err != nil || l.asked != asked {
			t.Errorf("asked %d times, want %d; %v", l.asked, asked, err)
		}
	}
	of(suite, keptFor, 1)
	of(suite, keptFor, 1)
	of(suite.Add(time.Hour), keptFor, 2) // By then it is another.
	of(suite, 0, 3)                      // Too old.
	m.forget(uuid.New())
	of(suite, keptFor, 3)
	m.forget(p.subscriber)
	of(suite, keptFor, 4)
	m.keep([]pair{p})
	of(suite, keptFor, 4)
	m.keep(nil)
	of(suite, keptFor, 5)
	l.away = errors.New("gone")
	if _, err := m.of(t.Context(), p, suite, 0); err == nil {
		t.Error("nobody can tell, and it is told")
	}
}
