package e2e

import (
	"testing"
	"time"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// library is the client library at somebody's device.
func library(t *testing.T, c *harness.Client) *client.Client {
	t.Helper()
	kontor, err := c.Library()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kontor.Close(); err != nil {
			t.Error(err)
		}
	})
	return kontor
}

func credentials(p *harness.Person) client.Credentials {
	return client.Credentials{Identifier: p.Email, Password: harness.Password, Device: "Test PC"}
}

func TestAProgramSignsInStaysSignedInAndResumes(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy")
	p := s.NewPerson(t, "Programmas Lietotāja")
	subscriberOf(t, p)
	kontor := library(t, p.Client)

	_, err := kontor.SignIn(t.Context(), client.Credentials{Identifier: p.Email, Password: "Wrong-1-password"})
	if client.Reason(err) != "SIGN_IN_REFUSED" {
		t.Errorf("a wrong password: %v", err)
	}
	session, err := kontor.SignIn(t.Context(), credentials(p))
	if err != nil {
		t.Fatal(err)
	}
	if session.Account() != p.Account.GetName() {
		t.Errorf("signed in as %s", session.Account())
	}
	session.Close()
	session, err = kontor.Resume(t.Context(), session.RefreshToken())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := tenancyv1.NewSubscriberServiceClient(session.Conn()).ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
	if err != nil || len(mine.GetMemberships()) != 1 {
		t.Errorf("the resumed session sees %v, %v", mine, err)
	}
	if err := session.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := kontor.Resume(t.Context(), session.RefreshToken()); err == nil {
		t.Error("a session that was signed out was resumed")
	}
}

func TestASessionThatIsRevokedElsewhereEndsInTheProgram(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Atsauktā Sesija")
	session, err := library(t, p.Client).SignIn(t.Context(), credentials(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	if err := p.Post(t.Context(), "/v1/"+session.Name()+":revoke", struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the session ends", func() bool {
		_, err := tenancyv1.NewSubscriberServiceClient(session.Conn()).ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
		return err != nil
	})
	if session.Err() == nil || client.Reason(session.Err()) != "SESSION_REVOKED" {
		t.Errorf("it ended with %v", session.Err())
	}
}

// trading is somebody with an empty company for trade.
func trading(t *testing.T, s *harness.Suite, name string) (*harness.Person, *client.Client, string) {
	t.Helper()
	s.Needs(t, "tenancy", "licensing")
	p := s.NewPerson(t, name)
	subscriber, err := p.StartTrial(t.Context(), "SIA "+name)
	if err != nil {
		t.Fatal(err)
	}
	kontor := library(t, p.Client)
	session, err := kontor.SignIn(t.Context(), credentials(p))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	made, err := tenancyv1.NewCompanyServiceClient(session.Conn()).CreateCompany(t.Context(), &tenancyv1.CreateCompanyRequest{
		Parent: subscriber, Title: "SIA " + name, TaxNumber: "LV40003000123", Activity: "trade", RequestId: client.RequestID(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Wait(t.Context(), made.GetOperation().GetName(), nil); err != nil {
		t.Fatal(err)
	}
	return p, kontor, made.GetCompany().GetName()
}

func TestAnAccountingProgramWorksInItsCompanyFromOpeningToClosing(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Grāmatvede")
	day := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	program, err := bookkeeper.Open(t.Context(), kontor, bookkeeper.Start{Credentials: credentials(p), Company: company, Device: "pc-1"})
	if err != nil {
		t.Fatal(err)
	}
	if made, err := program.EnsureYear(t.Context(), day); err != nil || !made {
		t.Fatal(made, err)
	}
	for n := range 3 {
		if _, err := program.WriteVoucher(t.Context(), bookkeeper.SampleVoucher(n, day)); err != nil {
			t.Fatal(err)
		}
	}
	issued, err := program.IssueInvoice(t.Context(), bookkeeper.SampleSale(0, day, bookkeeper.Partner{TaxNumber: "LV40003000456", Name: "Egle SIA"}))
	if err != nil || issued.Document != "S-2026-000001" {
		t.Fatal(issued, err)
	}
	if err := program.Company.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := program.Count(t.Context())
	if want := (bookkeeper.Counts{Vouchers: 3, Sales: 1}); err != nil || got != want {
		t.Errorf("after opening again the books hold %+v, %v", got, err)
	}
	pool := program.Company.Pool()
	if err := program.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pool.Ping(t.Context()); err == nil {
		t.Error("the database answers after closing")
	}
}

func TestAProgramWhoseSeatIsTakenLosesItsDatabaseConnections(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Divas Vietas")
	start := bookkeeper.Start{Credentials: credentials(p), Company: company, Device: "pc-1"}
	program, err := bookkeeper.Open(t.Context(), kontor, start)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Post(t.Context(), "/v1/"+program.Seat.Name()+":take", map[string]int{"graceSeconds": 0}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ended error
	eventually(t, 5*time.Second, "the database ends the connection", func() bool {
		ended = program.Company.Pool().Ping(t.Context())
		return ended != nil
	})
	if !client.SessionEnded(ended) {
		t.Errorf("it ended with %v", ended)
	}
	if _, err := program.Count(t.Context()); err == nil {
		t.Error("the program still reads")
	}
	<-program.Seat.Lost()
	if client.Reason(program.Seat.Err()) != "SEAT_LOST" {
		t.Errorf("the program was told %v", program.Seat.Err())
	}
	if err := program.Close(t.Context()); err != nil {
		t.Error(err)
	}
	again, err := bookkeeper.Open(t.Context(), kontor, start)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
