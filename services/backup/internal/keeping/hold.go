package keeping

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/keeping/keepingdb"
	"kontor.internal/services/backup/internal/names"
)

const holds = "legalHolds/"

// Server answers KeepingService.
type Server struct {
	backupv1.UnimplementedKeepingServiceServer
	k *Keeper
}

// NewServer returns a server.
func NewServer(k *Keeper) *Server { return &Server{k: k} }

func holdProto(h keepingdb.LegalHold) *backupv1.LegalHold {
	of := names.Company{Subscriber: h.Subscriber, ID: h.Company}
	told := &backupv1.LegalHold{
		Name: holds + h.ID.String(), Company: of.Name(), Reason: h.Reason, Creator: h.Creator, CreateTime: timestamppb.New(h.CreateTime), Lifter: h.Lifter,
	}
	if h.LiftTime != nil {
		told.LiftTime = timestamppb.New(*h.LiftTime)
	}
	return told
}

// known reads a company that has copies, or may have.
func (k *Keeper) known(ctx context.Context, name string) (names.Company, error) {
	of, err := names.ParseCompany(name)
	if err != nil {
		return of, err
	}
	_, err = k.db().GetCompany(ctx, keepingdb.GetCompanyParams{ID: of.ID, Subscriber: of.Subscriber})
	return of, postgres.NotFound(err, name)
}

// CreateLegalHold places a hold on a company.
func (s *Server) CreateLegalHold(ctx context.Context, req *backupv1.CreateLegalHoldRequest) (*backupv1.CreateLegalHoldResponse, error) {
	of, err := s.k.known(ctx, req.GetCompany())
	if err != nil {
		return nil, err
	}
	return idempotency.Create(ctx, s.k.DB, req, func(ctx context.Context, tx pgx.Tx) (*backupv1.CreateLegalHoldResponse, error) {
		q := keepingdb.New(tx)
		if _, err := q.LockCompany(ctx, of.ID); err != nil { // No destruction begins meanwhile.
			return nil, constraints.Translate(err)
		}
		h := keepingdb.LegalHold{
			ID: s.k.IDs(), Company: of.ID, Subscriber: of.Subscriber, Reason: req.GetReason(), Creator: caller.From(ctx).Account, CreateTime: s.k.Clock.Now(),
		}
		err := q.InsertHold(ctx, keepingdb.InsertHoldParams{
			ID: h.ID, Company: h.Company, Subscriber: h.Subscriber, Reason: h.Reason, Creator: h.Creator, CreateTime: h.CreateTime,
		})
		if err != nil {
			return nil, constraints.Translate(err)
		}
		told := holdProto(h)
		return &backupv1.CreateLegalHoldResponse{LegalHold: told}, s.k.tell(ctx, tx, of, "hold.placed", &backupv1.LegalHoldPlaced{LegalHold: told})
	})
}

// LiftLegalHold lifts a hold. Repeating it changes nothing.
func (s *Server) LiftLegalHold(ctx context.Context, req *backupv1.LiftLegalHoldRequest) (*backupv1.LiftLegalHoldResponse, error) {
	own, err := ownID(req.GetName(), holds)
	if err != nil {
		return nil, err
	}
	var told *backupv1.LegalHold
	err = postgres.InTx(ctx, s.k.DB, func(tx pgx.Tx) error {
		q, now := keepingdb.New(tx), s.k.Clock.Now()
		lifted, err := q.LiftHold(ctx, keepingdb.LiftHoldParams{ID: own, LiftTime: &now, Lifter: caller.From(ctx).Account})
		if err != nil {
			return err
		}
		h, err := q.GetHold(ctx, own)
		if err != nil {
			return postgres.NotFound(err, req.GetName())
		}
		told = holdProto(h)
		if lifted == 0 {
			return nil
		}
		return s.k.tell(ctx, tx, names.Company{Subscriber: h.Subscriber, ID: h.Company}, "hold.lifted", &backupv1.LegalHoldLifted{LegalHold: told})
	})
	return &backupv1.LiftLegalHoldResponse{LegalHold: told}, constraints.Translate(err)
}

// ownID is the id in a name of one part.
func ownID(name, prefix string) (uuid.UUID, error) {
	if len(name) <= len(prefix) || name[:len(prefix)] != prefix {
		return uuid.Nil, failure.NotFound(name)
	}
	own, err := id.Parse(name[len(prefix):])
	if err != nil {
		return uuid.Nil, failure.NotFound(name)
	}
	return own, nil
}

// holdCursor is the last hold shown.
type holdCursor struct {
	Standing bool       `json:"s"`
	ID       *uuid.UUID `json:"i"`
}

// ListLegalHolds lists holds, those that stand first.
func (s *Server) ListLegalHolds(ctx context.Context, req *backupv1.ListLegalHoldsRequest) (*backupv1.ListLegalHoldsResponse, error) {
	var company *uuid.UUID
	if req.GetCompany() != "" {
		of, err := names.ParseCompany(req.GetCompany())
		if err != nil {
			return nil, err
		}
		company = &of.ID
	}
	var after holdCursor
	page, err := s.k.Pages.Start(backupv1.KeepingService_ListLegalHolds_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	most := keepingdb.ListHoldsParams{Company: company, Most: page.Limit(), Standing: after.Standing}
	if after.ID != nil {
		most.Further, most.Before = true, *after.ID
	}
	rows, err := s.k.db().ListHolds(ctx, most)
	if err != nil {
		return nil, constraints.Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(h keepingdb.LegalHold) any { return holdCursor{Standing: h.LiftTime == nil, ID: &h.ID} })
	if err != nil {
		return nil, err
	}
	answer := &backupv1.ListLegalHoldsResponse{NextPageToken: next}
	for _, h := range shown {
		answer.LegalHolds = append(answer.LegalHolds, holdProto(h))
	}
	return answer, nil
}
