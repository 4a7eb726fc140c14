package opening

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

// now is the machine's time, as finely as the database keeps it.
func now() time.Time { return clock.System{}.Now().Truncate(time.Microsecond) }

// EndAll ends a company's sessions in a transaction. Their connections end, and their logins are closed, by Sweep.
func EndAll(ctx context.Context, tx pgx.Tx, company uuid.UUID, end tenancyv1.SessionEnd) error {
	at := now()
	rows, err := openingdb.New(tx).EndOfCompany(ctx, openingdb.EndOfCompanyParams{CompanyID: company, Now: at, Reason: int16(end)})
	if err != nil {
		return err
	}
	list := make([]ended, len(rows))
	for i, r := range rows {
		list[i] = ended(r)
	}
	return tellClosed(ctx, tx, at, end, list)
}

// endOfSeats ends the sessions that live by some seats.
func endOfSeats(ctx context.Context, tx pgx.Tx, seats []string, end tenancyv1.SessionEnd) (some bool, err error) {
	if len(seats) == 0 {
		return false, nil
	}
	at := now()
	rows, err := openingdb.New(tx).EndOfSeats(ctx, openingdb.EndOfSeatsParams{Seats: seats, Now: at, Reason: int16(end)})
	if err != nil {
		return false, err
	}
	list := make([]ended, len(rows))
	for i, r := range rows {
		list[i] = ended(r)
	}
	return len(list) > 0, tellClosed(ctx, tx, at, end, list)
}

// inPlace is where a seat is used.
type inPlace struct {
	seat    string
	company uuid.UUID
	device  string
}

// endInPlace ends the sessions that live by a seat in one place; with an area only the one in it.
func endInPlace(ctx context.Context, tx pgx.Tx, p inPlace, area string, end tenancyv1.SessionEnd) (some bool, err error) {
	at := now()
	rows, err := openingdb.New(tx).EndInPlace(ctx, openingdb.EndInPlaceParams{
		Seat: p.seat, CompanyID: p.company, Device: p.device, Area: area, Now: at, Reason: int16(end),
	})
	if err != nil {
		return false, err
	}
	list := make([]ended, len(rows))
	for i, r := range rows {
		list[i] = ended(r)
	}
	return len(list) > 0, tellClosed(ctx, tx, at, end, list)
}

// endThese ends sessions by their ids, and wakes what closes their logins. Those that are over stay as they are.
func (s *Sessions) endThese(ctx context.Context, ids []uuid.UUID, end tenancyv1.SessionEnd) error {
	if len(ids) == 0 {
		return nil
	}
	err := postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error {
		at := now()
		rows, err := openingdb.New(tx).EndByID(ctx, openingdb.EndByIDParams{Ids: ids, Now: at, Reason: int16(end)})
		if err != nil {
			return err
		}
		return tellClosed(ctx, tx, at, end, rows)
	})
	s.wake()
	return translate(err)
}

func translate(err error) error { return constraints().Translate(err) }
