package preparation

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/rights"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

// ServerDeps are what LocalUserService is made of.
type ServerDeps struct {
	DB        *pgxpool.Pool
	Databases *database.Provisioner
	Kits      *kit.Set
	Members   *member.Members
	People    *people.People
	Rights    *rights.Rights
	Pages     *paging.Codec
}

// Server is LocalUserService.
type Server struct {
	tenancyv1.UnimplementedLocalUserServiceServer
	d ServerDeps
}

// NewServer returns LocalUserService.
func NewServer(d ServerDeps) *Server { return &Server{d: d} }

// ListLocalUsers shows the local users of a company's books by name.
func (s *Server) ListLocalUsers(ctx context.Context, r *tenancyv1.ListLocalUsersRequest) (*tenancyv1.ListLocalUsersResponse, error) {
	var after string
	page, err := s.d.Pages.Start(tenancyv1.LocalUserService_ListLocalUsers_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	b, err := s.find(ctx, r.GetParent())
	if err != nil {
		return nil, err
	}
	users, err := s.read(ctx, b)
	if err != nil {
		return nil, err
	}
	users = slices.DeleteFunc(users, func(u kit.LocalUser) bool { return u.Name <= after })
	shown, next, err := paging.Finish(page, users[:min(len(users), int(page.Limit()))], func(u kit.LocalUser) any { return u.Name })
	if err != nil {
		return nil, err
	}
	answer := &tenancyv1.ListLocalUsersResponse{NextPageToken: next}
	for _, u := range shown {
		answer.LocalUsers = append(answer.LocalUsers, toProto(u, RolesFor(b.kit, u.Permissions)))
	}
	return answer, nil
}

// PrepareLocalUsers makes local users members.
func (s *Server) PrepareLocalUsers(ctx context.Context, r *tenancyv1.PrepareLocalUsersRequest) (*tenancyv1.PrepareLocalUsersResponse, error) {
	if err := check(r.GetUsers()); err != nil {
		return nil, err
	}
	b, err := s.find(ctx, r.GetParent())
	if err != nil {
		return nil, err
	}
	list, refused := s.plan(ctx, b, r)
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.PrepareLocalUsersResponse, error) {
		if refused != nil { // Judged here, so that a repeated request gets its first answer.
			return nil, refused
		}
		return s.carryOut(ctx, tx, b, list)
	})
	return answer, member.Constraints().Translate(err)
}

// books are where a company's local users are kept; kit is nil where no area keeps any.
type books struct {
	subscriber, company uuid.UUID
	database.Database
	kit *kit.Kit
}

func (s *Server) find(ctx context.Context, name string) (b books, err error) {
	if b.subscriber, b.company, err = names.ParseCompany(name); err != nil {
		return b, err
	}
	c, err := company.Get(ctx, s.d.DB, b.subscriber, b.company)
	if err != nil {
		return b, err
	}
	if err := c.Ready(); err != nil {
		return b, err
	}
	if b.Database, err = database.Get(ctx, s.d.DB, *c.Live); err != nil {
		return b, err
	}
	for _, area := range b.Areas {
		version, err := kit.ParseVersion(area.Version)
		if err != nil {
			return b, err
		}
		if k := s.d.Kits.Get(area.Product, version); k != nil && k.LocalUsers != nil {
			b.kit = k
		}
	}
	return b, nil
}

// read reads the local users, sorted as pages are.
func (s *Server) read(ctx context.Context, b books) (users []kit.LocalUser, err error) {
	if b.kit == nil {
		return nil, nil
	}
	err = s.d.Databases.InDatabase(ctx, b.Database, func(conn *pgx.Conn) error {
		users, err = b.kit.ReadLocalUsers(ctx, conn)
		return err
	})
	sortByName(users)
	return users, err
}

func sortByName(users []kit.LocalUser) {
	slices.SortFunc(users, func(a, b kit.LocalUser) int { return cmp.Compare(a.Name, b.Name) })
}
