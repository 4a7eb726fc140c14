package seatreport

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

// office is a licence of ten seats with evidence that the test writes.
type office struct {
	*Maker
	t       *testing.T
	db      *pgxpool.Pool
	licence licence.Licence
	public  jwk.Key
	entries int
}

// one is a signer with one key.
type one struct{ key jwk.Key }

func (o one) Signing() (jwk.Key, error) { return o.key, nil }

func setup(t *testing.T) *office {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	key, err := jwk.Import(private)
	require.NoError(t, err)
	require.NoError(t, key.Set(jwk.KeyIDKey, "one"))
	verify, err := jwk.Import(public)
	require.NoError(t, err)
	db := pgtest.New(t, migrations.FS)
	o := &office{
		Maker: &Maker{DB: db, Licences: licence.NewStore(), Signer: one{key}, Real: clock.System{}}, t: t, db: db, public: verify,
	}
	subscriber, of := id.New(), id.New()
	o.exec(`
		INSERT INTO licence (id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
			terms_since, start_date, time_zone, starts, author, created)
		VALUES ($1, $2, 'paid', 'books-prof', '[]', '{}', 10, 5, 5, 0, 60, now(), '2026-01-01', 'Europe/Riga', now(), $2, now())`, of, subscriber)
	o.exec(`INSERT INTO seat_pool (licence, longest_lease) VALUES ($1, 60)`, of)
	o.licence, err = o.Licences.Get(t.Context(), db, subscriber, of)
	require.NoError(t, err)
	return o
}

func (o *office) exec(sql string, args ...any) {
	o.t.Helper()
	_, err := o.db.Exec(o.t.Context(), sql, args...)
	require.NoError(o.t, err)
}

// read says until when the log was read.
func (o *office) read(until time.Time) {
	o.exec(`INSERT INTO seat_position (partition, entry, seen) VALUES (0, '0-0', $1)
		ON CONFLICT (partition) DO UPDATE SET seen = excluded.seen`, until)
}

// writes puts entries into the evidence.
func (o *office) writes(list ...Entry) {
	o.t.Helper()
	for _, e := range list {
		o.entries++
		var since *time.Time
		if !e.Since.IsZero() {
			since = &e.Since
		}
		o.exec(`INSERT INTO seat_event (partition, entry, kind, subscriber, licence, seat, account, company, product, device_id, device_title,
				slot, generation, seat_limit, actor, address, happened, mode, since)
			VALUES (0, $1, $2, $3, $4, $5, $6, NULL, 'books', 'd', 'D', 1, 1, $7, $8, '', $9, $10, $11)`,
			fmt.Sprintf("%013d-%06d-%06d", e.At.UnixMilli(), 0, o.entries), e.Kind, o.licence.Subscriber, o.licence.ID, e.Seat, e.Account,
			e.Limit, e.Actor, e.At, e.Mode, since)
	}
}

// day is so many days ago in the licence's zone.
func (o *office) day(ago int) civil.Date {
	return civil.DateOf(time.Now(), o.licence.Zone).AddDays(-ago)
}

// at is an hour of such a day.
func (o *office) at(ago, hour int) time.Time {
	return o.day(ago).In(o.licence.Zone).Add(time.Duration(hour) * time.Hour)
}

func (o *office) worked(ago, from, until, n int, mode string) {
	held := uuid.NewSHA1(o.licence.ID, fmt.Append(nil, ago, from, n))
	o.writes(Entry{At: o.at(ago, from), Kind: "claimed", Seat: held, Account: seat(n), Limit: 10, Mode: mode})
	if until > 0 {
		o.writes(Entry{At: o.at(ago, until), Kind: "released", Seat: held, Account: seat(n), Mode: mode})
	}
}

func (o *office) statement(ago int) Document {
	o.t.Helper()
	signed, err := o.Statement(o.t.Context(), o.licence, o.day(ago))
	require.NoError(o.t, err)
	payload, err := jws.Verify([]byte(signed), jws.WithKey(jwa.EdDSA(), o.public))
	require.NoError(o.t, err)
	var d Document
	require.NoError(o.t, json.Unmarshal(payload, &d))
	return d
}

