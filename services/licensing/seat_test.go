package licensing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// worker is a member who may work.
type worker struct {
	*customer
	email   string
	account string
	company string
	seats   licensingv1.SeatServiceClient
}

func (c *customer) worker(company string) *worker {
	c.t.Helper()
	w := &worker{customer: c, email: id.NewString() + "@testapiemers.lv", company: company}
	w.account = c.NewAccount(w.email)
	c.Access.Grant(w.account, c.name, authv1.Permission_PERMISSION_SEATS_CLAIM, authv1.Permission_PERMISSION_COMPANIES_OPEN, authv1.Permission_PERMISSION_SEATS_READ)
	w.seats = licensingv1.NewSeatServiceClient(c.As(w.account))
	return w
}

func (w *worker) ask() (*licensingv1.ClaimSeatResponse, error) {
	return w.seats.ClaimSeat(w.t.Context(), &licensingv1.ClaimSeatRequest{
		Parent: w.name, Company: w.company, Product: "books", DeviceId: "device-" + w.account, DeviceTitle: "Laptop",
	})
}

func (w *worker) claims() *licensingv1.ClaimSeatResponse {
	w.t.Helper()
	answer, err := w.ask()
	require.NoError(w.t, err)
	return answer
}

func (w *worker) states(seats ...string) []*licensingv1.SeatState {
	w.t.Helper()
	answer, err := w.rights.BatchGetSeatStates(w.t.Context(), &licensingv1.BatchGetSeatStatesRequest{Seats: seats})
	require.NoError(w.t, err)
	return answer.GetStates()
}

// agree has staff agree on a number of seats.
func (c *customer) agree(l *licensingv1.Licence, seats, lease int32) {
	c.t.Helper()
	_, err := c.staff().UpdateLicence(c.t.Context(), &licensingv1.UpdateLicenceRequest{
		Licence:    &licensingv1.Licence{Name: l.GetName(), Limits: &licensingv1.Limits{Seats: seats, LeaseSeconds: lease}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"limits.seats", "limits.lease_seconds"}}, Reason: "agreed",
	})
	require.NoError(c.t, err)
}

func TestSeatsAreClaimedRenewedAndReleased(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	heard := b.Events("kontor.licensing.seat.>")
	got := w.claims()
	require.NotEmpty(t, got.GetToken())
	require.Equal(t, l.GetLimits().GetLeaseSeconds(), got.GetLeaseSeconds())
	require.Contains(t, got.GetSeat().GetName(), l.GetName()+"/seats/")
	require.Equal(t, got.GetSeat().GetName(), w.claims().GetSeat().GetName(), "claiming again takes no second one")
	require.Equal(t, got.GetSeat().GetName(), changed(t, heard, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_CLAIMED).GetSeat())

	renewed, err := w.seats.RenewSeat(t.Context(), &licensingv1.RenewSeatRequest{Name: got.GetSeat().GetName(), Token: got.GetToken()})
	require.NoError(t, err)
	state := w.states(renewed.GetSeat().GetName(), l.GetName()+"/seats/"+id.NewString(), "nonsense")
	require.Equal(t, []bool{true, false, false}, []bool{state[0].GetHeld(), state[1].GetHeld(), state[2].GetHeld()})
	require.True(t, renewed.GetSeat().GetExpireTime().AsTime().Equal(state[0].GetExpireTime().AsTime()))

	for range 2 {
		_, err = w.seats.ReleaseSeat(t.Context(), &licensingv1.ReleaseSeatRequest{Name: got.GetSeat().GetName(), Token: renewed.GetToken()})
		require.NoError(t, err)
	}
	ended := changed(t, heard, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RELEASED)
	require.Equal(t, got.GetSeat().GetName(), ended.GetSeat())
	require.Equal(t, w.company, ended.GetCompany())
	_, err = w.seats.RenewSeat(t.Context(), &licensingv1.RenewSeatRequest{Name: got.GetSeat().GetName(), Token: got.GetToken()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_LOST)
	require.False(t, w.states(got.GetSeat().GetName())[0].GetHeld())
}

func TestARefusedClaimNamesHoldersAndALimitCountsAtOnce(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	c.agree(l, 2, 20)
	company := c.name + "/companies/" + id.NewString()
	first, second, third := c.worker(company), c.worker(company), c.worker(company)
	require.EqualValues(t, 20, first.claims().GetLeaseSeconds())
	second.claims()
	_, err := third.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEATS_EXHAUSTED)
	refusal := failure.From(err)
	require.Equal(t, "2", refusal.Meta("limit"))
	require.Equal(t, l.GetName(), refusal.Meta("licence"))
	for _, w := range []*worker{first, second} {
		require.Contains(t, refusal.Meta("holders"), w.email+" (Laptop, ")
	}
	c.agree(l, 3, 20)
	third.claims()
	board, err := third.seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: l.GetName(), PageSize: 2})
	require.NoError(t, err)
	require.Len(t, board.GetSeats(), 2)
	require.EqualValues(t, []int32{3, 3}, []int32{board.GetLimit(), board.GetHeld()})
	require.NotEmpty(t, board.GetSeats()[0].GetAccountTitle())
	rest, err := third.seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: l.GetName(), PageSize: 2, PageToken: board.GetNextPageToken()})
	require.NoError(t, err)
	require.Equal(t, third.account, rest.GetSeats()[0].GetAccount())
}

