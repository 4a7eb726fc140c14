package seat

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// at is the n-th person in a company on a device.
func at(n int, company, device string) Request {
	r := person(n)
	r.Company, r.Device = uuid.NewSHA1(uuid.Nil, []byte(company)), device
	return r
}

func (b *bundle) claims(r Request, l Limits) Seat {
	b.t.Helper()
	s, err := b.Claim(b.t.Context(), b.of, r, l)
	require.NoError(b.t, err)
	return s
}

func (b *bundle) why(r Request, l Limits) commonv1.Reason {
	b.t.Helper()
	_, err := b.Claim(b.t.Context(), b.of, r, l)
	if full := asFull(err); full != nil {
		return full.Why
	}
	require.Error(b.t, err)
	return failure.Reason(err)
}

func (b *bundle) board() Board {
	b.t.Helper()
	board, err := b.List(b.t.Context(), b.of.Licence, 1000, "")
	require.NoError(b.t, err)
	return board
}

func TestOneSeatIsUsedInSeveralCompanies(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	here, there := b.claims(at(1, "here", "d"), l), b.claims(at(1, "there", "d"), l)
	require.Equal(t, here.ID, there.ID)
	require.Len(t, there.Places, 2)
	require.EqualValues(t, 1, b.board().Held)
	require.NoError(t, b.Release(t.Context(), b.of, here, By{}))
	b.lost(here)
	_, err := b.renew(there)
	require.NoError(t, err, "who leaves a company works on in the other")
	require.NoError(t, b.Release(t.Context(), b.of, there, By{}))
	require.Empty(t, b.board().Seats)
}

func TestAPlaceCountsInItsCompanyUntilItIsLeftOrRunsOut(t *testing.T) {
	b := setup(t)
	l := Limits{Seats: 5, PerCompany: 1, Lease: time.Minute}
	short := Limits{Seats: 5, PerCompany: 1, Lease: 300 * time.Millisecond}
	b.claims(at(1, "here", "d"), l)
	there := b.claims(at(1, "there", "d"), short)
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED_IN_COMPANY, b.why(at(2, "there", "d"), l))
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED_IN_COMPANY, b.why(at(2, "here", "d"), l))
	until(t, there.Until)
	b.claims(at(1, "here", "d"), l) // The holder renews in the other place, which ends this one.
	b.claims(at(2, "there", "d"), l)
}

func TestAPlanSaysWhetherTwoDevicesTakeTwoSeats(t *testing.T) {
	b := setup(t)
	devices := limits(2, time.Minute)
	laptop, desk := b.claims(at(1, "c", "laptop"), devices), b.claims(at(1, "c", "desk"), devices)
	require.NotEqual(t, laptop.ID, desk.ID)
	b.of = b.licence()
	people := devices
	people.PerPerson = true
	laptop, desk = b.claims(at(1, "c", "laptop"), people), b.claims(at(1, "c", "desk"), people)
	require.Equal(t, laptop.ID, desk.ID)
	require.NoError(t, b.Release(t.Context(), b.of, laptop, By{}))
	_, err := b.renew(desk)
	require.NoError(t, err)
}

func TestOneProductIsFullBeforeTheLicenceIs(t *testing.T) {
	b := setup(t)
	l := limits(3, time.Minute)
	l.PerProduct = 1
	payroll := person(1)
	payroll.Product = "payroll"
	b.claims(payroll, l)
	payroll.Account = id.New()
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED_FOR_PRODUCT, b.why(payroll, l))
	b.claim(2, limits(3, time.Minute))
}

