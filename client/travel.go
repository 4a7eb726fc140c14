package client

import (
	"context"
	"fmt"

	"kontor.internal/client/travelseat"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// TravelRequest says who travels with what.
type TravelRequest struct {
	// SeatRequest says whose seat for what; ReadOnly and TakeBack mean nothing here.
	SeatRequest
	// Days that the seat is good from now; the plan says how many at the most.
	Days int
	// RequestID is from RequestID: repeating a request with it takes no second seat.
	RequestID string
}

// TravelSeat is a seat that is out with a device. Keep File and Keys on the device: package travelseat checks the one with the
// other, without a network.
type TravelSeat struct {
	// Name is `subscribers/S/licences/L/travelSeats/T`.
	Name string
	// File is the seat. Whoever has it and the device works: keep it as safe as a password.
	File []byte
	// Keys are Kontor's public keys at that time, a JSON Web Key Set.
	Keys []byte
	// Seat is what the file says.
	Seat travelseat.Seat
}

// CreateTravelSeat takes a seat out for a device without a network. The file was checked: its signature is good and it is for
// that device and company. When it is not, the seat is answered beside the error, to bring it back by its name. Reasons of a
// refusal: SEAT_TRAVEL_REFUSED, and those of HoldSeat, *SeatsTakenError among them.
func (s *Session) CreateTravelSeat(ctx context.Context, request TravelRequest) (*TravelSeat, error) {
	made, err := licensingv1.NewTravelSeatServiceClient(s.Conn()).CreateTravelSeat(ctx, &licensingv1.CreateTravelSeatRequest{
		Parent: request.Subscriber, Company: request.Company, Product: request.Product,
		DeviceId: request.DeviceID, DeviceTitle: request.DeviceTitle, Days: int32(request.Days), RequestId: request.RequestID,
	})
	if err != nil {
		return nil, seatsTaken(err)
	}
	out := &TravelSeat{Name: made.GetTravelSeat().GetName(), File: made.GetFile()}
	published, err := licensingv1.NewKeyServiceClient(s.Conn()).GetJwks(ctx, &licensingv1.GetJwksRequest{})
	if err != nil {
		return out, err
	}
	out.Keys = published.GetJwks()
	return out, out.check(request)
}

func (t *TravelSeat) check(request TravelRequest) error {
	keys, err := travelseat.ParseKeys(t.Keys)
	if err != nil {
		return err
	}
	if t.Seat, err = travelseat.Open(t.File, keys); err != nil {
		return err
	}
	if t.Seat.Name != t.Name || t.Seat.Company != request.Company || t.Seat.Device != request.DeviceID {
		return fmt.Errorf("the file is of %s for %s on %s", t.Seat.Name, t.Seat.Company, t.Seat.Device)
	}
	return nil
}

// ReturnTravelSeat brings a seat, `subscribers/S/licences/L/travelSeats/T`, back before its time: it is free at once. Delete
// its file first. Repeating it changes nothing.
func (s *Session) ReturnTravelSeat(ctx context.Context, name string) error {
	_, err := licensingv1.NewTravelSeatServiceClient(s.Conn()).ReturnTravelSeat(ctx, &licensingv1.ReturnTravelSeatRequest{Name: name})
	return err
}
