package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/client"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// signedIn is somebody's program, signed in for the test.
func signedIn(t *testing.T, p *harness.Person, kontor *client.Client) *client.Session {
	t.Helper()
	session, err := kontor.SignIn(t.Context(), credentials(p))
	must(t, err)
	t.Cleanup(session.Close)
	return session
}

func parentOf(company string) string {
	subscriber, _, _ := strings.Cut(company, "/companies/")
	return subscriber
}

func addCompany(t *testing.T, conn grpc.ClientConnInterface, subscriber, title string) (*tenancyv1.CreateCompanyResponse, error) {
	t.Helper()
	return tenancyv1.NewCompanyServiceClient(conn).CreateCompany(t.Context(), &tenancyv1.CreateCompanyRequest{
		Parent: subscriber, Title: title, TaxNumber: exchangedTax, RequestId: client.RequestID(),
	})
}

// J9: where there are several companies, one picks the one to work in, and the session keeps to it.
func TestOnePicksTheCompanyToWorkIn(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Izvēlētāja")
	session := signedIn(t, p, kontor)
	must(t, session.ChooseCompany(t.Context(), company))
	_, _, foreign := trading(t, s, "Cita")
	if err := session.ChooseCompany(t.Context(), foreign); err == nil {
		t.Error("a foreign company was chosen")
	}
	listed, err := tenancyv1.NewCompanyServiceClient(session.Conn()).ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: parentOf(company)})
	must(t, err)
	if len(listed.GetCompanies()) != 1 || listed.GetCompanies()[0].GetName() != company {
		t.Error(listed)
	}
}

// H11: three companies, and no fourth without an agreement.
func TestAFourthCompanyNeedsAnAgreement(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Trīs Uzņēmumi")
	session := signedIn(t, p, kontor)
	for n := range 2 {
		made, err := addCompany(t, session.Conn(), parentOf(company), fmt.Sprintf("SIA %d", n))
		must(t, err)
		_, err = session.Wait(t.Context(), made.GetOperation().GetName(), nil)
		must(t, err)
	}
	_, err := addCompany(t, session.Conn(), parentOf(company), "SIA par daudz")
	wantReason(t, err, "RIGHT_MISSING")
}

// J5: a second data area beside the books.
func TestPayrollIsAddedBesideTheBooks(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Algu Grāmatvede")
	session := signedIn(t, p, kontor)
	added, err := tenancyv1.NewCompanyServiceClient(session.Conn()).AddDataArea(t.Context(), &tenancyv1.AddDataAreaRequest{
		Name: company, Product: "payroll", RequestId: client.RequestID(),
	})
	if client.Reason(err) == "RIGHT_MISSING" {
		t.Skip("the trial's plan has no payroll:", err)
	}
	must(t, err)
	done, err := session.Wait(t.Context(), added.GetOperation().GetName(), nil)
	must(t, err)
	var after tenancyv1.Company
	must(t, client.Result(done, &after))
	if areas := after.GetDataAreas(); len(areas) != 2 || areas[1].GetArea() != "payroll" {
		t.Error(areas)
	}
}

