package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// agreed is staff's hand on a licence.
type agreed struct {
	licences licensingv1.LicenceServiceClient
	name     string
}

// staffOf makes somebody the first of the vendor's staff, for the one licence of a subscriber.
func staffOf(t *testing.T, s *harness.Suite, subscriber string) agreed {
	t.Helper()
	p := s.NewPerson(t, "Atbalsts")
	session := signedIn(t, p, library(t, p.Client))
	_, err := tenancyv1.NewStaffServiceClient(session.Conn()).ClaimFirstStaff(t.Context(), &tenancyv1.ClaimFirstStaffRequest{Token: s.State().FirstStaffToken})
	must(t, err)
	a := agreed{licences: licensingv1.NewLicenceServiceClient(session.Conn())}
	found, err := a.licences.ListLicences(t.Context(), &licensingv1.ListLicencesRequest{Parent: subscriber})
	must(t, err)
	a.name = found.GetLicences()[0].GetName()
	return a
}

// seats agrees on how many there are, and for how long a lease is.
func (a agreed) seats(t *testing.T, all, inCompany, lease int32) {
	t.Helper()
	_, err := a.licences.UpdateLicence(t.Context(), &licensingv1.UpdateLicenceRequest{
		Licence:    &licensingv1.Licence{Name: a.name, Limits: &licensingv1.Limits{Seats: all, SeatsPerCompany: inCompany, LeaseSeconds: lease}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"limits.seats", "limits.seats_per_company", "limits.lease_seconds"}}, Reason: "Agreed by telephone.",
	})
	must(t, err)
}

// H11, J7, J-beyond: a company has its own limit, an agreement acts at once, a seat is handed over; and when the store of
// seats is lost nobody is thrown out, nobody gets a seat too many, and the report shows the gap.
func TestSeatsOutliveTheirStore(t *testing.T) {
	t.Parallel()
	suite := harness.Start(t, harness.Options{})
	p, kontor, company := trading(t, suite, "Zuduma Pārcietēja")
	staff := staffOf(t, suite, parentOf(company))
	staff.seats(t, 5, 2, 10)
	s := seatsOf{signedIn(t, p, kontor), client.SeatRequest{Subscriber: parentOf(company), Company: company, Product: "books"}}
	held, taken := s.fill(t)
	if len(held) != 2 || !taken.InCompany || taken.Limit != 2 {
		t.Fatalf("%d are held: %+v", len(held), taken)
	}
	staff.seats(t, 3, 3, 10)
	third, err := s.HoldSeat(t.Context(), s.on("third"))
	must(t, err)
	if _, err := held[1].Transfer(t.Context(), s.Account()); err != nil {
		t.Fatal(err)
	}
	handed, err := s.HoldSeat(t.Context(), s.on("handed over"))
	must(t, err)
	books, err := s.OpenCompany(t.Context(), client.OpenRequest{Company: company, DataArea: "books", Seat: handed})
	must(t, err)
	working := []*client.Seat{held[0], third, handed}

	must(t, suite.Store(t.Context(), "redis", harness.Restart))
	for _, seat := range working {
		eventually(t, 10*time.Second, "the seat is held on", func() bool { return seat.Check(t.Context()) == nil })
	}
	if !reads(t.Context(), books) {
		t.Error("the books were closed")
	}
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := s.HoldSeat(soon, s.on("fourth")); err == nil {
		t.Error("a seat too many was given")
	}
	if _, err := s.HoldSeat(t.Context(), s.on("fourth")); !isTaken(err) { // It waits until the seats are counted.
		t.Errorf("after the recovery: %v", err)
	}
	for _, seat := range working {
		must(t, seat.Check(t.Context()))
	}
	now := time.Now()
	eventually(t, 10*time.Second, "the gap is in the report", func() bool {
		usage, err := licensingv1.NewSeatReportServiceClient(s.Conn()).ListSeatUsage(t.Context(), &licensingv1.ListSeatUsageRequest{
			Parent: staff.name, StartTime: timestamppb.New(now.Add(-time.Minute)), EndTime: timestamppb.New(now.Add(time.Minute)),
		})
		must(t, err)
		for _, hour := range usage.GetHours() {
			if hour.GetGap() && hour.GetPeak() == 3 {
				return true
			}
		}
		return false
	})
	must(t, books.Close(t.Context()))
	for _, seat := range working {
		must(t, seat.Close(t.Context()))
	}
}

func isTaken(err error) bool {
	_, taken := errors.AsType[*client.SeatsTakenError](err)
	return taken
}
