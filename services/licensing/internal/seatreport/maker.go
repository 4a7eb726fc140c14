package seatreport

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seattoken"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seatreport/reportdb"
)

const (
	// portion is how many entries of the evidence are read at a time.
	portion = 5000
	// late is how much later than its end a day is read to its end: the store's clock may go behind the service's.
	late = 10 * time.Second
	// stating is how often it is looked for days that are over.
	stating = 10 * time.Minute
	// together is how many licences are looked up at a time.
	together = 200
	// maxDays is how many days of one licence are made at a time: a service that was away for long catches up by and by.
	maxDays = 60
)

// Signer has the key that statements are signed with.
type Signer interface {
	Signing() (jwk.Key, error)
}

// Maker reads the evidence and makes statements. Safe for concurrent use, in any number of copies.
type Maker struct {
	DB       *pgxpool.Pool
	Licences *licence.Store
	Signer   Signer
	// Real is the machine's clock, which the evidence follows.
	Real clock.Clock
}

// translate turns what the database says into an answer.
func translate(err error) error { return postgres.Constraints(nil).Translate(err) }

// base is from where on the evidence is read: who used seats then.
type base struct {
	at    time.Time
	held  map[uuid.UUID]Held
	limit int32
}

// baseOf is the end of the last day before an instant that has a statement, or when the licence's seats were first used.
// False when nothing was ever written down before the instant.
func (m *Maker) baseOf(ctx context.Context, of uuid.UUID, at time.Time) (base, bool, error) {
	db := reportdb.New(m.DB)
	row, err := db.BaseBefore(ctx, reportdb.BaseBeforeParams{Licence: of, Instant: at})
	if err == nil {
		b := base{at: row.Ends, limit: row.SeatLimit}
		return b, true, json.Unmarshal(row.Held, &b.held)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return base{}, false, err
	}
	first, err := m.firstSince(ctx, of, time.Time{})
	return base{at: first}, !first.IsZero(), err
}

// firstSince is when something happened first from an instant on; zero if nothing did.
func (m *Maker) firstSince(ctx context.Context, of uuid.UUID, since time.Time) (time.Time, error) {
	first, err := reportdb.New(m.DB).FirstHappened(ctx, reportdb.FirstHappenedParams{Licence: of, Since: since})
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil
	}
	return first, err
}

// walk reads the evidence from a base until an instant, into a ledger that reports of spans. Each hears of each entry.
func (m *Maker) walk(ctx context.Context, of uuid.UUID, from base, until time.Time, spans []*Usage, each func(Entry)) (*Ledger, error) {
	l := NewLedger(from.at, from.held, from.limit, spans...)
	db := reportdb.New(m.DB)
	next := reportdb.EntriesBetweenParams{Licence: of, Until: until, After: from.at, Most: portion}
	for {
		rows, err := db.EntriesBetween(ctx, next)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			e := entryOf(r)
			l.Add(e)
			each(e)
			next.After, next.AfterEntry = r.Happened, r.Entry
		}
		if len(rows) < portion {
			l.Advance(until)
			return l, nil
		}
	}
}

func entryOf(r reportdb.EntriesBetweenRow) Entry {
	e := Entry{At: r.Happened, Kind: r.Kind, Mode: r.Mode, Limit: r.SeatLimit}
	e.Seat, e.Account, e.Actor = value(r.Seat), value(r.Account), value(r.Actor)
	if r.Since != nil {
		e.Since = *r.Since
	}
	return e
}