// H8: rights differ by company; one sees only where one has some, and is told whom to ask for more.
func TestRightsDifferByCompany(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Divu Uzņēmumu Īpašniece")
	session := signedIn(t, p, kontor)
	second, err := addCompany(t, session.Conn(), parentOf(company), "SIA Otrais")
	must(t, err)
	_, err = session.Wait(t.Context(), second.GetOperation().GetName(), nil)
	must(t, err)
	clerk := s.NewPerson(t, "Lietvede")
	members := tenancyv1.NewMemberServiceClient(session.Conn())
	member, err := members.CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: parentOf(company), Email: clerk.Email, RequestId: client.RequestID(),
		Member: &tenancyv1.Member{Access: true, CompanyRoles: []*tenancyv1.CompanyRoles{{Company: company, Roles: []string{"accountant"}}}},
	})
	must(t, err)
	theirs := signedIn(t, clerk, library(t, clerk.Client))
	seen := func() []string {
		list, err := tenancyv1.NewCompanyServiceClient(theirs.Conn()).ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: parentOf(company)})
		must(t, err)
		var names []string
		for _, c := range list.GetCompanies() {
			names = append(names, c.GetName())
		}
		return names
	}
	if got := seen(); !slices.Equal(got, []string{company}) {
		t.Errorf("sees %v", got)
	}
	_, err = tenancyv1.NewCompanyServiceClient(theirs.Conn()).GetCompany(t.Context(), &tenancyv1.GetCompanyRequest{Name: second.GetCompany().GetName()})
	wantReason(t, err, "PERMISSION_DENIED")
	if !strings.Contains(fmt.Sprint(err), "Īpašniece") {
		t.Errorf("nobody to ask is named: %v", err)
	}
	_, err = members.UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
		Member: &tenancyv1.Member{Name: member.GetMember().GetName(), CompanyRoles: []*tenancyv1.CompanyRoles{
			{Company: second.GetCompany().GetName(), Roles: []string{"viewer"}},
		}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"company_roles"}},
	})
	must(t, err)
	if got := seen(); !slices.Equal(got, []string{second.GetCompany().GetName()}) {
		t.Errorf("after the change sees %v", got)
	}
	_, err = members.ExcludeMember(t.Context(), &tenancyv1.ExcludeMemberRequest{Name: member.GetMember().GetName()})
	must(t, err)
	eventually(t, 2*time.Second, "an excluded member sees nothing", func() bool {
		_, err := tenancyv1.NewCompanyServiceClient(theirs.Conn()).ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: parentOf(company)})
		return client.Reason(err) == "NOT_FOUND"
	})
}

// X3: a long operation shows how far it is, and can be cancelled; what it began is undone.
func TestAnOperationThatIsCancelledLeavesNothing(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Atcēlēja")
	session := signedIn(t, p, kontor)
	made, err := addCompany(t, session.Conn(), parentOf(company), "SIA Atcelts")
	must(t, err)
	operations := commonv1.NewOperationServiceClient(session.Conn())
	_, err = operations.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: made.GetOperation().GetName()})
	must(t, err)
	var state tenancyv1.CompanyState
	eventually(t, 30*time.Second, "the company is there or gone", func() bool {
		got, err := tenancyv1.NewCompanyServiceClient(session.Conn()).GetCompany(t.Context(), &tenancyv1.GetCompanyRequest{Name: made.GetCompany().GetName()})
		must(t, err)
		state = got.GetCompany().GetState()
		return state != tenancyv1.CompanyState_COMPANY_STATE_CREATING
	})
	over, err := operations.GetOperation(t.Context(), &commonv1.GetOperationRequest{Name: made.GetOperation().GetName()})
	must(t, err)
	switch over.GetOperation().GetState() {
	case commonv1.Operation_STATE_CANCELLED:
		if state != tenancyv1.CompanyState_COMPANY_STATE_FAILED {
			t.Errorf("cancelled, and the company is %v", state)
		}
	case commonv1.Operation_STATE_SUCCEEDED: // The cancel came too late.
		if state != tenancyv1.CompanyState_COMPANY_STATE_READY {
			t.Errorf("succeeded, and the company is %v", state)
		}
	default:
		t.Errorf("it ended as %v", over.GetOperation())
	}
}

// J7: whoever looks after the seats sees who works.
func TestTheBoardShowsWhoWorks(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Darba Vietu Turētāja")
	session := signedIn(t, p, kontor)
	seat, err := session.HoldSeat(t.Context(), client.SeatRequest{
		Subscriber: parentOf(company), Company: company, Product: "books", DeviceID: "pc-1", DeviceTitle: "Kase",
	})
	must(t, err)
	licence, _, _ := strings.Cut(seat.Name(), "/seats/")
	seats := licensingv1.NewSeatServiceClient(session.Conn())
	board, err := seats.WatchSeats(t.Context(), &licensingv1.WatchSeatsRequest{Parent: licence})
	must(t, err)
	first, err := board.Recv()
	must(t, err)
	if first.GetHeld() != 1 || first.GetSeats()[0].GetDeviceTitle() != "Kase" || first.GetSeats()[0].GetAccountTitle() != "Darba Vietu Turētāja" {
		t.Error(first)
	}
	must(t, seat.Close(t.Context()))
	for held := int32(1); held != 0; {
		next, err := board.Recv()
		must(t, err)
		held = next.GetHeld()
	}
	list, err := seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: licence})
	must(t, err)
	if list.GetHeld() != 0 || list.GetLimit() == 0 {
		t.Error(list)
	}
}
