package seatreport

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seatreport/reportdb"
)

const (
	// statements stands between a licence's name and a day.
	statements = "/seatStatements/"
	// longest is how much use is told of at a time.
	longest = 93 * 24 * time.Hour
	// looksBack is how many months advice is about.
	looksBack = 12
)

// Deps are what a Server needs.
type Deps struct {
	Maker *Maker
	Texts Texts
	Pages *paging.Codec
	// Clock is the suite's; it tells which limits hold.
	Clock clock.Clock
}

// Server answers SeatReportService.
type Server struct {
	licensingv1.UnimplementedSeatReportServiceServer
	deps Deps
}

// NewServer returns a server.
func NewServer(deps Deps) *Server { return &Server{deps: deps} }

// licence finds the licence that a report is about.
func (s *Server) licence(ctx context.Context, name string) (licence.Licence, error) {
	subscriber, of, err := licence.ParseName(name)
	if err != nil {
		return licence.Licence{}, err
	}
	return s.deps.Maker.Licences.Get(ctx, s.deps.Maker.DB, subscriber, of)
}

// ListSeatUsage pages through the hours of a time.
func (s *Server) ListSeatUsage(ctx context.Context, req *licensingv1.ListSeatUsageRequest) (*licensingv1.ListSeatUsageResponse, error) {
	l, err := s.licence(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	from, until := req.GetStartTime().AsTime().Truncate(time.Hour), req.GetEndTime().AsTime()
	switch {
	case !req.GetStartTime().IsValid():
		return nil, failure.Invalid("start_time", "is no instant")
	case !req.GetEndTime().IsValid():
		return nil, failure.Invalid("end_time", "is no instant")
	case !from.Before(until):
		return nil, failure.Invalid("end_time", "is not after start_time")
	case until.Sub(from) > longest:
		return nil, failure.Invalid("end_time", "is more than 93 days after start_time")
	}
	next := from
	page, err := s.deps.Pages.Start(licensingv1.SeatReportService_ListSeatUsage_FullMethodName, req, &next)
	if err != nil {
		return nil, err
	}
	end := next.Add(time.Duration(page.Limit()) * time.Hour)
	if last := until.Add(time.Hour - 1).Truncate(time.Hour); last.Before(end) {
		end = last
	}
	hours := Hours(next.UTC(), end.UTC())
	shown, token, err := paging.Finish(page, hours, func(u *Usage) any { return u.End })
	if err != nil {
		return nil, err
	}
	out := &licensingv1.ListSeatUsageResponse{NextPageToken: token}
	if len(shown) == 0 {
		return out, nil
	}
	if err := s.deps.Maker.Hours(ctx, l.ID, shown); err != nil {
		return nil, translate(err)
	}
	for _, hour := range shown {
		out.Hours = append(out.Hours, rowOf(*hour).message())
	}
	return out, nil
}

// GetSeatStatement gives the statement of one day.
func (s *Server) GetSeatStatement(ctx context.Context, req *licensingv1.GetSeatStatementRequest) (*licensingv1.GetSeatStatementResponse, error) {
	parent, last, _ := strings.Cut(req.GetName(), statements)
	day, err := civil.ParseDate(last)
	if err != nil {
		return nil, failure.NotFound(req.GetName())
	}
	l, err := s.licence(ctx, parent)
	if err != nil {
		return nil, err
	}
	signed, err := s.deps.Maker.Statement(ctx, l, day)
	if err != nil {
		return nil, translate(err)
	}
	d, err := parse(signed)
	return &licensingv1.GetSeatStatementResponse{Statement: d.message(true), Signed: signed}, err
}

// ListSeatStatements pages through the statements, the latest first.
func (s *Server) ListSeatStatements(ctx context.Context, req *licensingv1.ListSeatStatementsRequest) (*licensingv1.ListSeatStatementsResponse, error) {
	l, err := s.licence(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	var before civil.Date
	page, err := s.deps.Pages.Start(licensingv1.SeatReportService_ListSeatStatements_FullMethodName, req, &before)
	if err != nil {
		return nil, err
	}
	rows, err := reportdb.New(s.deps.Maker.DB).ListStatements(ctx, reportdb.ListStatementsParams{Licence: l.ID, Before: before, Most: page.Limit()})
	if err != nil {
		return nil, translate(err)
	}
	rows, token, err := paging.Finish(page, rows, func(r reportdb.ListStatementsRow) any { return r.Day })
	if err != nil {
		return nil, err
	}
	out := &licensingv1.ListSeatStatementsResponse{NextPageToken: token}
	for _, r := range rows {
		d, err := parse(r.Signed)
		if err != nil {
			return nil, err
		}
		out.Statements = append(out.Statements, d.message(false))
	}
	return out, nil
}

// GetSeatAdvice says what the use of the last months means.
func (s *Server) GetSeatAdvice(ctx context.Context, req *licensingv1.GetSeatAdviceRequest) (*licensingv1.GetSeatAdviceResponse, error) {
	l, err := s.licence(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	last := civil.DateOf(s.deps.Maker.Real.Now(), l.Zone).AddDays(-1)
	first := last.AddMonths(-looksBack).AddDays(1)
	rows, err := reportdb.New(s.deps.Maker.DB).DaysSince(ctx, reportdb.DaysSinceParams{Licence: l.ID, Since: first})
	if err != nil {
		return nil, translate(err)
	}
	days := make([]Day, len(rows))
	for i, r := range rows {
		days[i] = Day{
			Date: r.Day, Peak: r.Peak, HourPeaks: r.HourPeaks, Refusals: r.Refusals, RefusedPeople: r.RefusedPeople,
			OverdraftPeak: r.OverdraftPeak, Gap: r.Gap,
		}
	}
	limit := l.TermsAt(s.deps.Clock.Now()).Limits.Seats
	a := Advise(days, limit)
	return &licensingv1.GetSeatAdviceResponse{
		Code: a.Code, Text: s.deps.Texts.Say(a, limit, caller.From(ctx).Locale), Seats: a.Seats, Limit: limit, Peak: a.Peak,
		UsualPeak: a.UsualPeak, Refusals: a.Refusals, RefusedDays: a.RefusedDays, OverdraftPeak: a.Overdraft, UsedDays: a.UsedDays,
		GapDays: a.GapDays, FirstDate: first.String(), LastDate: last.String(),
	}, nil
}

// after is where a page of seats beyond the limit ends.
type after struct {
	Started time.Time
	Seat    uuid.UUID
}

// ListSeatOverdraft pages through the seats beyond the limit.
func (s *Server) ListSeatOverdraft(ctx context.Context, req *licensingv1.ListSeatOverdraftRequest) (*licensingv1.ListSeatOverdraftResponse, error) {
	l, err := s.licence(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	var from after
	page, err := s.deps.Pages.Start(licensingv1.SeatReportService_ListSeatOverdraft_FullMethodName, req, &from)
	if err != nil {
		return nil, err
	}
	rows, err := s.overdraft(ctx, l.ID, req.GetPeriod(), from, page.Limit())
	if err != nil {
		return nil, err
	}
	rows, token, err := paging.Finish(page, rows, func(r reportdb.ListOverdraftRow) any { return after{r.Started, r.Seat} })
	if err != nil {
		return nil, err
	}
	out := &licensingv1.ListSeatOverdraftResponse{NextPageToken: token}
	for _, r := range rows {
		m := &licensingv1.SeatOverdraft{
			Seat: req.GetParent() + "/seats/" + r.Seat.String(), Account: licence.AccountName(r.Account), Period: r.Period,
			StartTime: timestamppb.New(r.Started),
		}
		if ended(r) {
			m.EndTime = timestamppb.New(r.Ended)
		}
		out.Overdraft = append(out.Overdraft, m)
	}
	out.Peak, err = s.peak(ctx, l.ID, req.GetPeriod())
	return out, err
}

func (s *Server) overdraft(ctx context.Context, of uuid.UUID, period string, from after, most int32) ([]reportdb.ListOverdraftRow, error) {
	rows, err := reportdb.New(s.deps.Maker.DB).ListOverdraft(ctx, reportdb.ListOverdraftParams{
		Licence: of, Period: period, After: from.Started, AfterSeat: from.Seat, Most: most,
	})
	return rows, translate(err)
}

// ended says whether a seat beyond the limit is held no longer; the query gives the epoch while it is.
func ended(r reportdb.ListOverdraftRow) bool { return r.Ended.Unix() > 0 }

// peak is the most seats beyond the limit at one instant of a period.
func (s *Server) peak(ctx context.Context, of uuid.UUID, period string) (int32, error) {
	var spans []Span
	for from := (after{}); ; {
		rows, err := s.overdraft(ctx, of, period, from, portion)
		if err != nil {
			return 0, err
		}
		for _, r := range rows {
			end := r.Ended
			if !ended(r) {
				end = s.deps.Maker.Real.Now().AddDate(1, 0, 0)
			}
			spans, from = append(spans, Span{r.Started, end}), after{r.Started, r.Seat}
		}
		if len(rows) < portion {
			return atOnce(spans), nil
		}
	}
}
