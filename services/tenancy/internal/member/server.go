package member

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

// ServerDeps are what the server is made of.
type ServerDeps struct {
	DB        *pgxpool.Pool
	Members   *Members
	Companies Companies
	People    *people.People
	Rights    *rights.Rights
	Pages     *paging.Codec
	Texts     *failure.Texts
	Offers    Offers
}

// Offers knows to whom the ownership of subscribers is offered.
type Offers interface {
	// Forget takes back an offer to an account, if there is one.
	Forget(ctx context.Context, tx pgx.Tx, subscriber, account uuid.UUID) error
}

// Server is MemberService.
type Server struct {
	tenancyv1.UnimplementedMemberServiceServer
	d ServerDeps
}

// NewServer returns MemberService.
func NewServer(d ServerDeps) *Server { return &Server{d: d} }

// ListMembers pages through a subscriber's members.
func (s *Server) ListMembers(ctx context.Context, r *tenancyv1.ListMembersRequest) (*tenancyv1.ListMembersResponse, error) {
	subscriber, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.d.Pages.Start(tenancyv1.MemberService_ListMembers_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := List(ctx, s.d.DB, subscriber, after, page.Limit())
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(m Member) any { return m.ID })
	if err != nil {
		return nil, err
	}
	protos, err := s.d.Members.ToProtos(ctx, s.d.People, shown)
	return &tenancyv1.ListMembersResponse{Members: protos, NextPageToken: next}, err
}

// GetMember shows one.
func (s *Server) GetMember(ctx context.Context, r *tenancyv1.GetMemberRequest) (*tenancyv1.GetMemberResponse, error) {
	subscriber, member, err := names.ParseMember(r.GetName())
	if err != nil {
		return nil, err
	}
	m, err := Get(ctx, s.d.DB, subscriber, member)
	if err != nil {
		return nil, err
	}
	shown, err := s.toProto(ctx, m)
	return &tenancyv1.GetMemberResponse{Member: shown}, err
}

// CreateMember makes a user by e-mail.
func (s *Server) CreateMember(ctx context.Context, r *tenancyv1.CreateMemberRequest) (*tenancyv1.CreateMemberResponse, error) {
	subscriber, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	addition, err := s.newMember(ctx, subscriber, r)
	if err != nil {
		return nil, err
	}
	account, refused := s.newAccount(ctx, r, &addition)
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.CreateMemberResponse, error) {
		if refused != nil { // Judged here, so that a repeated request gets its first answer.
			return nil, refused
		}
		m, err := s.d.Members.Add(ctx, tx, addition)
		if err != nil {
			return nil, err
		}
		return &tenancyv1.CreateMemberResponse{Member: ToProto(m, account, s.d.Members.Today())}, nil
	})
	return answer, Constraints().Translate(err)
}

func (s *Server) newMember(ctx context.Context, subscriber uuid.UUID, r *tenancyv1.CreateMemberRequest) (Addition, error) {
	wanted := r.GetMember()
	held, err := ParseHeld(subscriber, wanted.GetRoles(), wanted.GetCompanyRoles())
	if err != nil {
		return Addition{}, err
	}
	end, err := parseEnd(wanted.GetEndDate())
	if err != nil {
		return Addition{}, err
	}
	if err := checkEnd(end, s.d.Members.Today()); err != nil {
		return Addition{}, err
	}
	return Addition{
		Subscriber: subscriber, Email: r.GetEmail(), Access: wanted.GetAccess(), End: end, Held: held,
		Origin: tenancyv1.MemberOrigin_MEMBER_ORIGIN_ADDED,
	}, CheckCompanies(ctx, s.d.Companies, subscriber, held)
}

// newAccount finds or makes the account for a member, if the subscriber may have one more.
func (s *Server) newAccount(ctx context.Context, r *tenancyv1.CreateMemberRequest, a *Addition) (*identityv1.Account, error) {
	known, err := s.d.People.ByEmail(ctx, r.GetEmail())
	if err != nil {
		return nil, err
	}
	if known != nil {
		if err := s.mayJoin(ctx, known, a); err != nil {
			return nil, err
		}
	}
	if a.Room, err = s.d.Members.FindRoom(ctx, s.d.DB, s.d.Rights, a.Subscriber, 0); err != nil {
		return nil, err
	}
	account, activation, err := s.d.People.Ensure(ctx, r.GetEmail(), r.GetFullName(), caller.From(ctx).Locale)
	if err != nil {
		return nil, err
	}
	a.Activation = activation
	a.Account, err = names.ParseAccount(account.GetName())
	return account, err
}

// mayJoin refuses accounts that can't be members, and those that are.
func (s *Server) mayJoin(ctx context.Context, account *identityv1.Account, a *Addition) error {
	if account.GetKind() == identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL {
		return failure.New(commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
	}
	id, err := names.ParseAccount(account.GetName())
	if err != nil {
		return err
	}
	m, found, err := OfAccount(ctx, s.d.DB, a.Subscriber, id)
	if err != nil {
		return err
	}
	if found && m.Standing(s.d.Members.Today()) {
		return failure.New(commonv1.Reason_REASON_ALREADY_MEMBER, "email", a.Email, "member", m.Name())
	}
	return nil
}

// UpdateMember changes roles, access and end date.
func (s *Server) UpdateMember(ctx context.Context, r *tenancyv1.UpdateMemberRequest) (*tenancyv1.UpdateMemberResponse, error) {
	subscriber, member, err := names.ParseMember(r.GetMember().GetName())
	if err != nil {
		return nil, err
	}
	change, err := s.change(ctx, subscriber, r)
	if err != nil {
		return nil, err
	}
	var m Member
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		m, err = s.d.Members.Change(ctx, tx, subscriber, member, r.GetMember().GetEtag(), change)
		return err
	})
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	shown, err := s.toProto(ctx, m)
	return &tenancyv1.UpdateMemberResponse{Member: shown}, err
}

