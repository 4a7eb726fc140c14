package seat

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// GuestServer answers GuestSeatService.
type GuestServer struct {
	licensingv1.UnimplementedGuestSeatServiceServer
	*Server
}

func guestName(of Pool, id uuid.UUID) string {
	return licence.Name(of.Subscriber, of.Licence) + "/guestSeats/" + id.String()
}

func guestMessage(g Invitation) *licensingv1.GuestSeat {
	of := Pool{Subscriber: g.Subscriber, Licence: g.Licence}
	m := &licensingv1.GuestSeat{
		Name: guestName(of, g.ID), Account: licence.AccountName(g.Account), Company: of.companyName(g.Company), Product: g.Product,
		StartTime: timestamppb.New(g.Starts), ExpireTime: timestamppb.New(g.Ends), Reason: g.Reason,
	}
	if g.Ended != nil {
		m.EndTime = timestamppb.New(*g.Ended)
	}
	return m
}

func asFull(err error) *Full {
	full, _ := errors.AsType[*Full](err)
	return full
}

// CreateGuestSeat invites a guest.
func (s *GuestServer) CreateGuestSeat(ctx context.Context, req *licensingv1.CreateGuestSeatRequest) (*licensingv1.CreateGuestSeatResponse, error) {
	of, err := parsePool(req.GetParent())
	if err != nil {
		return nil, err
	}
	limits, err := s.deps.Entitled.Of(ctx, of, req.GetGuestSeat().GetProduct())
	if err != nil {
		return nil, err
	}
	g, err := s.invitation(ctx, of, req)
	if err != nil {
		return nil, err
	}
	if known, err := s.deps.Pools.Invitation(ctx, of, g.ID); err == nil && known.Account == g.Account && known.Company == g.Company {
		return &licensingv1.CreateGuestSeatResponse{GuestSeat: guestMessage(known)}, nil
	}
	if err := s.mayWork(ctx, req.GetGuestSeat().GetAccount(), req.GetGuestSeat().GetCompany()); err != nil {
		return nil, err
	}
	err = s.deps.Pools.Invite(ctx, g, limits)
	if failure.Reason(err) == commonv1.Reason_REASON_CONFLICT {
		g, err = s.deps.Pools.Invitation(ctx, of, g.ID)
	}
	if err != nil {
		return nil, err
	}
	return &licensingv1.CreateGuestSeatResponse{GuestSeat: guestMessage(g)}, nil
}

func (s *GuestServer) invitation(ctx context.Context, of Pool, req *licensingv1.CreateGuestSeatRequest) (Invitation, error) {
	wanted := req.GetGuestSeat()
	author, err := licence.ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return Invitation{}, err
	}
	account, err := licence.ParseAccount(wanted.GetAccount())
	if err != nil {
		return Invitation{}, err
	}
	company, err := companyOf(licence.SubscriberName(of.Subscriber), wanted.GetCompany())
	if err != nil {
		return Invitation{}, err
	}
	now := s.deps.Real.Now().Truncate(time.Microsecond)
	g := Invitation{
		ID: idOf(of, author, req.GetRequestId()), Subscriber: of.Subscriber, Licence: of.Licence, Account: account, Company: company, Product: wanted.GetProduct(),
		Starts: now, Ends: wanted.GetExpireTime().AsTime().Truncate(time.Microsecond), Reason: wanted.GetReason(), Author: author, Created: now,
	}
	if wanted.GetStartTime() != nil && wanted.GetStartTime().AsTime().After(now) {
		g.Starts = wanted.GetStartTime().AsTime().Truncate(time.Microsecond)
	}
	return g, nil
}

// EndGuestSeat ends an invitation before its time.
func (s *GuestServer) EndGuestSeat(ctx context.Context, req *licensingv1.EndGuestSeatRequest) (*licensingv1.EndGuestSeatResponse, error) {
	of, seat, err := parseChild(req.GetName(), "/guestSeats/")
	if err != nil {
		return nil, err
	}
	g, err := s.deps.Pools.Invitation(ctx, of, seat)
	if err != nil {
		return nil, err
	}
	if g, err = s.deps.Pools.Uninvite(ctx, of, g, by(caller.From(ctx))); err != nil {
		return nil, err
	}
	return &licensingv1.EndGuestSeatResponse{GuestSeat: guestMessage(g)}, nil
}

// ListGuestSeats pages through the invitations, the latest first.
func (s *GuestServer) ListGuestSeats(ctx context.Context, req *licensingv1.ListGuestSeatsRequest) (*licensingv1.ListGuestSeatsResponse, error) {
	of, err := parsePool(req.GetParent())
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Entitled.Of(ctx, of, ""); err != nil {
		return nil, err
	}
	var before latest
	page, err := s.deps.Pages.Start(licensingv1.GuestSeatService_ListGuestSeats_FullMethodName, req, &before)
	if err != nil {
		return nil, err
	}
	rows, err := seatdb.New(s.deps.Pools.deps.DB).ListGuestSeats(ctx, seatdb.ListGuestSeatsParams{
		Licence: of.Licence, Before: before.Created, BeforeID: before.ID, Most: page.Limit(),
	})
	if err != nil {
		return nil, translate(err)
	}
	rows, next, err := paging.Finish(page, rows, func(g Invitation) any { return latest{&g.Created, g.ID} })
	out := &licensingv1.ListGuestSeatsResponse{NextPageToken: next}
	for _, g := range rows {
		out.GuestSeats = append(out.GuestSeats, guestMessage(g))
	}
	return out, err
}