func TestOnesOwnSeatIsTakenBackAndNobodyElses(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	old := b.claims(at(1, "c", "left at home"), l)
	thief := at(2, "c", "d")
	thief.TakeBack = old.ID
	require.Equal(t, commonv1.Reason_REASON_SEAT_NOT_OWN, b.why(thief, l))
	mine := at(1, "c", "here")
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED, b.why(mine, l))
	mine.TakeBack = old.ID
	fresh := b.claims(mine, l)
	require.NotEqual(t, old.ID, fresh.ID)
	require.Equal(t, old.Slot, fresh.Slot)
	b.lost(old)
	require.Equal(t, fresh.ID, b.claims(mine, l).ID, "repeating it takes nothing more back")
}

func TestGuestsAndReadersTakeNoSeat(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	b.claim(1, l)
	guest := person(2)
	guest.Mode, guest.Cap = Guest, time.Now().Add(30*time.Second).Truncate(time.Millisecond)
	s := b.claims(guest, l)
	require.Equal(t, Guest, s.Mode)
	require.WithinDuration(t, guest.Cap, s.Ends, time.Millisecond, "no lease goes beyond the invitation")
	reader := person(3)
	reader.Mode = Reading
	b.claims(reader, l)
	require.EqualValues(t, 1, b.board().Held)
	require.Len(t, b.board().Seats, 3)
	b.lose("flushed")
	back, err := b.renew(s)
	require.NoError(t, err)
	require.Equal(t, []any{s.ID, Guest}, []any{back.ID, back.Mode})
	require.True(t, back.Cap.Equal(guest.Cap))
}

func TestASeatThatIsTakenWithGraceEndsThen(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	mine := b.claim(1, l)
	due, err := b.Take(t.Context(), b.of, mine.ID, 400*time.Millisecond, "closing the books", boss)
	require.NoError(t, err)
	told, err := b.renew(mine)
	require.NoError(t, err, "there is time to save")
	require.True(t, told.Taking.Equal(due))
	require.True(t, told.Ends.Equal(due), "no lease goes beyond it")
	later, err := b.Take(t.Context(), b.of, mine.ID, time.Hour, "", boss)
	require.NoError(t, err)
	require.True(t, later.Equal(due), "the earlier of two times holds")
	b.refused(2, l)
	until(t, due)
	b.claim(2, l)
	b.lost(mine)
}

func TestWhatIsTakenEndsWhateverRedisLoses(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	mine := b.claim(1, l)
	due, err := b.Take(t.Context(), b.of, mine.ID, 600*time.Millisecond, "", boss)
	require.NoError(t, err)
	b.lose("flushed")
	back, err := b.renew(mine)
	require.NoError(t, err)
	require.WithinDuration(t, due, back.Ends, 100*time.Millisecond)
	b.lose("flushed")
	until(t, due.Add(100*time.Millisecond))
	b.lost(mine)
}

func TestAPleaIsToldAtTheNextRenewal(t *testing.T) {
	b := setup(t)
	mine := b.claim(1, limits(1, time.Minute))
	asking := id.New()
	require.NoError(t, b.Ask(t.Context(), b.of, mine.ID, asking, "lunch?"))
	require.NoError(t, b.Ask(t.Context(), b.of, mine.ID, asking, "please"))
	told, err := b.renew(mine)
	require.NoError(t, err)
	require.Len(t, told.Pleas, 1)
	require.Equal(t, []any{asking, "please"}, []any{told.Pleas[0].Account, told.Pleas[0].Text})
	require.Equal(t, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(b.Ask(t.Context(), b.of, id.New(), asking, "")))
}

func TestManySeatsAreRenewedTogetherAndEachAnswersForItself(t *testing.T) {
	b := setup(t)
	l := limits(3, time.Minute)
	one, two := b.claim(1, l), b.claim(2, l)
	require.NoError(t, b.take(two))
	all, err := b.RenewAll(t.Context(), b.of, []Renewal{{Seat: one, Idle: time.Hour}, {Seat: two}, {Seat: one}}, By{})
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, true}, []bool{all[0].Held, all[1].Held, all[2].Held})
	require.True(t, all[0].Active.Equal(one.Active), "idle for longer than it is held says nothing")
}
