package licensing_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// holding is a seat on a stream.
type holding struct {
	*worker
	stream licensingv1.SeatService_HoldSeatsClient
	cut    context.CancelFunc
	first  *licensingv1.SeatRenewal
	name   string
	token  string
}

// holds claims a seat and holds it over a stream.
func (w *worker) holds() *holding {
	w.t.Helper()
	claimed := w.claims()
	ctx, cut := context.WithCancel(w.t.Context())
	w.t.Cleanup(cut)
	h := &holding{worker: w, cut: cut, name: claimed.GetSeat().GetName(), token: claimed.GetToken()}
	var err error
	h.stream, err = w.seats.HoldSeats(ctx)
	require.NoError(w.t, err)
	h.send(&licensingv1.SeatHold{Number: 1, Seat: &licensingv1.RenewSeatRequest{Name: h.name, Token: h.token}})
	h.first = h.answer()
	return h
}

func (h *holding) send(holds ...*licensingv1.SeatHold) {
	h.t.Helper()
	require.NoError(h.t, h.stream.Send(&licensingv1.HoldSeatsRequest{Parent: h.customer.name, Holds: holds}))
}

// next is the one renewal of the next message, which must be an answer or news.
func (h *holding) next(answer bool) *licensingv1.SeatRenewal {
	h.t.Helper()
	got, err := h.stream.Recv()
	require.NoError(h.t, err)
	require.Equal(h.t, answer, got.GetAnswer(), "%v", got)
	require.Len(h.t, got.GetRenewals(), 1)
	return got.GetRenewals()[0]
}

func (h *holding) answer() *licensingv1.SeatRenewal { return h.next(true) }
func (h *holding) news() *licensingv1.SeatRenewal   { return h.next(false) }

func (h *holding) held() bool { return h.states(h.name)[0].GetHeld() }

func TestAStreamHoldsASeatAndItsEndGivesItBack(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	h := c.worker(c.name + "/companies/" + id.NewString()).holds()
	require.True(t, h.first.GetHeld())
	require.NotEmpty(t, h.first.GetToken())
	require.NotEmpty(t, h.first.GetStamp())
	h.send(&licensingv1.SeatHold{Number: 1})
	again := h.answer()
	require.True(t, again.GetHeld())
	require.Empty(t, again.GetToken(), "the last token holds for a while")
	require.NotEmpty(t, again.GetStamp())
	require.False(t, again.GetExpireTime().AsTime().Before(h.first.GetExpireTime().AsTime()))
	require.NoError(t, h.stream.CloseSend())
	_, err := h.stream.Recv()
	require.Error(t, err)
	require.False(t, h.held(), "it is given back")
}

func TestABrokenStreamLeavesTheSeatForTheNext(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	h := w.holds()
	h.cut()
	_, err := h.stream.Recv()
	require.Error(t, err)
	require.True(t, h.held())
	stream, err := w.seats.HoldSeats(t.Context())
	require.NoError(t, err)
	again := &holding{worker: w, stream: stream, name: h.name}
	again.send(&licensingv1.SeatHold{Number: 7, Seat: &licensingv1.RenewSeatRequest{Name: h.name, Token: h.token, Stamp: h.first.GetStamp()}})
	require.True(t, again.answer().GetHeld())
	again.send(&licensingv1.SeatHold{Number: 8, Seat: &licensingv1.RenewSeatRequest{Name: h.name, Token: h.token, Stamp: "1." + h.first.GetStamp()[2:]}})
	require.False(t, again.answer().GetHeld(), "a stamp of one's own proves nothing")
}

func TestHoldersAreToldWhatIsAskedOfThemAndWhatIsTaken(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	company := c.name + "/companies/" + id.NewString()
	h, other := c.worker(company).holds(), c.worker(company)
	_, err := other.seats.AskForSeat(t.Context(), &licensingv1.AskForSeatRequest{Name: h.name, Text: "only for an hour"})
	require.NoError(t, err)
	plea := h.news().GetPleas()[0]
	require.Equal(t, []string{other.account, "Person " + other.email, "only for an hour"}, []string{plea.GetAccount(), plea.GetAccountTitle(), plea.GetText()})

	keeper := b.NewAccount(id.NewString() + "@testapiemers.lv")
	b.Access.Grant(keeper, c.name, authv1.Permission_PERMISSION_SEATS_MANAGE)
	seats := licensingv1.NewSeatServiceClient(b.As(keeper))
	taken, err := seats.TakeSeat(t.Context(), &licensingv1.TakeSeatRequest{Name: h.name})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Minute), taken.GetTakeTime().AsTime(), 5*time.Second)
	news := h.news()
	require.True(t, news.GetHeld())
	require.WithinDuration(t, taken.GetTakeTime().AsTime(), news.GetTakeTime().AsTime(), time.Millisecond)
	_, err = seats.TakeSeat(t.Context(), &licensingv1.TakeSeatRequest{Name: h.name, GraceSeconds: proto.Int32(0)})
	require.NoError(t, err)
	require.False(t, h.news().GetHeld())
	h.send(&licensingv1.SeatHold{Number: 1})
	require.False(t, h.answer().GetHeld())
}