func (s *Server) change(ctx context.Context, subscriber uuid.UUID, r *tenancyv1.UpdateMemberRequest) (Change, error) {
	fields := r.GetUpdateMask().GetPaths()
	if len(fields) == 0 {
		return Change{}, failure.Invalid("update_mask", "names no field")
	}
	wanted := r.GetMember()
	held, err := ParseHeld(subscriber, wanted.GetRoles(), wanted.GetCompanyRoles())
	if err != nil {
		return Change{}, err
	}
	end, err := parseEnd(wanted.GetEndDate())
	if err != nil {
		return Change{}, err
	}
	if slices.Contains(fields, fieldCompanyRoles) {
		err = CheckCompanies(ctx, s.d.Companies, subscriber, held)
	}
	return Change{Held: held, Access: wanted.GetAccess(), End: end, Fields: fields}, err
}

// ExcludeMember ends a person's access.
func (s *Server) ExcludeMember(ctx context.Context, r *tenancyv1.ExcludeMemberRequest) (*tenancyv1.ExcludeMemberResponse, error) {
	subscriber, member, err := names.ParseMember(r.GetName())
	if err != nil {
		return nil, err
	}
	m, err := Get(ctx, s.d.DB, subscriber, member)
	if err != nil {
		return nil, err
	}
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		if err := s.d.Offers.Forget(ctx, tx, subscriber, m.Account); err != nil {
			return err
		}
		m, err = s.d.Members.Exclude(ctx, tx, subscriber, member)
		return err
	})
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	shown, err := s.toProto(ctx, m)
	return &tenancyv1.ExcludeMemberResponse{Member: shown}, err
}

// ListRoles shows the roles there are.
func (s *Server) ListRoles(ctx context.Context, _ *tenancyv1.ListRolesRequest) (*tenancyv1.ListRolesResponse, error) {
	language := s.d.Texts.Match(caller.From(ctx).Locale)
	answer := &tenancyv1.ListRolesResponse{}
	for _, role := range Roles() {
		title, ok := role.Titles[language]
		if !ok {
			title = role.Titles["en"]
		}
		answer.Roles = append(answer.Roles, &tenancyv1.Role{
			Key: role.Key, Title: title, SubscriberWide: role.Wide, InCompany: role.InCompany, Permissions: role.Permissions,
		})
	}
	return answer, nil
}

func (s *Server) toProto(ctx context.Context, m Member) (*tenancyv1.Member, error) {
	protos, err := s.d.Members.ToProtos(ctx, s.d.People, []Member{m})
	if err != nil {
		return nil, err
	}
	return protos[0], nil
}

// ToProtos shows members with their accounts' names.
func (s *Members) ToProtos(ctx context.Context, p *people.People, members []Member) ([]*tenancyv1.Member, error) {
	accounts := make([]uuid.UUID, len(members))
	for i, m := range members {
		accounts[i] = m.Account
	}
	known, err := p.Accounts(ctx, accounts)
	if err != nil {
		return nil, err
	}
	protos := make([]*tenancyv1.Member, len(members))
	for i, m := range members {
		protos[i] = ToProto(m, known[m.Account], s.Today())
	}
	return protos, nil
}

// ToProto shows a member as it is on a day.
func ToProto(m Member, account *identityv1.Account, today civil.Date) *tenancyv1.Member {
	shown := &tenancyv1.Member{
		Name: m.Name(), Account: names.Account(m.Account), Email: account.GetEmail(), FullName: account.GetFullName(),
		Owner: m.Owner, Access: m.Access, State: m.State(today), Roles: m.Held.Wide, CompanyRoles: HeldToProto(m.Subscriber, m.Held),
		EndDate: endText(m.End), CreateTime: timestamppb.New(m.Created), Etag: m.Etag(),
	}
	if m.Excluded != nil {
		shown.ExcludeTime = timestamppb.New(*m.Excluded)
	}
	return shown
}

// HeldToProto shows the roles in single companies.
func HeldToProto(subscriber uuid.UUID, held Held) []*tenancyv1.CompanyRoles {
	var shown []*tenancyv1.CompanyRoles
	for _, company := range held.CompanyIDs() {
		shown = append(shown, &tenancyv1.CompanyRoles{Company: names.Company(subscriber, company), Roles: held.Companies[company]})
	}
	return shown
}

func parseEnd(text string) (civil.Date, error) {
	if text == "" {
		return civil.Date{}, nil
	}
	end, err := civil.ParseDate(text)
	if err != nil {
		return civil.Date{}, failure.Invalid("member.end_date", "is not a date YYYY-MM-DD").Wrap(err)
	}
	return end, nil
}

func endText(end civil.Date) string {
	if end.IsZero() {
		return ""
	}
	return end.String()
}
