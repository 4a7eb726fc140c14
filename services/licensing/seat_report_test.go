package licensing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

func TestUseIsReportedFromWhatHappened(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	c.agree(l, 1, 60)
	company := c.name + "/companies/" + id.NewString()
	works, waits := c.worker(company), c.worker(company)
	works.claims()
	_, err := waits.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEATS_EXHAUSTED)
	reports := licensingv1.NewSeatReportServiceClient(b.As(works.account))
	now := time.Now()
	ask := &licensingv1.ListSeatUsageRequest{
		Parent: l.GetName(), StartTime: timestamppb.New(now.Add(-3 * time.Hour)), EndTime: timestamppb.New(now.Add(time.Minute)), PageSize: 2,
	}
	var last *licensingv1.SeatUsage
	servicetest.Eventually(t, "the refusal is counted", func() bool {
		hours, pages := 0, 0
		for ask.PageToken = ""; ; {
			page, err := reports.ListSeatUsage(t.Context(), ask)
			require.NoError(t, err)
			hours, pages = hours+len(page.GetHours()), pages+1
			if ask.PageToken = page.GetNextPageToken(); ask.PageToken == "" {
				last = page.GetHours()[len(page.GetHours())-1]
				break
			}
		}
		require.InDelta(t, 4, hours, 1)
		require.Greater(t, pages, 1)
		return last.GetRefusals() == 1
	})
	require.EqualValues(t, 1, last.GetPeak())
	require.EqualValues(t, 1, last.GetLimit())
	require.EqualValues(t, 1, last.GetClaims())
	require.EqualValues(t, 1, last.GetRefusedPeople())
	require.False(t, last.GetGap())

	advice, err := reports.GetSeatAdvice(t.Context(), &licensingv1.GetSeatAdviceRequest{Parent: l.GetName()})
	require.NoError(t, err)
	require.Equal(t, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN, advice.GetCode())
	require.NotEmpty(t, advice.GetText())
	statement := func(day time.Time) error {
		_, err := reports.GetSeatStatement(t.Context(), &licensingv1.GetSeatStatementRequest{Name: l.GetName() + "/seatStatements/" + day.Format(time.DateOnly)})
		return err
	}
	servicetest.WantReason(t, statement(now.AddDate(0, 0, 1)), commonv1.Reason_REASON_SEAT_DAY_OPEN)
	servicetest.WantReason(t, statement(now.AddDate(0, 0, -3)), commonv1.Reason_REASON_NOT_FOUND)
	list, err := reports.ListSeatStatements(t.Context(), &licensingv1.ListSeatStatementsRequest{Parent: l.GetName()})
	require.NoError(t, err)
	require.Empty(t, list.GetStatements())
	overdraft, err := reports.ListSeatOverdraft(t.Context(), &licensingv1.ListSeatOverdraftRequest{Parent: l.GetName(), Period: "2026-11"})
	require.NoError(t, err)
	require.Empty(t, overdraft.GetOverdraft())
}

func TestReportsAreRefusedToOthersAndForNonsense(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	reports := licensingv1.NewSeatReportServiceClient(b.As(w.account))
	now := time.Now()
	usage := func(parent string, from, until time.Time) error {
		_, err := reports.ListSeatUsage(t.Context(), &licensingv1.ListSeatUsageRequest{
			Parent: parent, StartTime: timestamppb.New(from), EndTime: timestamppb.New(until),
		})
		return err
	}
	servicetest.WantReason(t, usage(l.GetName(), now, now.Add(-time.Hour)), commonv1.Reason_REASON_INVALID_ARGUMENT)
	servicetest.WantReason(t, usage(l.GetName(), now.AddDate(0, 0, -94), now), commonv1.Reason_REASON_INVALID_ARGUMENT)
	require.NoError(t, usage(l.GetName(), now.AddDate(0, 0, -92), now))
	_, err := reports.ListSeatUsage(t.Context(), &licensingv1.ListSeatUsageRequest{
		Parent: l.GetName(), StartTime: &timestamppb.Timestamp{Seconds: 1 << 60}, EndTime: &timestamppb.Timestamp{Seconds: 1<<60 + 1},
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	servicetest.WantReason(t, usage(c.name+"/licences/"+id.NewString(), now.Add(-time.Hour), now), commonv1.Reason_REASON_NOT_FOUND)

	// Somebody else's reader, with the name of this licence beneath their own subscriber.
	other := b.customer("LV")
	stranger := b.NewAccount(id.NewString() + "@testapiemers.lv")
	b.Access.Grant(stranger, other.name, authv1.Permission_PERMISSION_SEATS_READ)
	reports = licensingv1.NewSeatReportServiceClient(b.As(stranger))
	servicetest.WantReason(t, usage(l.GetName(), now.Add(-time.Hour), now), commonv1.Reason_REASON_PERMISSION_DENIED)
	tail := l.GetName()[len(c.name):]
	servicetest.WantReason(t, usage(other.name+tail, now.Add(-time.Hour), now), commonv1.Reason_REASON_NOT_FOUND)
	_, err = reports.GetSeatStatement(t.Context(), &licensingv1.GetSeatStatementRequest{Name: other.name + tail + "/seatStatements/nonsense"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = reports.ListSeatOverdraft(t.Context(), &licensingv1.ListSeatOverdraftRequest{Parent: other.name + tail, Period: "2026-13"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
}