func TestManySeatsAreRenewedAtOnceAndStrangersAreNot(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	company := c.name + "/companies/" + id.NewString()
	mine, other := c.worker(company), c.worker(company)
	one, two := mine.claims(), other.claims()
	answer, err := mine.seats.BatchRenewSeats(t.Context(), &licensingv1.BatchRenewSeatsRequest{Parent: c.name, Requests: []*licensingv1.RenewSeatRequest{
		{Name: one.GetSeat().GetName(), Token: one.GetToken()}, {Name: two.GetSeat().GetName(), Token: two.GetToken()}, {Name: "x", Token: "y"},
	}})
	require.NoError(t, err)
	r := answer.GetRenewals()
	require.Equal(t, []bool{true, false, false}, []bool{r[0].GetHeld(), r[1].GetHeld(), r[2].GetHeld()})
	require.NotEmpty(t, r[0].GetToken())
}

func TestWhoWaitsIsToldTheTurnAndGetsTheSeat(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	c.agree(l, 1, 60)
	company := c.name + "/companies/" + id.NewString()
	first, second := c.worker(company), c.worker(company)
	held := first.claims()
	_, err := second.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEATS_EXHAUSTED)
	stream, err := second.seats.WaitForSeat(t.Context(), &licensingv1.WaitForSeatRequest{
		Parent: c.name, Company: company, Product: "books", DeviceId: "device-" + second.account,
	})
	require.NoError(t, err)
	turn, err := stream.Recv()
	require.NoError(t, err)
	require.EqualValues(t, 1, turn.GetPosition())
	require.NotNil(t, turn.GetNextExpireTime())
	_, err = first.seats.ReleaseSeat(t.Context(), &licensingv1.ReleaseSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken()})
	require.NoError(t, err)
	turn, err = stream.Recv()
	require.NoError(t, err)
	require.True(t, turn.GetOffered())
	_, err = first.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEATS_EXHAUSTED)
	second.claims()
}

func TestASeatIsHandedOverOnlyToWhoMayWork(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	c.agree(l, 1, 60)
	company := c.name + "/companies/" + id.NewString()
	mine, colleague := c.worker(company), c.worker(company)
	held := mine.claims()
	r := &licensingv1.TransferSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken(), Account: b.NewAccount("stranger@else.example")}
	_, err := mine.seats.TransferSeat(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_PERSON_UNFIT)
	r.Account = colleague.account
	_, err = mine.seats.TransferSeat(t.Context(), r)
	require.NoError(t, err)
	_, err = mine.ask()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEATS_EXHAUSTED)
	colleague.claims()
}

func TestAGuestReadsForATimeWithoutASeat(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	c.agree(l, 1, 60)
	company := c.name + "/companies/" + id.NewString()
	worker, auditor := c.worker(company), c.worker(company)
	worker.claims()
	reads := func() (*licensingv1.ClaimSeatResponse, error) {
		return auditor.seats.ClaimSeat(t.Context(), &licensingv1.ClaimSeatRequest{
			Parent: c.name, Company: company, Product: "books", DeviceId: "d", ReadOnly: true,
		})
	}
	_, err := reads()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_READING_REFUSED)
	keeper := b.NewAccount(id.NewString() + "@testapiemers.lv")
	b.Access.Grant(keeper, c.name, authv1.Permission_PERMISSION_SEATS_MANAGE, authv1.Permission_PERMISSION_SEATS_READ)
	guests := licensingv1.NewGuestSeatServiceClient(b.As(keeper))
	r := &licensingv1.CreateGuestSeatRequest{Parent: l.GetName(), RequestId: id.NewString(), GuestSeat: &licensingv1.GuestSeat{
		Account: auditor.account, Company: company, Product: "books", Reason: "yearly audit",
		ExpireTime: timestamppb.New(time.Now().AddDate(0, 0, 60)),
	}}
	_, err = guests.CreateGuestSeat(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_GUEST_REFUSED)
	r.GuestSeat.ExpireTime = timestamppb.New(time.Now().AddDate(0, 0, 2))
	var made *licensingv1.CreateGuestSeatResponse
	for range 2 {
		made, err = guests.CreateGuestSeat(t.Context(), r)
		require.NoError(t, err)
	}
	claimed, err := reads()
	require.NoError(t, err)
	require.Equal(t, licensingv1.SeatMode_SEAT_MODE_GUEST, claimed.GetSeat().GetMode())
	list, err := guests.ListGuestSeats(t.Context(), &licensingv1.ListGuestSeatsRequest{Parent: l.GetName()})
	require.NoError(t, err)
	require.Len(t, list.GetGuestSeats(), 1)
	heard := b.Events("kontor.licensing.seat.>")
	for range 2 {
		_, err = guests.EndGuestSeat(t.Context(), &licensingv1.EndGuestSeatRequest{Name: made.GetGuestSeat().GetName()})
		require.NoError(t, err)
	}
	require.Equal(t, claimed.GetSeat().GetName(), changed(t, heard, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN).GetSeat())
	_, err = reads()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_READING_REFUSED)
}

