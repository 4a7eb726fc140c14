package seat

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// Full says that nobody else may work now.
type Full struct {
	// Why is what has no room: the licence, a company or a product.
	Why   commonv1.Reason
	Limit int32
	// After this long the next lease ends, if its holder is gone.
	Frees   time.Duration
	Holders []Seat // some of them
	Waiting int32  // in line
}

// Error names the limit.
func (f *Full) Error() string { return "seat: all are held" }

// Claim takes a seat, or gives the same holder its seat with a fresh lease. It refuses with *Full.
func (p *Pools) Claim(ctx context.Context, of Pool, r Request, l Limits) (Seat, error) {
	held, err := p.claim(ctx, of, r, l, 0)
	full, isFull := err.(*Full) //nolint:errorlint // claim returns it as it is.
	if !isFull || full.Why != commonv1.Reason_REASON_SEATS_EXHAUSTED || l.Extra == 0 || !r.Mode.Counts() || r.Mode == Travel {
		return held, err
	}
	return p.overdraw(ctx, of, r, l)
}

// overdraw takes a seat beyond the limit. It is in the database before it is given: the invoice counts those that were
// also claimed.
func (p *Pools) overdraw(ctx context.Context, of Pool, r Request, l Limits) (Seat, error) {
	r.id = p.deps.IDs()
	err := seatdb.New(p.deps.DB).InsertOverdraft(ctx, seatdb.InsertOverdraftParams{
		Seat: r.id, Licence: of.Licence, Account: r.Account, Period: l.Period, Created: p.deps.Clock.Now(),
	})
	if err != nil {
		return Seat{}, translate(err)
	}
	return p.claim(ctx, of, r, l, l.Extra)
}

func (p *Pools) claim(ctx context.Context, of Pool, r Request, l Limits, extra int32) (Seat, error) {
	seat := r.id
	if seat == uuid.Nil {
		seat = p.deps.IDs()
	}
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "claim", of.Licence, seat.String(), r.Account.String(), r.Company.String(), r.Product, r.Device, r.Title,
			l.Seats, l.PerCompany, l.PerProduct, l.Lease.Milliseconds(), r.By.Account, r.By.Address, flag(l.PerPerson), string(r.mode()),
			millis(r.Cap), extra, optionalID(r.TakeBack))
	})
	if err != nil {
		return Seat{}, err
	}
	switch a.word() {
	case wordHeld:
		held, err := a.seat(1)
		return held.in(r.Company, r.Device), err
	case wordLonger:
		if err := p.lengthen(ctx, of, l.Lease); err != nil {
			return Seat{}, err
		}
		return p.claim(ctx, of, r, l, extra)
	case wordRecovering:
		return Seat{}, recovering(a.duration(1))
	case wordForeign:
		return Seat{}, failure.New(commonv1.Reason_REASON_SEAT_NOT_OWN)
	default:
		return Seat{}, fullness(a, l)
	}
}

func (r Request) mode() Mode {
	if r.Mode == "" {
		return InPool
	}
	return r.Mode
}

func flag(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// millis is an instant as the functions know it; 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func optionalID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func fullness(a answer, l Limits) error {
	holders, ok := a.shown(2)
	if !ok {
		return fmt.Errorf("seat: Redis answered %q", a.word())
	}
	var r reader
	full := &Full{
		Why: commonv1.Reason_REASON_SEATS_EXHAUSTED, Limit: l.Seats, Frees: a.duration(1), Holders: holders, Waiting: int32(r.number(a.text(3))),
	}
	switch a.word() {
	case wordCompany:
		full.Why, full.Limit = commonv1.Reason_REASON_SEATS_EXHAUSTED_IN_COMPANY, l.PerCompany
	case wordProduct:
		full.Why, full.Limit = commonv1.Reason_REASON_SEATS_EXHAUSTED_FOR_PRODUCT, l.PerProduct
	}
	if r.err != nil {
		return r.err
	}
	return full
}

// lengthen lets a pool give longer leases, once its row says so: by it a recovery knows how long to wait.
func (p *Pools) lengthen(ctx context.Context, of Pool, lease time.Duration) error {
	longest, err := seatdb.New(p.deps.DB).LengthenPool(ctx, seatdb.LengthenPoolParams{Licence: of.Licence, Lease: seconds(lease)})
	if err != nil {
		return translate(err)
	}
	_, err = p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "lengthen", of.Licence, int64(longest)*1000)
	})
	return err
}