// value is Nil for none.
func value(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

func (m *Maker) gaps(ctx context.Context, of uuid.UUID, in Span) ([]Span, error) {
	rows, err := reportdb.New(m.DB).GapsBetween(ctx, reportdb.GapsBetweenParams{Licence: of, Start: in.Start, Until: &in.End})
	gaps := make([]Span, len(rows))
	for i, r := range rows {
		gaps[i] = Span{r.Since, r.Happened}
	}
	return gaps, err
}

// Hours are the use of some hours.
func (m *Maker) Hours(ctx context.Context, of uuid.UUID, hours []*Usage) error {
	all := Span{hours[0].Start, hours[len(hours)-1].End}
	from, known, err := m.baseOf(ctx, of, all.Start)
	if err != nil || !known {
		return err
	}
	end := all.End
	if now := m.Real.Now(); now.Before(end) {
		end = now
	}
	if _, err := m.walk(ctx, of, from, end, hours, func(Entry) {}); err != nil {
		return err
	}
	gaps, err := m.gaps(ctx, of, all)
	Mark(hours, gaps)
	return err
}

// Statement gives the statement of a day, which is made if it is not there, after those of the days before it that are due.
func (m *Maker) Statement(ctx context.Context, l licence.Licence, day civil.Date) (signed string, err error) {
	db := reportdb.New(m.DB)
	find := reportdb.GetStatementParams{Licence: l.ID, Day: day}
	signed, err = db.GetStatement(ctx, find)
	if !errors.Is(err, pgx.ErrNoRows) {
		return signed, err
	}
	read, err := db.ReadUntil(ctx)
	if err != nil {
		return "", err
	}
	if !isRead(l, day, read) {
		return "", dayOpen(day)
	}
	from, known, err := m.catchUp(ctx, l, day, read)
	if err != nil {
		return "", err
	}
	if span := spanOf(l, day); !known || !from.at.Before(span.End) {
		return "", failure.NotFound(statementName(licence.Name(l.Subscriber, l.ID), day))
	}
	if err := m.make(ctx, l, day, from); err != nil {
		return "", err
	}
	return db.GetStatement(ctx, find) // Another copy may have been first.
}

func dayOpen(day civil.Date) error {
	return failure.New(commonv1.Reason_REASON_SEAT_DAY_OPEN, "date", day.String())
}

func spanOf(l licence.Licence, day civil.Date) Span {
	return Span{day.In(l.Zone), day.AddDays(1).In(l.Zone)}
}

// isRead says whether the evidence was read until so late that nothing of a day can be missing.
func isRead(l licence.Licence, day civil.Date, read time.Time) bool {
	return !read.Before(spanOf(l, day).End.Add(late))
}

// catchUp makes the statements that are due of the days before one: of those on which something happened or seats were
// used. It answers the base for that day. SEAT_DAY_OPEN when there are so many that others would wait: it goes on the
// next time.
func (m *Maker) catchUp(ctx context.Context, l licence.Licence, day civil.Date, read time.Time) (from base, known bool, err error) {
	for range maxDays {
		if from, known, err = m.baseOf(ctx, l.ID, day.In(l.Zone)); err != nil || !known {
			return from, known, err
		}
		next := from.at
		if len(from.held) == 0 {
			if next, err = m.firstSince(ctx, l.ID, from.at); err != nil {
				return from, known, err
			}
		}
		due := civil.DateOf(next, l.Zone)
		if next.IsZero() || !due.Before(day) || !isRead(l, due, read) {
			return from, known, nil
		}
		if err := m.make(ctx, l, due, from); err != nil {
			return from, known, err
		}
	}
	return from, known, dayOpen(day)
}

// make writes down the statement of a day, unless there is one.
func (m *Maker) make(ctx context.Context, l licence.Licence, day civil.Date, from base) error {
	span := spanOf(l, day)
	d := Document{
		Version: documentVersion, Issuer: seattoken.Issuer, Use: documentUse, Licence: licence.Name(l.Subscriber, l.ID), Date: day,
		Zone: l.Zone.String(), Taken: []Taken{}, Gaps: []GapRow{}, Created: m.Real.Now().UTC().Truncate(time.Millisecond),
	}
	var seats []uuid.UUID
	hours := Hours(span.Start, span.End)
	ledger, err := m.walk(ctx, l.ID, from, span.End, hours, func(e Entry) {
		if e.Kind == "taken" && !e.At.Before(span.Start) && len(d.Taken) < maxDetails {
			d.Taken, seats = append(d.Taken, taken(l, e)), append(seats, e.Seat)
		}
	})
	if err != nil {
		return err
	}
	if err := m.reasons(ctx, seats, d.Taken); err != nil {
		return err
	}
	gaps, err := m.gaps(ctx, l.ID, span)
	if err != nil {
		return err
	}
	Mark(hours, gaps)
	for _, gap := range gaps {
		d.Gaps = append(d.Gaps, GapRow{gap.Start.UTC(), gap.End.UTC()})
	}
	for _, hour := range hours {
		d.Hours = append(d.Hours, rowOf(*hour))
	}
	sum := Sum(hours)
	d.Day, d.HeldLast = rowOf(sum), int(ledger.count.seats)
	return m.keep(ctx, l.ID, d, sum, ledger)
}

// reasons fills in why seats were taken.
func (m *Maker) reasons(ctx context.Context, seats []uuid.UUID, list []Taken) error {
	if len(seats) == 0 {
		return nil
	}
	rows, err := reportdb.New(m.DB).ForcesOf(ctx, seats)
	why := map[uuid.UUID]string{}
	for _, r := range rows {
		why[r.Seat] = r.Reason
	}
	for i := range list {
		list[i].Reason = why[seats[i]]
	}
	return err
}

func (m *Maker) keep(ctx context.Context, of uuid.UUID, d Document, sum Usage, ledger *Ledger) error {
	key, err := m.Signer.Signing()
	if err != nil {
		return err
	}
	signed, err := sign(key, d)
	if err != nil {
		return err
	}
	held, err := json.Marshal(ledger.Held)
	if err != nil {
		return err
	}
	peaks := make([]int32, len(d.Hours))
	for i, hour := range d.Hours {
		peaks[i] = hour.Peak
	}
	return reportdb.New(m.DB).InsertStatement(ctx, reportdb.InsertStatementParams{
		Licence: of, Day: d.Date, Starts: d.Day.Start, Ends: d.Day.End, Peak: sum.Peak, HourPeaks: peaks, Refusals: sum.Refusals,
		RefusedPeople: sum.RefusedPeople, OverdraftPeak: sum.OverdraftPeak, Gap: sum.Gap, SeatLimit: ledger.Limit, Held: held,
		Signed: signed, Created: d.Created,
	})
}

// Periodic is the timer that makes statements of days that are over.
func (m *Maker) Periodic() jobs.Periodic {
	return jobs.Periodic{Name: "seat_statements", Every: stating, AtStart: true, Run: m.Run}
}

// Run makes the statements that are due. A licence that fails keeps no other waiting.
func (m *Maker) Run(ctx context.Context) error {
	db := reportdb.New(m.DB)
	read, err := db.ReadUntil(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for after := uuid.Nil; ; {
		due, err := db.Unstated(ctx, reportdb.UnstatedParams{After: after, Until: m.Real.Now().Add(-late), Most: together})
		if err != nil {
			return err
		}
		for _, d := range due {
			after = d.Licence
			l, err := m.Licences.Get(ctx, m.DB, d.Subscriber, d.Licence)
			if err == nil {
				_, _, err = m.catchUp(ctx, l, civil.DateOf(m.Real.Now(), l.Zone), read)
			}
			if failure.Reason(err) != commonv1.Reason_REASON_SEAT_DAY_OPEN {
				failed = append(failed, err)
			}
		}
		if len(due) < together {
			return errors.Join(failed...)
		}
	}
}
