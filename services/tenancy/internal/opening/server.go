package opening

import (
	"context"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// Server is OpeningService.
type Server struct {
	tenancyv1.UnimplementedOpeningServiceServer
	sessions *Sessions
	pages    *paging.Codec
}

// NewServer returns OpeningService.
func NewServer(sessions *Sessions, pages *paging.Codec) *Server {
	return &Server{sessions: sessions, pages: pages}
}

// OpenCompany opens a data area for the holder of a seat.
func (s *Server) OpenCompany(ctx context.Context, r *tenancyv1.OpenCompanyRequest) (*tenancyv1.OpenCompanyResponse, error) {
	subscriberID, companyID, err := names.ParseCompany(r.GetName())
	if err != nil {
		return nil, err
	}
	account, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return nil, err
	}
	wanted := Request{Subscriber: subscriberID, Company: companyID, Account: account, Area: r.GetDataArea(), Token: r.GetSeatToken()}
	if r.GetCopy() != "" {
		target, err := names.ParseTarget(r.GetCopy())
		if err != nil {
			return nil, err
		}
		wanted.Copy = &target
	}
	return s.sessions.Open(ctx, wanted)
}

// CloseSession ends a session of the caller's.
func (s *Server) CloseSession(ctx context.Context, r *tenancyv1.CloseSessionRequest) (*tenancyv1.CloseSessionResponse, error) {
	subscriberID, companyID, id, err := names.ParseSession(r.GetName())
	if err != nil {
		return nil, err
	}
	account, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return nil, err
	}
	session, err := get(ctx, s.sessions.d.DB, subscriberID, companyID, id)
	if err != nil {
		return nil, err
	}
	if session.Account != account { // Whether somebody else's is there is not the caller's to know.
		return nil, failure.NotFound(r.GetName())
	}
	err = s.sessions.endThese(ctx, []uuid.UUID{id}, tenancyv1.SessionEnd_SESSION_END_CLOSED)
	return &tenancyv1.CloseSessionResponse{}, err
}

// ListSessions shows who has a company open.
func (s *Server) ListSessions(ctx context.Context, r *tenancyv1.ListSessionsRequest) (*tenancyv1.ListSessionsResponse, error) {
	subscriberID, companyID, err := names.ParseCompany(r.GetParent())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.pages.Start(tenancyv1.OpeningService_ListSessions_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.sessions.d.DB, subscriberID, companyID, after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(s Session) any { return s.ID })
	if err != nil {
		return nil, err
	}
	answer := &tenancyv1.ListSessionsResponse{NextPageToken: next}
	for _, session := range shown {
		answer.Sessions = append(answer.Sessions, session.ToProto())
	}
	return answer, nil
}
