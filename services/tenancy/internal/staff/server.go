package staff

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
	"kontor.internal/services/tenancy/internal/staff/staffdb"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// ServerDeps are what the server is made of.
type ServerDeps struct {
	DB     *pgxpool.Pool
	Clock  clock.Clock
	People *people.People
	Pages  *paging.Codec
	// FirstToken makes the first member of staff; empty for none.
	FirstToken string
}

// Server is StaffService.
type Server struct {
	tenancyv1.UnimplementedStaffServiceServer
	d ServerDeps
}

// NewServer returns StaffService.
func NewServer(d ServerDeps) *Server { return &Server{d: d} }

// ClaimFirstStaff makes the caller the first member of staff.
func (s *Server) ClaimFirstStaff(ctx context.Context, r *tenancyv1.ClaimFirstStaffRequest) (*tenancyv1.ClaimFirstStaffResponse, error) {
	account, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkToken(s.d.FirstToken, r.GetToken()); err != nil {
		return nil, err
	}
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error { return s.claim(ctx, tx, account) })
	if err != nil {
		return nil, translate(err)
	}
	member, err := s.get(ctx, account)
	return &tenancyv1.ClaimFirstStaffResponse{Staff: member}, err
}

func (s *Server) claim(ctx context.Context, tx pgx.Tx, account uuid.UUID) error {
	q, now := staffdb.New(tx), s.d.Clock.Now()
	claimed, err := q.ClaimFirst(ctx, staffdb.ClaimFirstParams{AccountID: account, Claimed: now})
	if err != nil {
		return err
	}
	if claimed == 0 {
		return s.claimedBefore(ctx, q, account)
	}
	if _, err := q.InsertStaff(ctx, staffdb.InsertStaffParams{AccountID: account, Created: now}); err != nil {
		return err
	}
	return tellAdded(ctx, tx, now, account, true)
}

// claimedBefore lets the same account repeat its claim, as long as it is staff.
func (s *Server) claimedBefore(ctx context.Context, q *staffdb.Queries, account uuid.UUID) error {
	by, err := q.FirstClaimedBy(ctx)
	if err != nil {
		return err
	}
	if by == account {
		if _, err := q.GetStaff(ctx, account); err == nil {
			return nil
		}
	}
	return failure.New(commonv1.Reason_REASON_STAFF_CLAIMED)
}

// cursor is the last member of staff on a page.
type cursor struct {
	Created time.Time
	Account uuid.UUID
}

// ListStaff pages through the staff.
func (s *Server) ListStaff(ctx context.Context, r *tenancyv1.ListStaffRequest) (*tenancyv1.ListStaffResponse, error) {
	var after cursor
	page, err := s.d.Pages.Start(tenancyv1.StaffService_ListStaff_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := staffdb.New(s.d.DB).ListStaff(ctx, staffdb.ListStaffParams{
		AfterCreated: after.Created, AfterAccount: after.Account, Limit: page.Limit(),
	})
	if err != nil {
		return nil, translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(r staffdb.Staff) any { return cursor{r.Created, r.AccountID} })
	if err != nil {
		return nil, err
	}
	staff, err := s.toProtos(ctx, shown)
	return &tenancyv1.ListStaffResponse{Staff: staff, NextPageToken: next}, err
}

// AddStaff makes an account staff.
func (s *Server) AddStaff(ctx context.Context, r *tenancyv1.AddStaffRequest) (*tenancyv1.AddStaffResponse, error) {
	by, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return nil, err
	}
	account, err := s.d.People.ByEmail(ctx, r.GetEmail())
	if err != nil {
		return nil, err
	}
	if account.GetState() != identityv1.AccountState_ACCOUNT_STATE_ACTIVE {
		return nil, failure.NotFound(r.GetEmail())
	}
	if account.GetKind() == identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL {
		return nil, failure.New(commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
	}
	accountID, err := names.ParseAccount(account.GetName())
	if err != nil {
		return nil, err
	}
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.AddStaffResponse, error) {
		row, err := s.add(ctx, tx, accountID, by)
		return &tenancyv1.AddStaffResponse{Staff: toProto(row, account)}, err
	})
	return answer, translate(err)
}

func (s *Server) add(ctx context.Context, tx pgx.Tx, account, by uuid.UUID) (staffdb.Staff, error) {
	q, now := staffdb.New(tx), s.d.Clock.Now()
	added, err := q.InsertStaff(ctx, staffdb.InsertStaffParams{AccountID: account, AddedBy: &by, Created: now})
	if err == nil && added > 0 {
		err = tellAdded(ctx, tx, now, account, false)
	}
	if err != nil {
		return staffdb.Staff{}, err
	}
	return q.GetStaff(ctx, account)
}

// RemoveStaff ends somebody's staff rights.
func (s *Server) RemoveStaff(ctx context.Context, r *tenancyv1.RemoveStaffRequest) (*tenancyv1.RemoveStaffResponse, error) {
	account, err := names.ParseStaff(r.GetName())
	if err != nil {
		return nil, err
	}
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error {
		q := staffdb.New(tx)
		all, err := q.LockAll(ctx) // Two who remove each other at once: the second finds one left.
		switch {
		case err != nil:
			return err
		case !slices.Contains(all, account):
			return failure.NotFound(r.GetName())
		case len(all) == 1:
			return failure.New(commonv1.Reason_REASON_LAST_STAFF)
		}
		if _, err := q.DeleteStaff(ctx, account); err != nil {
			return err
		}
		return tellRemoved(ctx, tx, s.d.Clock.Now(), account)
	})
	return &tenancyv1.RemoveStaffResponse{}, translate(err)
}

func (s *Server) get(ctx context.Context, account uuid.UUID) (*tenancyv1.StaffMember, error) {
	row, err := staffdb.New(s.d.DB).GetStaff(ctx, account)
	if err != nil {
		return nil, postgres.NotFound(err, names.Staff(account))
	}
	protos, err := s.toProtos(ctx, []staffdb.Staff{row})
	if err != nil {
		return nil, err
	}
	return protos[0], nil
}

func (s *Server) toProtos(ctx context.Context, rows []staffdb.Staff) ([]*tenancyv1.StaffMember, error) {
	accounts := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		accounts[i] = r.AccountID
	}
	known, err := s.d.People.Accounts(ctx, accounts)
	if err != nil {
		return nil, err
	}
	protos := make([]*tenancyv1.StaffMember, len(rows))
	for i, r := range rows {
		protos[i] = toProto(r, known[r.AccountID])
	}
	return protos, nil
}

func toProto(r staffdb.Staff, account *identityv1.Account) *tenancyv1.StaffMember {
	shown := &tenancyv1.StaffMember{
		Name: names.Staff(r.AccountID), Account: names.Account(r.AccountID), Email: account.GetEmail(),
		FullName: account.GetFullName(), CreateTime: timestamppb.New(r.Created),
	}
	if r.AddedBy != nil {
		shown.AddedBy = names.Account(*r.AddedBy)
	}
	return shown
}

func translate(err error) error { return postgres.Constraints(nil).Translate(err) }
