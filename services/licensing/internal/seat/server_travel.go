package seat

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/seattoken"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// TravelServer answers TravelSeatService.
type TravelServer struct {
	licensingv1.UnimplementedTravelSeatServiceServer
	*Server
}

func travelName(of Pool, id uuid.UUID) string {
	return licence.Name(of.Subscriber, of.Licence) + "/travelSeats/" + id.String()
}

// parseChild reads the name of something of a licence's. Another name is NOT_FOUND.
func parseChild(name, collection string) (Pool, uuid.UUID, error) {
	parent, last, _ := strings.Cut(name, collection)
	child, err := id.Parse(last)
	if err != nil {
		return Pool{}, uuid.Nil, failure.NotFound(name)
	}
	of, err := parsePool(parent)
	return of, child, err
}

func travelMessage(t Traveller) *licensingv1.TravelSeat {
	of := Pool{Subscriber: t.Subscriber, Licence: t.Licence}
	m := &licensingv1.TravelSeat{
		Name: travelName(of, t.ID), Account: licence.AccountName(t.Account), Company: of.companyName(t.Company), Product: t.Product,
		DeviceId: t.DeviceID, DeviceTitle: t.DeviceTitle, Slot: t.Slot, StartTime: timestamppb.New(t.Starts), ExpireTime: timestamppb.New(t.Ends),
	}
	if t.Returned != nil {
		m.ReturnTime = timestamppb.New(*t.Returned)
	}
	return m
}

// CreateTravelSeat takes a seat out for one device.
func (s *TravelServer) CreateTravelSeat(ctx context.Context, req *licensingv1.CreateTravelSeatRequest) (*licensingv1.CreateTravelSeatResponse, error) {
	r, err := s.request(ctx, req)
	if err != nil {
		return nil, err
	}
	of, limits, err := s.deps.Entitled.ToWork(ctx, req.GetParent(), req.GetProduct())
	if err != nil {
		return nil, err
	}
	seat := idOf(of, r.Account, req.GetRequestId())
	if known, err := s.answered(ctx, of, seat); err == nil {
		return known, nil
	}
	t, err := s.deps.Pools.SendOut(ctx, of, seat, r, limits, req.GetDays(), s.file)
	if err != nil { // Unless the same request was first elsewhere, at the same instant.
		if known, answeredErr := s.answered(ctx, of, seat); answeredErr == nil {
			return known, nil
		}
	}
	if full := asFull(err); full != nil {
		return nil, s.exhausted(ctx, of, r, limits, full)
	}
	if err != nil {
		return nil, err
	}
	return &licensingv1.CreateTravelSeatResponse{TravelSeat: travelMessage(t), File: t.File}, nil
}

// answered answers a request that was answered before. That the seat is counted is made sure of: the first time may have been
// cut short.
func (s *TravelServer) answered(ctx context.Context, of Pool, seat uuid.UUID) (*licensingv1.CreateTravelSeatResponse, error) {
	t, err := s.deps.Pools.Traveller(ctx, of, seat)
	if err != nil {
		return nil, err
	}
	return &licensingv1.CreateTravelSeatResponse{TravelSeat: travelMessage(t), File: t.File}, s.stillOut(ctx, of, t)
}

// stillOut makes sure that a seat that is out is counted.
func (s *TravelServer) stillOut(ctx context.Context, of Pool, t Traveller) error {
	if t.Returned != nil || !t.Ends.After(s.deps.Real.Now()) {
		return nil
	}
	return s.deps.Pools.count(ctx, of, t)
}

// travelHeader is the first line of a travel seat's file; the format is in docs/travel-seat-format.md.
const travelHeader = "kontor-travel-seat 1\n"

// travelClaims are what a travel seat's file says.
type travelClaims struct {
	Issuer  string `json:"iss"`
	Use     string `json:"use"`
	Name    string `json:"name"`
	Account string `json:"account"`
	Company string `json:"company"`
	Product string `json:"product"`
	Device  string `json:"device"`
	Slot    int32  `json:"slot"`
	Issued  int64  `json:"iat"`
	Start   int64  `json:"nbf"`
	Expire  int64  `json:"exp"`
}

// file signs what the device keeps.
func (s *TravelServer) file(t Traveller) ([]byte, error) {
	key, err := s.deps.Signer.Signing()
	if err != nil {
		return nil, err
	}
	m := travelMessage(t)
	payload, err := json.Marshal(travelClaims{
		Issuer: seattoken.Issuer, Use: "travel-seat", Name: m.GetName(), Account: m.GetAccount(), Company: m.GetCompany(),
		Product: t.Product, Device: t.DeviceID, Slot: t.Slot, Issued: t.Created.Unix(), Start: t.Starts.Unix(), Expire: t.Ends.Unix(),
	})
	if err != nil {
		return nil, err
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.TypeKey, "kontor-travel-seat"); err != nil {
		return nil, err
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.EdDSA(), key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return nil, fmt.Errorf("sign a travel seat: %w", err)
	}
	return append(append([]byte(travelHeader), signed...), '\n'), nil
}

// ReturnTravelSeat brings a seat back before its time.
func (s *TravelServer) ReturnTravelSeat(ctx context.Context, req *licensingv1.ReturnTravelSeatRequest) (*licensingv1.ReturnTravelSeatResponse, error) {
	of, seat, err := parseChild(req.GetName(), "/travelSeats/")
	if err != nil {
		return nil, err
	}
	t, err := s.deps.Pools.Traveller(ctx, of, seat)
	if err != nil {
		return nil, err
	}
	who := caller.From(ctx)
	if licence.AccountName(t.Account) != who.Account {
		if err := s.deps.Authorizer.Allowed(ctx, authv1.Permission_PERMISSION_SEATS_MANAGE, req.GetName()); err != nil {
			return nil, err
		}
	}
	if t, err = s.deps.Pools.BringBack(ctx, of, t, by(who)); err != nil {
		return nil, err
	}
	return &licensingv1.ReturnTravelSeatResponse{TravelSeat: travelMessage(t)}, nil
}

// latest is where a page of what was made latest ends.
type latest struct {
	Created *time.Time
	ID      uuid.UUID
}

// ListTravelSeats pages through the seats that are or were out, the latest first.
func (s *TravelServer) ListTravelSeats(ctx context.Context, req *licensingv1.ListTravelSeatsRequest) (*licensingv1.ListTravelSeatsResponse, error) {
	of, err := parsePool(req.GetParent())
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Entitled.Of(ctx, of, ""); err != nil {
		return nil, err
	}
	var before latest
	page, err := s.deps.Pages.Start(licensingv1.TravelSeatService_ListTravelSeats_FullMethodName, req, &before)
	if err != nil {
		return nil, err
	}
	rows, err := seatdb.New(s.deps.Pools.deps.DB).ListTravelSeats(ctx, seatdb.ListTravelSeatsParams{
		Licence: of.Licence, Before: before.Created, BeforeID: before.ID, Most: page.Limit(),
	})
	if err != nil {
		return nil, translate(err)
	}
	rows, next, err := paging.Finish(page, rows, func(t Traveller) any { return latest{&t.Created, t.ID} })
	out := &licensingv1.ListTravelSeatsResponse{NextPageToken: next}
	for _, t := range rows {
		out.TravelSeats = append(out.TravelSeats, travelMessage(t))
	}
	return out, err
}
