package entitlement

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// Server answers EntitlementService, and DecideRight of RightService.
type Server struct {
	licensingv1.UnimplementedEntitlementServiceServer
	deps Deps
}

// Deps are what a Server needs.
type Deps struct {
	Book  *Book
	Texts *Texts
	Clock clock.Clock
}

// NewServer returns a server.
func NewServer(deps Deps) *Server { return &Server{deps: deps} }

// ExplainRight answers people, for now or for a date.
func (s *Server) ExplainRight(ctx context.Context, req *licensingv1.ExplainRightRequest) (*licensingv1.ExplainRightResponse, error) {
	subscriber, err := licence.ParseSubscriber(req.GetParent())
	if err != nil {
		return nil, err
	}
	facts, err := s.deps.Book.Facts(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	at, err := s.instant(facts, req.GetAsOfDate())
	if err != nil {
		return nil, err
	}
	q := Question{Action: req.GetAction(), Product: req.GetProduct(), CountAfter: req.GetCountAfter()}
	return &licensingv1.ExplainRightResponse{Decision: s.deps.Texts.Proto(Decide(facts, q, at), caller.From(ctx).Locale)}, nil
}

// instant is now, or the end of a day in the subscriber's zone: what begins on that day has begun.
func (s *Server) instant(facts Facts, date string) (time.Time, error) {
	if date == "" {
		return s.deps.Clock.Now(), nil
	}
	day, err := civil.ParseDate(date)
	if err != nil {
		return time.Time{}, failure.Invalid("as_of_date", "is no date of the calendar").Wrap(err)
	}
	return EndOfDay(day, facts.zone()), nil
}

// EndOfDay is the last microsecond of a day, the least that the database tells apart.
func EndOfDay(day civil.Date, zone *time.Location) time.Time {
	return licence.StartOfDay(day.AddDays(1), zone).Add(-time.Microsecond)
}

// DecideRight answers services.
func (s *Server) DecideRight(ctx context.Context, req *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error) {
	subscriber, err := licence.ParseSubscriber(req.GetSubscriber())
	if err != nil {
		return nil, err
	}
	d, err := s.deps.Book.Decide(ctx, subscriber, Question{Action: req.GetAction(), Product: req.GetProduct(), CountAfter: req.GetCountAfter()})
	if err != nil {
		return nil, err
	}
	return &licensingv1.DecideRightResponse{Decision: s.deps.Texts.Proto(d, caller.From(ctx).Locale)}, nil
}

// Proto is a decision with its texts in the language that serves a caller's wish best.
func (t *Texts) Proto(d Decision, wish string) *licensingv1.Decision {
	out := &licensingv1.Decision{Action: d.Question.Action, Allowed: d.Allowed}
	if d.Licence != nil {
		out.Licence = licence.Name(d.Licence.Subscriber, d.Licence.ID)
	}
	if !d.Changes.IsZero() {
		out.ChangeTime = timestamppb.New(d.Changes)
	}
	for _, c := range d.Conditions {
		condition := &licensingv1.Condition{Key: c.Key, Met: c.Met, Text: t.Say(c, wish), Remedy: c.Remedy, Values: map[string]string{}}
		for _, v := range c.Values {
			condition.Values[v.Key] = v.String()
		}
		out.Conditions = append(out.Conditions, condition)
	}
	return out
}

// Refusal is RIGHT_REFUSED with every condition that failed and what mends it; nil when the decision allows.
func (t *Texts) Refusal(d Decision, wish string) error {
	if d.Allowed {
		return nil
	}
	var keys, remedies, texts []string
	for _, c := range d.Conditions {
		if !c.Met {
			keys, remedies, texts = append(keys, c.Key), append(remedies, c.Remedy), append(texts, t.Say(c, wish))
		}
	}
	return failure.New(commonv1.Reason_REASON_RIGHT_REFUSED,
		"action", strings.ToLower(strings.TrimPrefix(d.Question.Action.String(), "ACTION_")),
		"conditions", strings.Join(keys, ","), "remedies", strings.Join(remedies, ","), "why", strings.Join(texts, " "))
}
