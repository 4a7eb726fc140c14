package subscriber

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

// ServerDeps are what the server is made of.
type ServerDeps struct {
	DB      *pgxpool.Pool
	Changes *Changes
	Members *member.Members
	People  *people.People
	Pages   *paging.Codec
	Regions Regions
}

// Server is SubscriberService.
type Server struct {
	tenancyv1.UnimplementedSubscriberServiceServer
	d ServerDeps
}

// NewServer returns SubscriberService.
func NewServer(d ServerDeps) *Server { return &Server{d: d} }

// ListSubscribers pages through what the caller belongs to.
func (s *Server) ListSubscribers(ctx context.Context, r *tenancyv1.ListSubscribersRequest) (*tenancyv1.ListSubscribersResponse, error) {
	account, err := CallerAccount(ctx)
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.d.Pages.Start(tenancyv1.SubscriberService_ListSubscribers_FullMethodName, r, &after, account.String())
	if err != nil {
		return nil, err
	}
	rows, err := member.ListOfAccount(ctx, s.d.DB, account, after, page.Limit())
	if err != nil {
		return nil, translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(m member.Member) any { return m.Subscriber })
	if err != nil {
		return nil, err
	}
	memberships, err := s.memberships(ctx, shown)
	return &tenancyv1.ListSubscribersResponse{Memberships: memberships, NextPageToken: next}, err
}

func (s *Server) memberships(ctx context.Context, members []member.Member) ([]*tenancyv1.Membership, error) {
	ids := make([]uuid.UUID, len(members))
	for i, m := range members {
		ids[i] = m.Subscriber
	}
	subscribers, err := list(ctx, s.d.DB, ids)
	if err != nil {
		return nil, translate(err)
	}
	protos, err := s.d.Members.ToProtos(ctx, s.d.People, members)
	if err != nil {
		return nil, err
	}
	memberships := make([]*tenancyv1.Membership, len(members))
	for i, m := range members {
		memberships[i] = &tenancyv1.Membership{Subscriber: ToProto(subscribers[m.Subscriber]), Member: protos[i]}
		if protos[i].GetState() != tenancyv1.MemberState_MEMBER_STATE_ACTIVE {
			memberships[i].Subscriber = outside(subscribers[m.Subscriber])
		}
	}
	return memberships, nil
}

// outside is what somebody without access sees.
func outside(s Subscriber) *tenancyv1.Subscriber {
	return &tenancyv1.Subscriber{Name: s.Name(), Code: s.Code, Title: s.Title}
}

// GetSubscriber shows one.
func (s *Server) GetSubscriber(ctx context.Context, r *tenancyv1.GetSubscriberRequest) (*tenancyv1.GetSubscriberResponse, error) {
	id, err := names.ParseSubscriber(r.GetName())
	if err != nil {
		return nil, err
	}
	found, err := Get(ctx, s.d.DB, id)
	if err != nil {
		return nil, err
	}
	return &tenancyv1.GetSubscriberResponse{Subscriber: ToProto(found)}, nil
}

// UpdateSubscriber changes what the owner may say of it.
func (s *Server) UpdateSubscriber(ctx context.Context, r *tenancyv1.UpdateSubscriberRequest) (*tenancyv1.UpdateSubscriberResponse, error) {
	id, err := names.ParseSubscriber(r.GetSubscriber().GetName())
	if err != nil {
		return nil, err
	}
	change := Change{Wanted: r.GetSubscriber(), Fields: r.GetUpdateMask().GetPaths()}
	after, err := s.change(ctx, id, func(tx pgx.Tx) (Subscriber, error) {
		return s.d.Changes.Update(ctx, tx, id, r.GetSubscriber().GetEtag(), change)
	})
	if err != nil {
		return nil, err
	}
	return &tenancyv1.UpdateSubscriberResponse{Subscriber: ToProto(after)}, nil
}

// ListRegions shows where data can be kept.
func (s *Server) ListRegions(context.Context, *tenancyv1.ListRegionsRequest) (*tenancyv1.ListRegionsResponse, error) {
	return &tenancyv1.ListRegionsResponse{Regions: s.d.Regions}, nil
}

// TransferOwnership offers the ownership to a member.
func (s *Server) TransferOwnership(ctx context.Context, r *tenancyv1.TransferOwnershipRequest) (*tenancyv1.TransferOwnershipResponse, error) {
	account, id, err := callerAnd(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	subscriberOfMember, memberID, err := names.ParseMember(r.GetMember())
	if err != nil {
		return nil, err
	}
	if subscriberOfMember != id {
		return nil, postgres.NotFound(pgx.ErrNoRows, r.GetMember())
	}
	after, err := s.change(ctx, id, func(tx pgx.Tx) (Subscriber, error) {
		return s.d.Changes.Offer(ctx, tx, account, id, memberID)
	})
	if err != nil {
		return nil, err
	}
	return &tenancyv1.TransferOwnershipResponse{Subscriber: ToProto(after)}, nil
}

// CancelOwnershipTransfer takes the offer back.
func (s *Server) CancelOwnershipTransfer(ctx context.Context, r *tenancyv1.CancelOwnershipTransferRequest) (*tenancyv1.CancelOwnershipTransferResponse, error) {
	account, id, err := callerAnd(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	after, err := s.change(ctx, id, func(tx pgx.Tx) (Subscriber, error) {
		return s.d.Changes.CancelOffer(ctx, tx, account, id)
	})
	if err != nil {
		return nil, err
	}
	return &tenancyv1.CancelOwnershipTransferResponse{Subscriber: ToProto(after)}, nil
}

// AcceptOwnership makes the caller the owner.
func (s *Server) AcceptOwnership(ctx context.Context, r *tenancyv1.AcceptOwnershipRequest) (*tenancyv1.AcceptOwnershipResponse, error) {
	account, id, err := callerAnd(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	after, err := s.change(ctx, id, func(tx pgx.Tx) (Subscriber, error) {
		return s.d.Changes.AcceptOffer(ctx, tx, account, id)
	})
	if err != nil {
		return nil, err
	}
	return &tenancyv1.AcceptOwnershipResponse{Subscriber: ToProto(after)}, nil
}

// change runs one change in a transaction and names the owner where only the owner may.
func (s *Server) change(ctx context.Context, id uuid.UUID, do func(tx pgx.Tx) (Subscriber, error)) (after Subscriber, err error) {
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		after, err = do(tx)
		return err
	})
	if errors.Is(err, errNotOwner) {
		found, err := Get(ctx, s.d.DB, id)
		if err != nil {
			return Subscriber{}, err
		}
		return Subscriber{}, OwnerOnly(ctx, s.d.People, found)
	}
	return after, translate(err)
}

func callerAnd(ctx context.Context, name string) (account, subscriber uuid.UUID, err error) {
	if account, err = CallerAccount(ctx); err != nil {
		return account, subscriber, err
	}
	subscriber, err = names.ParseSubscriber(name)
	return account, subscriber, err
}

func translate(err error) error { return member.Constraints().Translate(err) }
