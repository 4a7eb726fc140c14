package seatreport

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/seattoken"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// Document is a statement as it is signed; docs/seat-statement-format.md describes it.
type Document struct {
	Version  int        `json:"version"`
	Issuer   string     `json:"iss"`
	Use      string     `json:"use"`
	Licence  string     `json:"licence"`
	Date     civil.Date `json:"date"`
	Zone     string     `json:"timeZone"`
	Day      Row        `json:"day"`
	Hours    []Row      `json:"hours"`
	Taken    []Taken    `json:"taken"`
	Gaps     []GapRow   `json:"gaps"`
	HeldLast int        `json:"heldAtEnd"`
	Created  time.Time  `json:"createTime"`
}

// Row is the use of a span.
type Row struct {
	Start         time.Time  `json:"startTime"`
	End           time.Time  `json:"endTime"`
	Peak          int32      `json:"peak"`
	PeakTime      *time.Time `json:"peakTime,omitempty"`
	Limit         int32      `json:"limit"`
	UsedSeconds   int64      `json:"usedSeconds"`
	Claims        int32      `json:"claims"`
	Refusals      int32      `json:"refusals"`
	RefusedPeople int32      `json:"refusedPeople"`
	OverdraftPeak int32      `json:"overdraftPeak"`
	GuestPeak     int32      `json:"guestPeak"`
	Gap           bool       `json:"gap"`
}

// Taken is a seat that was taken from its holder.
type Taken struct {
	Seat    string    `json:"seat"`
	Account string    `json:"account"`
	Actor   string    `json:"actor"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// GapRow is a time in which what happened may be missing.
type GapRow struct {
	Start time.Time `json:"startTime"`
	End   time.Time `json:"endTime"`
}

const (
	documentVersion = 1
	documentUse     = "seat-statement"
	documentType    = "kontor-seat-statement"
	// maxDetails is how many taken seats and gaps a statement lists.
	maxDetails = 1000
)

func rowOf(u Usage) Row {
	r := Row{
		Start: u.Start.UTC(), End: u.End.UTC(), Peak: u.Peak, Limit: u.Limit, UsedSeconds: int64(u.Used / time.Second), Claims: u.Claims,
		Refusals: u.Refusals, RefusedPeople: u.RefusedPeople, OverdraftPeak: u.OverdraftPeak, GuestPeak: u.GuestPeak, Gap: u.Gap,
	}
	if !u.PeakTime.IsZero() {
		at := u.PeakTime.UTC()
		r.PeakTime = &at
	}
	return r
}

// sign signs a document.
func sign(key jwk.Key, d Document) (string, error) {
	payload, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, documentType); err != nil {
		return "", err
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.EdDSA(), key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("sign a seat statement: %w", err)
	}
	return string(signed), nil
}

// parse reads what was signed here; the database keeps it as it was.
func parse(signed string) (d Document, err error) {
	message, err := jws.ParseString(signed)
	if err != nil {
		return d, fmt.Errorf("seatreport: %w", err)
	}
	if err := json.Unmarshal(message.Payload(), &d); err != nil {
		return d, fmt.Errorf("seatreport: %w", err)
	}
	if d.Version != documentVersion || d.Use != documentUse || d.Issuer != seattoken.Issuer {
		return d, errors.New("seatreport: a statement of another kind")
	}
	return d, nil
}

// message is a row as callers see it.
func (r Row) message() *licensingv1.SeatUsage {
	m := &licensingv1.SeatUsage{
		StartTime: timestamppb.New(r.Start), EndTime: timestamppb.New(r.End), Peak: r.Peak, Limit: r.Limit, UsedSeconds: r.UsedSeconds,
		Claims: r.Claims, Refusals: r.Refusals, RefusedPeople: r.RefusedPeople, OverdraftPeak: r.OverdraftPeak, GuestPeak: r.GuestPeak,
		Gap: r.Gap,
	}
	if r.PeakTime != nil {
		m.PeakTime = timestamppb.New(*r.PeakTime)
	}
	return m
}

// statementName is `subscribers/S/licences/L/seatStatements/2026-11-22`.
func statementName(licenceName string, date civil.Date) string {
	return licenceName + statements + date.String()
}

// message is a statement as callers see it; a list shows it without details.
func (d Document) message(details bool) *licensingv1.SeatStatement {
	m := &licensingv1.SeatStatement{
		Name: statementName(d.Licence, d.Date), TimeZone: d.Zone, Day: d.Day.message(), HeldAtEnd: int32(d.HeldLast),
		CreateTime: timestamppb.New(d.Created),
	}
	if !details {
		return m
	}
	for _, hour := range d.Hours {
		m.Hours = append(m.Hours, hour.message())
	}
	for _, t := range d.Taken {
		m.Taken = append(m.Taken, &licensingv1.TakenSeat{
			Seat: t.Seat, Account: t.Account, Actor: t.Actor, Reason: t.Reason, Time: timestamppb.New(t.Time),
		})
	}
	for _, gap := range d.Gaps {
		m.Gaps = append(m.Gaps, &licensingv1.SeatGap{StartTime: timestamppb.New(gap.Start), EndTime: timestamppb.New(gap.End)})
	}
	return m
}

// taken is an entry as the document has it; the reason is filled in later.
func taken(l licence.Licence, e Entry) Taken {
	t := Taken{Seat: licence.Name(l.Subscriber, l.ID) + "/seats/" + e.Seat.String(), Account: licence.AccountName(e.Account), Time: e.At.UTC()}
	if e.Actor != uuid.Nil {
		t.Actor = licence.AccountName(e.Actor)
	}
	return t
}
