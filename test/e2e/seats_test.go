package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"kontor.internal/client"
	"kontor.internal/client/travelseat"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// J-beyond: a seat for travel is checked with nothing but the file, the published keys, and the device.
func TestASeatForTravelIsGoodWithoutANetwork(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Ceļojumu Grāmatvede")
	session := signedIn(t, p, kontor)
	travels := licensingv1.NewTravelSeatServiceClient(session.Conn())
	r := &licensingv1.CreateTravelSeatRequest{
		Parent: parentOf(company), Company: company, Product: "books", DeviceId: "laptop-7", DeviceTitle: "Portatīvais", Days: 3,
		RequestId: uuid.NewString(),
	}
	var file []byte
	twice(t, func() (string, error) {
		made, err := travels.CreateTravelSeat(t.Context(), r)
		file = made.GetFile()
		return made.GetTravelSeat().GetName(), err
	})
	published, err := licensingv1.NewKeyServiceClient(session.Conn()).GetJwks(t.Context(), &licensingv1.GetJwksRequest{})
	must(t, err)
	keys, err := travelseat.ParseKeys(published.GetJwks())
	must(t, err)
	now := time.Now()
	seat, err := travelseat.Check(file, keys, "laptop-7", now, now)
	must(t, err)
	if seat.Company != company || seat.Product != "books" || seat.Slot != 1 || seat.Expire.Sub(now) < 71*time.Hour {
		t.Errorf("%+v", seat)
	}
	if _, err := travelseat.Check(file, keys, "another", now, now); !errors.Is(err, travelseat.ErrOtherDevice) {
		t.Error(err)
	}
	if _, err := travelseat.Check(file, keys, "laptop-7", now.AddDate(0, 0, 4), now); !errors.Is(err, travelseat.ErrOver) {
		t.Error(err)
	}
	_, err = travels.ReturnTravelSeat(t.Context(), &licensingv1.ReturnTravelSeatRequest{Name: seat.Name})
	must(t, err)
}

// J7: a seat on a stream through the gateway is free at once when the program closes it, and its books with it.
func TestASeatHeldOverAStreamIsFreeWhenTheStreamIsClosed(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, company := trading(t, s, "Straumes Turētāja")
	session := signedIn(t, p, kontor)
	seats := licensingv1.NewSeatServiceClient(session.Conn())
	claimed, err := seats.ClaimSeat(t.Context(), &licensingv1.ClaimSeatRequest{
		Parent: parentOf(company), Company: company, Product: "books", DeviceId: "pc-1",
	})
	must(t, err)
	stream, err := seats.HoldSeats(t.Context())
	must(t, err)
	must(t, stream.Send(&licensingv1.HoldSeatsRequest{Parent: parentOf(company), Holds: []*licensingv1.SeatHold{
		{Number: 1, Seat: &licensingv1.RenewSeatRequest{Name: claimed.GetSeat().GetName(), Token: claimed.GetToken()}},
	}}))
	answer, err := stream.Recv()
	must(t, err)
	if !answer.GetAnswer() || !answer.GetRenewals()[0].GetHeld() || answer.GetRenewals()[0].GetStamp() == "" {
		t.Fatal(answer)
	}
	_, err = seats.AskForSeat(t.Context(), &licensingv1.AskForSeatRequest{Name: claimed.GetSeat().GetName(), Text: "Vai drīkst?"})
	must(t, err)
	news, err := stream.Recv()
	must(t, err)
	if news.GetAnswer() || news.GetRenewals()[0].GetPleas()[0].GetText() != "Vai drīkst?" {
		t.Error(news)
	}
	must(t, stream.CloseSend())
	_, err = stream.Recv()
	if err == nil {
		t.Error("the stream goes on")
	}
	list, err := seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: nameOfLicence(claimed.GetSeat().GetName())})
	must(t, err)
	if list.GetHeld() != 0 {
		t.Error(list)
	}
}

// J7: whoever works in two companies at once takes one seat, and leaving one of them keeps the other open.
func TestWorkInTwoCompaniesTakesOneSeat(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, kontor, first := trading(t, s, "Divu Uzņēmumu Grāmatvede")
	session := signedIn(t, p, kontor)
	made, err := addCompany(t, session.Conn(), parentOf(first), "Otrais Uzņēmums")
	must(t, err)
	_, err = session.Wait(t.Context(), made.GetOperation().GetName(), nil)
	must(t, err)
	second := made.GetCompany().GetName()
	hold := func(company string) (*client.Seat, *client.Company) {
		seat, err := session.HoldSeat(t.Context(), client.SeatRequest{
			Subscriber: parentOf(company), Company: company, Product: "books", DeviceID: "pc-1",
		})
		must(t, err)
		books, err := session.OpenCompany(t.Context(), client.OpenRequest{Company: company, DataArea: "books", Seat: seat})
		must(t, err)
		return seat, books
	}
	one, books := hold(first)
	other, otherBooks := hold(second)
	if one.Name() != other.Name() {
		t.Errorf("two seats: %s and %s", one.Name(), other.Name())
	}
	defer func() { must(t, otherBooks.Close(context.Background())) }()
	must(t, one.Close(t.Context()))
	eventually(t, 5*time.Second, "the first company's connection has ended", func() bool { return !reads(t.Context(), books) })
	if !reads(t.Context(), otherBooks) {
		t.Error("the second company's connection has ended too")
	}
	must(t, other.Close(t.Context()))
}

func nameOfLicence(seat string) string { return seat[:len(seat)-len("/seats/")-36] }

// reads says whether a company's books can be read.
func reads(ctx context.Context, books *client.Company) bool {
	return books.Pool().Ping(ctx) == nil
}
