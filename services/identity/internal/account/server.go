package account

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/identity/internal/account/accountdb"
	"kontor.internal/services/identity/internal/attempt"
	"kontor.internal/services/identity/internal/link"
	"kontor.internal/services/identity/internal/password"
)

// Sessions ends sessions when their password goes.
type Sessions interface {
	// EndAll ends an account's sessions but the spared one (the nil UUID spares none).
	EndAll(ctx context.Context, tx pgx.Tx, account, spared uuid.UUID, end identityv1.SessionEnd) error
}

// Deps is what the server is made of.
type Deps struct {
	DB       *pgxpool.Pool
	Registry *Registry
	Signer   *link.Signer
	Hasher   *password.Hasher
	Attempts *attempt.Store
	Sessions Sessions
	// Tenancy knows invitations.
	Tenancy tenancyv1.DirectoryServiceClient
	Pages   *paging.Codec
	Texts   *failure.Texts
}

// Server answers what people do about their own accounts.
type Server struct {
	identityv1.UnimplementedAccountServiceServer
	Deps
	store Store
}

// NewServer returns a server.
func NewServer(d Deps) *Server { return &Server{Deps: d} }

// GetAccount answers the caller's own account.
func (s *Server) GetAccount(ctx context.Context, req *identityv1.GetAccountRequest) (*identityv1.GetAccountResponse, error) {
	own, err := Own(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	a, err := s.store.Get(ctx, s.DB, own)
	if err != nil {
		return nil, err
	}
	return &identityv1.GetAccountResponse{Account: a.Proto()}, nil
}

// UpdateAccount changes the caller's name or language.
func (s *Server) UpdateAccount(ctx context.Context, req *identityv1.UpdateAccountRequest) (*identityv1.UpdateAccountResponse, error) {
	own, err := Own(ctx, req.GetAccount().GetName())
	if err != nil {
		return nil, err
	}
	wanted, err := change(req)
	if err != nil {
		return nil, err
	}
	var a Account
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) (err error) {
		if a, err = s.store.Lock(ctx, tx, own); err != nil {
			return err
		}
		changed := wanted.apply(&a)
		if len(changed) == 0 {
			return nil
		}
		if err := s.store.updateProfile(ctx, tx, a); err != nil {
			return err
		}
		return s.Registry.updated(ctx, tx, own, changed)
	})
	if err != nil {
		return nil, translate(err)
	}
	return &identityv1.UpdateAccountResponse{Account: a.Proto()}, nil
}

// profile is what of an account its holder changes; nil stays.
type profile struct{ fullName, language *string }

// change reads an update by its mask; without one, the fields that are filled
// in count (AIP-134).
func change(req *identityv1.UpdateAccountRequest) (profile, error) {
	paths := req.GetUpdateMask().GetPaths()
	given := req.GetAccount()
	if len(paths) == 0 || slices.Contains(paths, "*") {
		all := slices.Contains(paths, "*")
		paths = nil
		if all || given.GetFullName() != "" {
			paths = append(paths, "full_name")
		}
		if all || given.GetLanguage() != "" {
			paths = append(paths, "language")
		}
	}
	var p profile
	for _, path := range paths {
		switch path {
		case "full_name":
			name, err := checkedName(given.GetFullName())
			if err != nil {
				return p, err
			}
			p.fullName = &name
		case "language":
			if lang := given.GetLanguage(); Language(lang) != lang {
				return p, failure.Invalid("account.language", "is none of lv, fa, pl, sv, hu, en")
			}
			language := given.GetLanguage()
			p.language = &language
		case "name": // Clients that send the resource back name it too.
		default:
			return p, failure.Invalid("update_mask", strings.ToValidUTF8(path, "?")+" can't be changed")
		}
	}
	return p, nil
}

func checkedName(text string) (string, error) {
	name, err := FullName(text, "account.full_name")
	if err == nil && len([]rune(name)) > 200 {
		err = failure.Invalid("account.full_name", "has more than 200 characters")
	}
	return name, err
}

// apply changes an account and lists the fields that are different now.
func (p profile) apply(a *Account) []string {
	var changed []string
	if p.fullName != nil && *p.fullName != a.FullName {
		a.FullName, changed = *p.fullName, append(changed, "full_name")
	}
	if p.language != nil && *p.language != a.Language {
		a.Language, changed = *p.language, append(changed, "language")
	}
	return changed
}

// ListIdentifiers answers what the caller's account is called.
func (s *Server) ListIdentifiers(ctx context.Context, req *identityv1.ListIdentifiersRequest) (*identityv1.ListIdentifiersResponse, error) {
	own, err := Own(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.Pages.Start("ListIdentifiers", req, &after, own.String())
	if err != nil {
		return nil, err
	}
	rows, err := s.store.identifiers(ctx, s.DB, own, after, page.Limit())
	if err != nil {
		return nil, err
	}
	rows, next, err := paging.Finish(page, rows, func(r accountdb.ListIdentifiersRow) any { return r.ID })
	if err != nil {
		return nil, err
	}
	reply := &identityv1.ListIdentifiersResponse{NextPageToken: next}
	for _, row := range rows {
		reply.Identifiers = append(reply.Identifiers, identifierProto(own, row))
	}
	return reply, nil
}

func identifierProto(account uuid.UUID, row accountdb.ListIdentifiersRow) *identityv1.Identifier {
	i := &identityv1.Identifier{
		Name: Name(account) + "/identifiers/" + row.ID.String(), Value: row.Value, Main: row.Main,
		Kind: identityv1.IdentifierKind(identityv1.IdentifierKind_value["IDENTIFIER_KIND_"+strings.ToUpper(row.Kind)]),
	}
	if row.VerifyTime != nil {
		i.VerifyTime = timestamppb.New(*row.VerifyTime)
	}
	return i
}

// locale is the language of texts for the caller.
func (s *Server) locale(ctx context.Context) string { return s.Texts.Match(caller.From(ctx).Locale) }