func TestSeatsAreNobodyElses(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	company := c.name + "/companies/" + id.NewString()
	mine, other := c.worker(company), c.worker(company)
	held := mine.claims()
	name, token := held.GetSeat().GetName(), held.GetToken()
	_, err := other.seats.RenewSeat(t.Context(), &licensingv1.RenewSeatRequest{Name: name, Token: token})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_TOKEN_WRONG)
	_, err = other.seats.ReleaseSeat(t.Context(), &licensingv1.ReleaseSeatRequest{Name: name, Token: token})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_TOKEN_WRONG)
	_, err = mine.seats.RenewSeat(t.Context(), &licensingv1.RenewSeatRequest{Name: name, Token: "x.y.z"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_TOKEN_WRONG)
	_, err = mine.seats.RenewSeat(t.Context(), &licensingv1.RenewSeatRequest{Name: l.GetName() + "/seats/" + id.NewString(), Token: token})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_TOKEN_WRONG)
	_, err = mine.seats.TakeSeat(t.Context(), &licensingv1.TakeSeatRequest{Name: name, GraceSeconds: new(int32)})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)

	foreign, _ := b.trial("LV")
	stranger := foreign.worker(foreign.name + "/companies/" + id.NewString())
	_, err = stranger.seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: l.GetName()})
	require.Error(t, err)
	stranger.company = company
	_, err = stranger.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, tail, _ := strings.Cut(name, "/licences/")
	_, err = stranger.seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: foreign.name + "/licences/" + tail[:36]})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	require.True(t, mine.states(name)[0].GetHeld())
}

func TestWithoutALicenceThereAreNoSeats(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	_, err := w.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_REFUSED)
}

func TestATakenSeatIsToldAndStaysTaken(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	held := w.claims()
	keeper := b.NewAccount(id.NewString() + "@testapiemers.lv")
	b.Access.Grant(keeper, c.name, authv1.Permission_PERMISSION_SEATS_MANAGE)
	heard := b.Events("kontor.licensing.seat.>")
	for range 2 {
		_, err := licensingv1.NewSeatServiceClient(b.As(keeper)).TakeSeat(t.Context(), &licensingv1.TakeSeatRequest{Name: held.GetSeat().GetName(), GraceSeconds: new(int32)})
		require.NoError(t, err)
	}
	require.Equal(t, keeper, changed(t, heard, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN).GetActor())
	_, err := w.seats.RenewSeat(t.Context(), &licensingv1.RenewSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_LOST)
}

func TestADeadHoldersSeatIsToldAndAnothersAtItsLeasesEnd(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	c.agree(l, 1, 10)
	company := c.name + "/companies/" + id.NewString()
	dead, next := c.worker(company), c.worker(company)
	held := dead.claims()
	heard := b.Events("kontor.licensing.seat.>")
	changed(t, heard, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_EXPIRED)
	require.WithinDuration(t, held.GetSeat().GetExpireTime().AsTime(), time.Now(), 2*time.Second)
	next.claims()
}

func TestABoardIsWatched(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	stream, err := w.seats.WatchSeats(t.Context(), &licensingv1.WatchSeatsRequest{Parent: l.GetName()})
	require.NoError(t, err)
	board, err := stream.Recv()
	require.NoError(t, err)
	require.Empty(t, board.GetSeats())
	held := w.claims()
	board, err = stream.Recv()
	require.NoError(t, err)
	require.Equal(t, held.GetSeat().GetName(), board.GetSeats()[0].GetName())
	_, err = w.seats.ReleaseSeat(t.Context(), &licensingv1.ReleaseSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken()})
	require.NoError(t, err)
	board, err = stream.Recv()
	require.NoError(t, err)
	require.Empty(t, board.GetSeats())
	require.Equal(t, []string{held.GetSeat().GetName()}, board.GetGone())
	c.agree(l, 7, 60)
	board, err = stream.Recv()
	require.NoError(t, err)
	require.EqualValues(t, 7, board.GetLimit())
}
