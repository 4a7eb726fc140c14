package licence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence/licencedb"
)

// Store keeps licences in PostgreSQL. Its methods work on the pool or in a transaction.
type Store struct {
	mu    sync.Mutex
	zones map[string]*time.Location
}

// NewStore returns a store.
func NewStore() *Store { return &Store{zones: map[string]*time.Location{}} }

func constraints() postgres.Constraints {
	return postgres.Constraints{
		"licence_one_trial":        commonv1.Reason_REASON_TRIAL_USED,
		"licence_ends_after_start": commonv1.Reason_REASON_LICENCE_TERM_INVALID,
	}
}

// Zone finds a time zone. They are kept, because loading one reads a file.
func (s *Store) Zone(name string) (*time.Location, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if zone, ok := s.zones[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("licence: time zone: %w", err)
	}
	s.zones[name] = zone
	return zone, nil
}

// Given is how a licence came about, beside what it is.
type Given struct {
	Author uuid.UUID // member of staff; nil for a contract
	Reason string
	Price  Price
}

// Insert writes a new licence.
func (s *Store) Insert(ctx context.Context, tx pgx.Tx, l Licence, given Given, now time.Time) error {
	products, err := json.Marshal(l.Terms.Products)
	if err != nil {
		return fmt.Errorf("licence: products: %w", err)
	}
	minor, currency := given.Price.columns()
	err = licencedb.New(tx).InsertLicence(ctx, licencedb.InsertLicenceParams{
		ID: l.ID, Subscriber: l.Subscriber, Kind: string(l.Kind), Plan: l.Plan, Products: products, AddOns: nonNil(l.Terms.AddOns),
		Seats: l.Terms.Limits.Seats, Companies: l.Terms.Limits.Companies, SeatsPerCompany: l.Terms.Limits.SeatsPerCompany,
		Accounts: l.Terms.Limits.Accounts, LeaseSeconds: l.Terms.Limits.LeaseSeconds,
		TermsSince: l.TermsSince, StartDate: l.Start, EndDate: l.End, TimeZone: l.Zone.String(), Starts: l.Starts(),
		Ends: instant(l.Ends()), Contract: optional(l.Contract), Author: optional(given.Author), Reason: given.Reason,
		PriceMinor: minor, PriceCurrency: currency,
		Started: instant(now, l.Started), RemindAt: instant(l.NextReminder()), Created: l.Created,
	})
	return constraints().Translate(err, "start_date", l.Start.String(), "end_date", l.End.String())
}

// Update writes what may change of a licence, and counts its revision up.
func (s *Store) Update(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) error {
	products, err := json.Marshal(l.Terms.Products)
	if err != nil {
		return fmt.Errorf("licence: products: %w", err)
	}
	l.Revision++
	err = licencedb.New(tx).UpdateLicence(ctx, licencedb.UpdateLicenceParams{
		ID: l.ID, Plan: l.Plan, Products: products, AddOns: nonNil(l.Terms.AddOns),
		Seats: l.Terms.Limits.Seats, Companies: l.Terms.Limits.Companies, SeatsPerCompany: l.Terms.Limits.SeatsPerCompany,
		Accounts: l.Terms.Limits.Accounts, LeaseSeconds: l.Terms.Limits.LeaseSeconds, TermsSince: l.TermsSince,
		EndDate: l.End, Ends: instant(l.Ends()), IsStarted: l.Started, IsEnded: l.Ended, Now: now,
		Reminded: int32(l.Reminded), RemindAt: instant(l.NextReminder()), Revision: l.Revision,
	})
	return constraints().Translate(err, "start_date", l.Start.String(), "end_date", l.End.String())
}

// InsertChange records a change by staff.
func (s *Store) InsertChange(ctx context.Context, tx pgx.Tx, licence uuid.UUID, c Change) error {
	minor, currency := c.Price.columns()
	return constraints().Translate(licencedb.New(tx).InsertChange(ctx, licencedb.InsertChangeParams{
		ID: c.ID, Licence: licence, Field: c.Field, OldValue: c.Old, NewValue: c.New, UntilDate: c.Until, Reason: c.Reason,
		PriceMinor: minor, PriceCurrency: currency, Author: c.Author, Created: c.Created,
	}))
}

// Get reads a licence with its changes.
func (s *Store) Get(ctx context.Context, db licencedb.DBTX, subscriber, id uuid.UUID) (Licence, error) {
	row, err := licencedb.New(db).GetLicence(ctx, licencedb.GetLicenceParams{Subscriber: subscriber, ID: id})
	if err != nil {
		return Licence{}, postgres.NotFound(err, Name(subscriber, id))
	}
	return s.one(ctx, db, row)
}

// Lock reads a licence with its changes and keeps others from changing it until the transaction ends.
func (s *Store) Lock(ctx context.Context, tx pgx.Tx, subscriber, id uuid.UUID) (Licence, error) {
	row, err := licencedb.New(tx).LockLicence(ctx, licencedb.LockLicenceParams{Subscriber: subscriber, ID: id})
	if err != nil {
		return Licence{}, postgres.NotFound(err, Name(subscriber, id))
	}
	return s.one(ctx, tx, row)
}

