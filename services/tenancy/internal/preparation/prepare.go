package preparation

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// prepared is a local user and the membership that comes of it.
type prepared struct {
	wish
	addition member.Addition
}

// plan finds or makes the accounts, after everything that may be refused has been looked at.
func (s *Server) plan(ctx context.Context, b books, r *tenancyv1.PrepareLocalUsersRequest) ([]prepared, error) {
	known, err := s.read(ctx, b)
	if err != nil {
		return nil, err
	}
	wanted, err := wishes(b.kit, known, r.GetUsers())
	if err != nil {
		return nil, err
	}
	list := make([]prepared, len(wanted))
	fresh := []int{} // places in the list of those who are no members yet
	for i, w := range wanted {
		list[i].wish = w
		if list[i].addition, err = s.addition(b, r.GetParent(), w); err != nil {
			return nil, err
		}
		stands, err := s.mayJoin(ctx, b, i, w)
		if err != nil {
			return nil, err
		}
		if !stands {
			fresh = append(fresh, i)
		}
	}
	if len(fresh) > 0 {
		first := &list[fresh[0]].addition
		if first.Room, err = s.d.Members.FindRoom(ctx, s.d.DB, s.d.Rights, b.subscriber, len(fresh)-1); err != nil {
			return nil, err
		}
	}
	return list, s.ensure(ctx, b, list)
}

// addition is the membership of one, without the account. ROLE_UNKNOWN for a role that can't be given in a company.
func (s *Server) addition(b books, companyName string, w wish) (member.Addition, error) {
	held, err := member.ParseHeld(b.subscriber, nil, []*tenancyv1.CompanyRoles{{Company: companyName, Roles: w.roles}})
	return member.Addition{
		Subscriber: b.subscriber, Email: w.email, Access: true, Held: held, Origin: tenancyv1.MemberOrigin_MEMBER_ORIGIN_PREPARED,
		Company: companyName, LocalUser: w.user.Name, Merge: true,
	}, err
}

// mayJoin says whether the account of an e-mail is a member already, and refuses one that this local user can't become.
func (s *Server) mayJoin(ctx context.Context, b books, index int, w wish) (stands bool, err error) {
	account, err := s.d.People.ByEmail(ctx, w.email)
	if failure.Reason(err) == commonv1.Reason_REASON_INVALID_ARGUMENT {
		return false, invalid([]failure.Field{field(index, "email", "is not an e-mail address")})
	}
	if err != nil {
		return false, err
	}
	if err := checkLink(w.user, account.GetName()); err != nil || account == nil {
		return false, err
	}
	if account.GetKind() == identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL {
		return false, failure.New(commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
	}
	id, err := names.ParseAccount(account.GetName())
	if err != nil {
		return false, err
	}
	m, found, err := member.OfAccount(ctx, s.d.DB, b.subscriber, id)
	return found && m.Standing(s.d.Members.Today()), member.Constraints().Translate(err)
}

// ensure finds or makes the accounts. Those of a request that fails later wait for it to be repeated.
func (s *Server) ensure(ctx context.Context, b books, list []prepared) error {
	of, err := subscriber.Get(ctx, s.d.DB, b.subscriber)
	if err != nil {
		return err
	}
	seen := map[uuid.UUID]bool{}
	for i := range list {
		p := &list[i]
		account, activation, err := s.d.People.Ensure(ctx, p.email, p.user.FullName, of.Language)
		if err != nil {
			return err
		}
		if p.addition.Account, err = names.ParseAccount(account.GetName()); err != nil {
			return err
		}
		if seen[p.addition.Account] { // Two spellings of one e-mail.
			return invalid([]failure.Field{field(i, "email", "is given to two users")})
		}
		seen[p.addition.Account], p.addition.Activation = true, activation
	}
	return nil
}

// carryOut makes the members and then writes their accounts into the books. The books are committed first: if that is all
// that happens, the request, made once more, finds its own accounts there and goes on.
func (s *Server) carryOut(ctx context.Context, tx pgx.Tx, b books, list []prepared) (*tenancyv1.PrepareLocalUsersResponse, error) {
	c, err := company.Lock(ctx, tx, b.company) // Two at once go one after the other.
	if err != nil {
		return nil, err
	}
	if err := c.Ready(); err != nil {
		return nil, err
	}
	if *c.Live != b.ID { // Other books took their place a moment ago.
		return nil, failure.New(commonv1.Reason_REASON_CONFLICT)
	}
	for _, p := range list {
		if _, err := s.d.Members.Add(ctx, tx, p.addition); err != nil {
			return nil, err
		}
	}
	if err := s.link(ctx, b, list); err != nil {
		return nil, err
	}
	answer := &tenancyv1.PrepareLocalUsersResponse{}
	for _, p := range list {
		p.user.Account = names.Account(p.addition.Account)
		answer.LocalUsers = append(answer.LocalUsers, toProto(p.user, p.roles))
	}
	return answer, nil
}

// link writes the accounts into the books, all or none. LOCAL_USER_LINKED when one was given away since it was looked at.
func (s *Server) link(ctx context.Context, b books, list []prepared) error {
	return s.d.Databases.InDatabase(ctx, b.Database, func(conn *pgx.Conn) error {
		return postgres.InTx(ctx, conn, func(tx pgx.Tx) error {
			known, err := b.kit.ReadLocalUsers(ctx, tx)
			if err != nil {
				return err
			}
			for _, p := range list {
				for _, u := range known {
					if u.Name != p.user.Name {
						continue
					}
					if err := checkLink(u, names.Account(p.addition.Account)); err != nil {
						return err
					}
				}
				if found, err := b.kit.LinkLocalUser(ctx, tx, p.user.Name, names.Account(p.addition.Account)); err != nil {
					return fmt.Errorf("prepare a local user: %w", err)
				} else if !found {
					return failure.New(commonv1.Reason_REASON_LOCAL_USER_UNKNOWN, "user", p.user.Name)
				}
			}
			return nil
		})
	})
}