func TestADayIsStatedOnceSignedAndCarriedOver(t *testing.T) {
	o := setup(t)
	o.worked(3, 9, 17, 1, "pool")
	o.worked(3, 10, 0, 2, "pool") // Stays over night.
	o.worked(2, 8, 12, 3, "guest")
	o.writes(Entry{At: o.at(2, 9), Kind: "refused", Account: seat(9), Mode: "pool", Limit: 10})
	o.read(time.Now())
	first, second := o.statement(3), o.statement(2)
	require.EqualValues(t, 2, first.Day.Peak)
	require.Equal(t, o.at(3, 10).UTC(), *first.Day.PeakTime)
	require.EqualValues(t, 10, first.Day.Limit)
	require.Equal(t, 1, first.HeldLast)
	require.EqualValues(t, (8+14)*3600, first.Day.UsedSeconds)
	require.EqualValues(t, 1, second.Day.Peak, "who stayed over night")
	require.EqualValues(t, 1, second.Day.GuestPeak)
	require.EqualValues(t, 1, second.Day.Refusals)
	require.Equal(t, "Europe/Riga", second.Zone)

	// What is written later changes nothing.
	o.worked(3, 11, 12, 4, "pool")
	require.Equal(t, first, o.statement(3))
	_, err := o.db.Exec(t.Context(), `UPDATE seat_statement SET peak = 0`)
	require.Error(t, err)
}

func TestADayThatIsNotReadToItsEndHasNoStatement(t *testing.T) {
	o := setup(t)
	o.worked(1, 9, 10, 1, "pool")
	for _, c := range []struct { // In this order: the last one makes the statement.
		name string
		read time.Time
		ago  int
		want commonv1.Reason
	}{
		{"read to its noon", o.at(1, 12), 1, commonv1.Reason_REASON_SEAT_DAY_OPEN},
		{"read just to its end", o.at(0, 0), 1, commonv1.Reason_REASON_SEAT_DAY_OPEN},
		{"today", time.Now(), 0, commonv1.Reason_REASON_SEAT_DAY_OPEN},
		{"before the first use", time.Now(), 5, commonv1.Reason_REASON_NOT_FOUND},
		{"the day of use, at end", o.at(0, 0).Add(late), 1, commonv1.Reason_REASON_UNSPECIFIED},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.read(c.read)
			_, err := o.Statement(t.Context(), o.licence, o.day(c.ago))
			if c.want == commonv1.Reason_REASON_UNSPECIFIED {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.want, failure.Reason(err))
		})
	}
}