func TestASeatGoesOutAndComesBack(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	company := c.name + "/companies/" + id.NewString()
	w, other := c.worker(company), c.worker(company)
	travels := licensingv1.NewTravelSeatServiceClient(b.As(w.account))
	r := &licensingv1.CreateTravelSeatRequest{
		Parent: c.name, Company: company, Product: "books", DeviceId: "laptop", DeviceTitle: "Laptop", Days: 30, RequestId: id.NewString(),
	}
	_, err := travels.CreateTravelSeat(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SEAT_TRAVEL_REFUSED)
	r.Days = 3
	first, err := travels.CreateTravelSeat(t.Context(), r)
	require.NoError(t, err)
	again, err := travels.CreateTravelSeat(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, first.GetFile(), again.GetFile())
	require.True(t, strings.HasPrefix(string(first.GetFile()), "kontor-travel-seat 1\n"))
	board, err := w.seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: l.GetName()})
	require.NoError(t, err)
	require.EqualValues(t, 1, board.GetHeld())
	_, err = licensingv1.NewTravelSeatServiceClient(b.As(other.account)).ReturnTravelSeat(t.Context(),
		&licensingv1.ReturnTravelSeatRequest{Name: first.GetTravelSeat().GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	for range 2 {
		back, err := travels.ReturnTravelSeat(t.Context(), &licensingv1.ReturnTravelSeatRequest{Name: first.GetTravelSeat().GetName()})
		require.NoError(t, err)
		require.NotNil(t, back.GetTravelSeat().GetReturnTime())
	}
	list, err := travels.ListTravelSeats(t.Context(), &licensingv1.ListTravelSeatsRequest{Parent: l.GetName()})
	require.NoError(t, err)
	require.Len(t, list.GetTravelSeats(), 1)
	require.False(t, w.states(l.GetName() + "/seats/" + first.GetTravelSeat().GetName()[len(first.GetTravelSeat().GetName())-36:])[0].GetHeld())
}

func TestABoardIsResumed(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	w := c.worker(c.name + "/companies/" + id.NewString())
	held := w.claims()
	watch := func(cursor string) (licensingv1.SeatService_WatchSeatsClient, *licensingv1.WatchSeatsResponse) {
		stream, err := w.seats.WatchSeats(t.Context(), &licensingv1.WatchSeatsRequest{Parent: c.name, Cursor: cursor})
		require.NoError(t, err)
		first, err := stream.Recv()
		require.NoError(t, err)
		return stream, first
	}
	_, first := watch("")
	require.True(t, first.GetWhole())
	require.Len(t, first.GetSeats(), 1)
	stream, resumed := watch(first.GetCursor())
	require.False(t, resumed.GetWhole(), "nothing changed since")
	require.Empty(t, resumed.GetSeats())
	c.worker(w.company).claims()
	changed, err := stream.Recv()
	require.NoError(t, err)
	require.True(t, changed.GetWhole())
	require.Len(t, changed.GetSeats(), 2)
	_, err = w.seats.ReleaseSeat(t.Context(), &licensingv1.ReleaseSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken()})
	require.NoError(t, err)
	gone, err := stream.Recv()
	require.NoError(t, err)
	require.Equal(t, []string{held.GetSeat().GetName()}, gone.GetGone())
	_, stale := watch(first.GetCursor())
	require.True(t, stale.GetWhole())
	require.Len(t, stale.GetSeats(), 1)
	_, err = w.seats.ListSeats(t.Context(), &licensingv1.ListSeatsRequest{Parent: l.GetName()})
	require.NoError(t, err)
}
