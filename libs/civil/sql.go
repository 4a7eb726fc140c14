package civil

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

var (
	_ pgtype.DateValuer  = Date{}
	_ pgtype.DateScanner = (*Date)(nil)
	_ pgtype.DateValuer  = Month{}
	_ pgtype.DateScanner = (*Month)(nil)
)

// DateValue gives pgx the date column's value; the zero value is NULL.
func (d Date) DateValue() (pgtype.Date, error) {
	if d.IsZero() {
		return pgtype.Date{}, nil
	}
	if !d.IsValid() {
		return pgtype.Date{}, fmt.Errorf("civil: there is no date %s", d)
	}
	return pgtype.Date{Time: d.In(time.UTC), Valid: true}, nil
}

// ScanDate takes a date column's value from pgx; NULL is the zero value. PostgreSQL's infinities are refused.
func (d *Date) ScanDate(value pgtype.Date) error {
	switch {
	case !value.Valid:
		*d = Date{}
	case value.InfinityModifier != pgtype.Finite:
		return errors.New("civil: an infinite date")
	default:
		*d = DateOf(value.Time, time.UTC)
	}
	return nil
}

// Value gives database/sql the date as a time at midnight UTC; the zero value is NULL.
func (d Date) Value() (driver.Value, error) {
	value, err := d.DateValue()
	if err != nil || !value.Valid {
		return nil, err
	}
	return value.Time, nil
}

// Scan takes a date from database/sql as a time, whose clock and zone are dropped, or as ISO text.
func (d *Date) Scan(src any) error {
	switch value := src.(type) {
	case nil:
		*d = Date{}
		return nil
	case time.Time:
		*d = DateOf(value, value.Location())
		return nil
	case string:
		return d.UnmarshalText([]byte(value))
	case []byte:
		return d.UnmarshalText(value)
	default:
		return fmt.Errorf("civil: can't read a date from %T", src)
	}
}

// DateValue gives pgx the month as the date of its first day; the zero value is NULL.
func (m Month) DateValue() (pgtype.Date, error) {
	if m.IsZero() {
		return pgtype.Date{}, nil
	}
	return m.First().DateValue()
}

// ScanDate takes a month from pgx from the date of its first day. Another day is refused: such a row was not written as
// a month.
func (m *Month) ScanDate(value pgtype.Date) error {
	var date Date
	if err := date.ScanDate(value); err != nil {
		return err
	}
	return m.setFirst(date)
}

// Value gives database/sql the month as its first day at midnight UTC; the zero value is NULL.
func (m Month) Value() (driver.Value, error) {
	if m.IsZero() {
		return nil, nil //nolint:nilnil // NULL is written so in database/sql
	}
	return m.First().Value()
}

// Scan takes a month from database/sql from the date of its first day.
func (m *Month) Scan(src any) error {
	var date Date
	if err := date.Scan(src); err != nil {
		return err
	}
	return m.setFirst(date)
}

func (m *Month) setFirst(date Date) error {
	if !date.IsZero() && date.Day != 1 {
		return fmt.Errorf("civil: a month is stored as its first day, found %s", date)
	}
	*m = date.MonthOf()
	return nil
}
