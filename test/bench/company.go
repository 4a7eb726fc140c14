package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

const (
	// companies are made one after another.
	companies = 8
	// openings are tried one after another.
	openings = 120
	// wideLease is longer than any measurement, so that nothing is renewed.
	wideLease = 600
)

// Customer is a subscriber with room for what is measured, and its owner.
type Customer struct {
	owner      *harness.Person
	staff      *harness.Person
	conn       *grpc.ClientConn
	subscriber string
	licence    string
	company    string
}

// NewCustomer signs a customer up and has staff agree on more companies and seats than a trial has.
func NewCustomer(ctx context.Context, suite *harness.Suite) (*Customer, error) {
	owner, err := suite.SignUp(ctx, "Measured Owner")
	if err != nil {
		return nil, err
	}
	c := &Customer{owner: owner}
	if c.subscriber, err = owner.StartTrial(ctx, "SIA Measured"); err != nil {
		return nil, err
	}
	if c.conn, err = owner.GRPC(); err != nil {
		return nil, err
	}
	return c, c.widen(ctx, suite)
}

// Close ends the customer's connection.
func (c *Customer) Close() error { return c.conn.Close() }

func (c *Customer) widen(ctx context.Context, suite *harness.Suite) error {
	listed, err := licensingv1.NewLicenceServiceClient(c.conn).ListLicences(ctx, &licensingv1.ListLicencesRequest{Parent: c.subscriber})
	if err != nil {
		return err
	}
	c.licence = listed.GetLicences()[0].GetName()
	staff, err := suite.SignUp(ctx, "Measured Staff")
	if err != nil {
		return err
	}
	c.staff = staff
	conn, err := staff.GRPC()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = tenancyv1.NewStaffServiceClient(conn).ClaimFirstStaff(ctx, &tenancyv1.ClaimFirstStaffRequest{Token: suite.State().FirstStaffToken})
	if err != nil {
		return err
	}
	_, err = licensingv1.NewLicenceServiceClient(conn).UpdateLicence(ctx, &licensingv1.UpdateLicenceRequest{
		Licence: &licensingv1.Licence{Name: c.licence, Limits: &licensingv1.Limits{
			Seats: 2 * manyClaimers, SeatsPerCompany: 2 * manyClaimers, Companies: 2 * companies, LeaseSeconds: wideLease,
		}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"limits.seats", "limits.seats_per_company", "limits.companies", "limits.lease_seconds"}},
		Reason:     "To be measured.",
	})
	return err
}

// Create measures the making of companies, from the request to the company that can be opened.
func (c *Customer) Create(ctx context.Context, out io.Writer) error {
	var took []time.Duration
	for n := range companies {
		began := time.Now()
		made, err := tenancyv1.NewCompanyServiceClient(c.conn).CreateCompany(ctx, newCompany(c.subscriber, fmt.Sprintf("SIA %d", n)))
		if err != nil {
			return err
		}
		c.company = made.GetCompany().GetName()
		err = harness.Poll(ctx, func() (bool, error) {
			got, err := tenancyv1.NewCompanyServiceClient(c.conn).GetCompany(ctx, &tenancyv1.GetCompanyRequest{Name: c.company})
			if got.GetCompany().GetState() == tenancyv1.CompanyState_COMPANY_STATE_FAILED {
				err = errors.New("the company could not be made: " + got.GetCompany().GetFailureReason())
			}
			return got.GetCompany().GetState() == tenancyv1.CompanyState_COMPANY_STATE_READY, err
		})
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	p50, p99 := middle(took)
	Figure{Name: "company_create", Value: p50.Seconds(), Unit: "s", P50: p50, P99: p99, Goal: "<=1.5"}.Print(out)
	return nil
}

func newCompany(subscriber, title string) *tenancyv1.CreateCompanyRequest {
	return &tenancyv1.CreateCompanyRequest{
		Parent: subscriber, Title: title, TaxNumber: "LV40003000123", Activity: "trade", RequestId: client.RequestID(),
	}
}

// Open measures opening a company through the gateway: a seat and a database login.
func (c *Customer) Open(ctx context.Context, out io.Writer) error {
	seats, doors := licensingv1.NewSeatServiceClient(c.conn), tenancyv1.NewOpeningServiceClient(c.conn)
	var both, role []time.Duration
	for range openings {
		began := time.Now()
		seat, err := seats.ClaimSeat(ctx, c.claim("opens"))
		if err != nil {
			return err
		}
		claimed := time.Now()
		opened, err := doors.OpenCompany(ctx, &tenancyv1.OpenCompanyRequest{Name: c.company, DataArea: "books", SeatToken: seat.GetToken()})
		if err != nil {
			return err
		}
		both, role = append(both, time.Since(began)), append(role, time.Since(claimed))
		_, closed := doors.CloseSession(ctx, &tenancyv1.CloseSessionRequest{Name: opened.GetSession().GetName()})
		_, released := seats.ReleaseSeat(ctx, &licensingv1.ReleaseSeatRequest{Name: seat.GetSeat().GetName(), Token: seat.GetToken()})
		if err := errors.Join(closed, released); err != nil {
			return err
		}
	}
	p50, p99 := middle(both)
	Figure{Name: "company_open", Value: float64(time.Second) / float64(p50), Unit: "req/s", P50: p50, P99: p99, Goal: "p50_ms<=25"}.Print(out)
	p50, p99 = middle(role)
	Figure{Name: "company_open_login", Value: float64(time.Second) / float64(p50), Unit: "req/s", P50: p50, P99: p99}.Print(out)
	return nil
}

func (c *Customer) claim(device string) *licensingv1.ClaimSeatRequest {
	return &licensingv1.ClaimSeatRequest{Parent: c.subscriber, Company: c.company, Product: "books", DeviceId: device, DeviceTitle: "Measured"}
}

func middle(took []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}
