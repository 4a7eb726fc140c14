package client

import (
	"slices"
	"strconv"
	"strings"
)

// What somebody can do who got no seat.
const (
	// OfferWait is to wait in line: Session.WaitForSeat.
	OfferWait = "wait"
	// OfferAsk is to ask one of the holders: Session.AskForSeat.
	OfferAsk = "ask"
	// OfferTakeBack is to end the work that the person left on another device: SeatRequest.TakeBack.
	OfferTakeBack = "take_back"
	// OfferReadOnly is to read only: SeatRequest.ReadOnly.
	OfferReadOnly = "read_only"
)

// SeatsTakenError says that all seats are held. RetryAfter tells when the next is surely free, if its holder is gone.
type SeatsTakenError struct {
	// Limit is how many there are: in the licence, or with InCompany in the company, with ForProduct for the product.
	Limit      int
	InCompany  bool
	ForProduct bool
	// Holders names who holds them, for people: who, where, since when, and how long they have not worked.
	Holders string
	// Waiting is how many stand in line.
	Waiting int
	// Licence whose seats they are, `subscribers/S/licences/L`; Session.SeatHolders lists who holds them.
	Licence string
	// Offers are what else can be done, e.g. OfferWait.
	Offers []string
	// Refusal is what Kontor answered.
	Refusal *Error
}

// Error is Kontor's text, which names limit and holders.
func (e *SeatsTakenError) Error() string { return e.Refusal.Error() }

// Unwrap gives the refusal, for Reason and RetryAfter.
func (e *SeatsTakenError) Unwrap() error { return e.Refusal }

// Offered tells whether something is among the offers.
func (e *SeatsTakenError) Offered(offer string) bool { return slices.Contains(e.Offers, offer) }

// seatsTaken makes a *SeatsTakenError of the refusals that say so.
func seatsTaken(err error) error {
	e := asError(err)
	if e == nil || !strings.HasPrefix(e.Reason, "SEATS_EXHAUSTED") {
		return err
	}
	return &SeatsTakenError{
		Limit: e.number("limit"), InCompany: e.Reason == "SEATS_EXHAUSTED_IN_COMPANY", ForProduct: e.Reason == "SEATS_EXHAUSTED_FOR_PRODUCT",
		Holders: e.Values["holders"], Waiting: e.number("waiting"), Licence: e.Values["licence"],
		Offers: strings.FieldsFunc(e.Values["offers"], func(r rune) bool { return r == ',' }), Refusal: e,
	}
}

// number is a value of a refusal; 0 without one: the text still says all.
func (e *Error) number(value string) int {
	n, _ := strconv.Atoi(e.Values[value])
	return n
}