// LockTrial is Lock for the one trial of a subscriber; false when it had none.
func (s *Store) LockTrial(ctx context.Context, tx pgx.Tx, subscriber uuid.UUID) (Licence, bool, error) {
	row, err := licencedb.New(tx).LockTrial(ctx, subscriber)
	if errors.Is(err, pgx.ErrNoRows) {
		return Licence{}, false, nil
	}
	if err != nil {
		return Licence{}, false, constraints().Translate(err)
	}
	l, err := s.one(ctx, tx, row)
	return l, err == nil, err
}

// Of reads all licences of a subscriber, the oldest first.
func (s *Store) Of(ctx context.Context, db licencedb.DBTX, subscriber uuid.UUID) ([]Licence, error) {
	rows, err := licencedb.New(db).LicencesOf(ctx, subscriber)
	if err != nil {
		return nil, constraints().Translate(err)
	}
	return s.many(ctx, db, rows)
}

// List reads a page of a subscriber's licences, the newest first; those made before one, if one is named.
func (s *Store) List(ctx context.Context, db licencedb.DBTX, subscriber, before uuid.UUID, count int32) ([]Licence, error) {
	rows, err := licencedb.New(db).ListLicences(ctx, licencedb.ListLicencesParams{
		Subscriber: subscriber, Before: optional(before), Count: count,
	})
	if err != nil {
		return nil, constraints().Translate(err)
	}
	return s.many(ctx, db, rows)
}

// ListChanges reads a page of a licence's changes, the newest first.
func (s *Store) ListChanges(ctx context.Context, db licencedb.DBTX, subscriber, licence, before uuid.UUID, count int32) ([]Change, error) {
	rows, err := licencedb.New(db).ListChanges(ctx, licencedb.ListChangesParams{
		Subscriber: subscriber, Licence: licence, Before: optional(before), Count: count,
	})
	if err != nil {
		return nil, constraints().Translate(err)
	}
	changes := make([]Change, 0, len(rows))
	for _, row := range rows {
		changes = append(changes, changeOf(row))
	}
	return changes, nil
}

func (s *Store) one(ctx context.Context, db licencedb.DBTX, row licencedb.Licence) (Licence, error) {
	all, err := s.many(ctx, db, []licencedb.Licence{row})
	if err != nil {
		return Licence{}, err
	}
	return all[0], nil
}

func (s *Store) many(ctx context.Context, db licencedb.DBTX, rows []licencedb.Licence) ([]Licence, error) {
	all := make([]Licence, 0, len(rows))
	ids := make([]uuid.UUID, 0, len(rows))
	for _, row := range rows {
		l, err := s.licenceOf(row)
		if err != nil {
			return nil, err
		}
		all, ids = append(all, l), append(ids, l.ID)
	}
	if len(ids) == 0 {
		return all, nil
	}
	changes, err := licencedb.New(db).ChangesOf(ctx, ids)
	if err != nil {
		return nil, constraints().Translate(err)
	}
	for _, c := range changes {
		for i := range all {
			if all[i].ID == c.Licence {
				all[i].Changes = append(all[i].Changes, changeOf(c))
			}
		}
	}
	return all, nil
}

func (s *Store) licenceOf(row licencedb.Licence) (Licence, error) {
	zone, err := s.Zone(row.TimeZone)
	if err != nil {
		return Licence{}, err
	}
	l := Licence{
		ID: row.ID, Subscriber: row.Subscriber, Kind: catalogue.Kind(row.Kind), Plan: row.Plan,
		Terms: Terms{AddOns: row.AddOns, Limits: catalogue.Limits{
			Seats: row.Seats, Companies: row.Companies, SeatsPerCompany: row.SeatsPerCompany,
			Accounts: row.Accounts, LeaseSeconds: row.LeaseSeconds,
		}},
		TermsSince: row.TermsSince.UTC(), Start: row.StartDate, End: row.EndDate, Zone: zone, Contract: value(row.Contract),
		Started: row.Started != nil, Ended: row.Ended != nil, Reminded: int(row.Reminded),
		Revision: row.Revision, Created: row.Created.UTC(),
	}
	if err := json.Unmarshal(row.Products, &l.Terms.Products); err != nil {
		return Licence{}, fmt.Errorf("licence %s: products: %w", row.ID, err)
	}
	return l, nil
}

func changeOf(row licencedb.LicenceChange) Change {
	c := Change{
		ID: row.ID, Field: row.Field, Old: row.OldValue, New: row.NewValue, Until: row.UntilDate, Reason: row.Reason,
		Author: row.Author, Created: row.Created.UTC(),
	}
	if row.PriceCurrency != nil && row.PriceMinor != nil {
		c.Price = Price{Currency: *row.PriceCurrency, Minor: *row.PriceMinor}
	}
	return c
}

func (p Price) columns() (minor *int64, currency *string) {
	if p.Currency == "" {
		return nil, nil
	}
	return &p.Minor, &p.Currency
}

func instant(t time.Time, ok bool) *time.Time {
	if !ok {
		return nil
	}
	return &t
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func value(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

// nonNil keeps an empty list from becoming NULL.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