func TestStatementsAreMadeByThemselvesForEveryDaySinceTheLast(t *testing.T) {
	o := setup(t)
	o.worked(4, 9, 0, 1, "pool") // Nobody else comes; the seat stays held.
	o.read(time.Now())
	var copies sync.WaitGroup
	for range 3 {
		copies.Go(func() {
			if err := o.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	copies.Wait()
	var days int
	require.NoError(t, o.db.QueryRow(t.Context(), `SELECT count(*) FROM seat_statement`).Scan(&days))
	require.Equal(t, 4, days)
	require.EqualValues(t, 24*3600, o.statement(2).Day.UsedSeconds)
}

func TestWhoAsksForALateDayLeavesNoEarlierOneOut(t *testing.T) {
	o := setup(t)
	o.worked(9, 9, 17, 1, "pool")
	o.worked(4, 9, 17, 1, "pool")
	o.worked(2, 9, 17, 1, "pool")
	o.read(time.Now())
	require.EqualValues(t, 1, o.statement(2).Day.Peak)
	rows, err := o.db.Query(t.Context(), `SELECT day FROM seat_statement ORDER BY day`)
	require.NoError(t, err)
	days, err := pgx.CollectRows(rows, pgx.RowTo[civil.Date])
	require.NoError(t, err)
	require.Equal(t, []civil.Date{o.day(9), o.day(4), o.day(2)}, days, "nothing is stated of days on which nothing happened")
	require.Zero(t, o.statement(3).Day.Peak, "unless somebody asks")
}

func TestWhoWasThrownOutAndWhyIsInTheStatement(t *testing.T) {
	o := setup(t)
	held, boss := id.New(), id.New()
	o.exec(`INSERT INTO seat_force (seat, licence, actor, due, reason, created) VALUES ($1, $2, $3, now(), 'He left.', now())`, held, o.licence.ID, boss)
	o.writes(
		Entry{At: o.at(2, 9), Kind: "claimed", Seat: held, Account: seat(1), Mode: "pool", Limit: 10},
		Entry{At: o.at(2, 11), Kind: "taken", Seat: held, Account: seat(1), Actor: boss, Mode: "pool"},
		Entry{At: o.at(2, 14), Kind: "gap", Since: o.at(2, 13), Mode: "pool"},
	)
	o.read(time.Now())
	d := o.statement(2)
	require.Len(t, d.Taken, 1)
	require.Equal(t, "He left.", d.Taken[0].Reason)
	require.Equal(t, licence.AccountName(boss), d.Taken[0].Actor)
	require.Equal(t, []GapRow{{o.at(2, 13).UTC(), o.at(2, 14).UTC()}}, d.Gaps)
	require.Equal(t, []bool{false, true, false}, []bool{d.Hours[12].Gap, d.Hours[13].Gap, d.Hours[14].Gap})
	require.True(t, d.Day.Gap)
}

func TestUseByHourBeginsAtTheLastStatement(t *testing.T) {
	o := setup(t)
	o.worked(3, 9, 0, 1, "pool")
	o.worked(1, 9, 12, 2, "pool")
	o.read(time.Now())
	hours := func() []int32 {
		list := Hours(o.at(1, 8), o.at(1, 13))
		require.NoError(t, o.Hours(t.Context(), o.licence.ID, list))
		peaks := make([]int32, len(list))
		for i, hour := range list {
			peaks[i] = hour.Peak
		}
		return peaks
	}
	require.Equal(t, []int32{1, 2, 2, 2, 1}, hours())
	o.statement(2)
	require.Equal(t, []int32{1, 2, 2, 2, 1}, hours())
	require.Empty(t, func() []*Usage { return Hours(o.at(1, 8), o.at(1, 8)) }())
}

func TestSeatsBeyondTheLimitAreThoseThatWereClaimed(t *testing.T) {
	o := setup(t)
	s := NewServer(Deps{Maker: o.Maker, Clock: clock.System{}})
	beyond := func(n, from, until int) uuid.UUID {
		held := uuid.NewSHA1(o.licence.ID, fmt.Append(nil, "beyond", n))
		o.exec(`INSERT INTO seat_overdraft (seat, licence, account, period, created) VALUES ($1, $2, $3, '2026-10', now())`, held, o.licence.ID, seat(n))
		if from > 0 {
			o.writes(Entry{At: o.at(2, from), Kind: "claimed", Seat: held, Account: seat(n), Mode: "overdraft", Limit: 10})
		}
		if until > 0 {
			o.writes(Entry{At: o.at(2, until), Kind: "expired", Seat: held, Account: seat(n), Mode: "overdraft"})
		}
		return held
	}
	first := beyond(1, 9, 12)
	beyond(2, 11, 13)
	beyond(3, 13, 0)
	beyond(4, 0, 0) // It was about to be claimed.
	found := beyond(5, 0, 0)
	o.writes(Entry{At: o.at(2, 11), Kind: "claimed", Seat: found, Account: seat(5), Mode: "pool", Limit: 10}) // It found room.
	rows, err := s.overdraft(t.Context(), o.licence.ID, "2026-10", after{}, 10)
	require.NoError(t, err)
	require.Len(t, rows, 3)
	require.Equal(t, first, rows[0].Seat)
	require.True(t, ended(rows[0]))
	require.False(t, ended(rows[2]))
	rest, err := s.overdraft(t.Context(), o.licence.ID, "2026-10", after{rows[0].Started, rows[0].Seat}, 10)
	require.NoError(t, err)
	require.Equal(t, rows[1:], rest)
	peak, err := s.peak(t.Context(), o.licence.ID, "2026-10")
	require.NoError(t, err)
	require.EqualValues(t, 2, peak)
	none, err := s.overdraft(t.Context(), o.licence.ID, "2026-09", after{}, 10)
	require.NoError(t, err)
	require.Empty(t, none)

	// A loss that its holder did not outlive ends it.
	o.writes(Entry{At: o.at(2, 15), Kind: "recovering", Mode: "pool"})
	rows, err = s.overdraft(t.Context(), o.licence.ID, "2026-10", after{}, 10)
	require.NoError(t, err)
	require.Equal(t, o.at(2, 15).UTC(), rows[2].Ended.UTC())
}

func TestAdviceIsSaidInTheCallersLanguage(t *testing.T) {
	texts, err := LoadTexts()
	require.NoError(t, err)
	a := Advise(days(20, Day{Peak: 7}), 10)
	require.Equal(t, "Peak 7 of 10, refused 0. As many as are needed.", texts.Say(a, 10, "en"))
	require.Equal(t, "Vienlaikus ne vairāk kā 7 no 10, atteikumi: 0. Vietu ir tik, cik vajag.", texts.Say(a, 10, "lv"))
	require.Equal(t, texts.Say(a, 10, "en"), texts.Say(a, 10, "sv"))
	for lang, sentences := range texts.sentences {
		require.Len(t, sentences, 5, lang)
	}
}
