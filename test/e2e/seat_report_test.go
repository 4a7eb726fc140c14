package e2e

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// What happens to seats is in the reports of their owner within seconds, asked through the gateway.
func TestTheOwnerSeesHowManySeatsWereUsed(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Atskaišu Lasītāja")
	session := signedIn(t, p, kontor)
	claimed, err := licensingv1.NewSeatServiceClient(session.Conn()).ClaimSeat(t.Context(), &licensingv1.ClaimSeatRequest{
		Parent: parentOf(company), Company: company, Product: "books", DeviceId: "pc-1",
	})
	must(t, err)
	of, _, _ := strings.Cut(claimed.GetSeat().GetName(), "/seats/")
	reports := licensingv1.NewSeatReportServiceClient(session.Conn())
	now := time.Now()
	eventually(t, 10*time.Second, "the seat is in the report", func() bool {
		usage, err := reports.ListSeatUsage(t.Context(), &licensingv1.ListSeatUsageRequest{
			Parent: of, StartTime: timestamppb.New(now.Add(-time.Minute)), EndTime: timestamppb.New(now.Add(time.Minute)),
		})
		must(t, err)
		for _, hour := range usage.GetHours() {
			if hour.GetPeak() >= 1 && hour.GetClaims() >= 1 && hour.GetLimit() > 0 {
				return true
			}
		}
		return false
	})
	advice, err := reports.GetSeatAdvice(t.Context(), &licensingv1.GetSeatAdviceRequest{Parent: of})
	must(t, err)
	if advice.GetText() == "" || advice.GetLimit() == 0 {
		t.Errorf("%v", advice)
	}
	_, err = reports.GetSeatStatement(t.Context(), &licensingv1.GetSeatStatementRequest{Name: of + "/seatStatements/" + now.AddDate(0, 0, 1).Format(time.DateOnly)})
	wantReason(t, err, "SEAT_DAY_OPEN")
}
