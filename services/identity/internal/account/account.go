// Package account keeps who may sign in: accounts, their identifiers and
// passwords, and how they come into being.
package account

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// State of an account, as the table spells it.
type State string

// The states.
const (
	Pending State = "pending"
	Active  State = "active"
	Closed  State = "closed"
)

// Account is one account.
type Account struct {
	ID             uuid.UUID
	Kind           string
	State          string
	FullName       string
	Language       string
	SelfRegistered bool
	CreateTime     time.Time
	Email          string
}

// Name is an account's resource name, `accounts/A`.
func Name(account uuid.UUID) string { return "accounts/" + account.String() }

// ParseName reads an account's resource name; what is none is NOT_FOUND.
func ParseName(name string) (uuid.UUID, error) {
	rest, ok := strings.CutPrefix(name, "accounts/")
	if !ok {
		return uuid.Nil, failure.NotFound(name)
	}
	account, err := id.Parse(rest)
	if err != nil {
		return uuid.Nil, failure.NotFound(name).Wrap(err)
	}
	return account, nil
}

// Own reads the caller's own account from a resource name: `accounts/me` or its
// real name. Other people's accounts are NOT_FOUND.
func Own(ctx context.Context, name string) (uuid.UUID, error) {
	who := caller.From(ctx)
	if name != "accounts/me" && name != who.Account {
		return uuid.Nil, failure.NotFound(name)
	}
	return ParseName(who.Account)
}

// Is says whether an account is in a state.
func (a Account) Is(s State) bool { return a.State == string(s) }

// Proto is the account as the contract has it.
func (a Account) Proto() *identityv1.Account {
	return &identityv1.Account{
		Name: Name(a.ID), Email: a.Email, FullName: a.FullName, Language: a.Language,
		Kind: kindProto(a.Kind), State: stateProto(State(a.State)), CreateTime: timestamppb.New(a.CreateTime),
	}
}

func kindProto(kind string) identityv1.AccountKind {
	if caller.Kind(kind) == caller.KindTechnical {
		return identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL
	}
	return identityv1.AccountKind_ACCOUNT_KIND_PERSON
}

// KindOf reads a kind as the contract has it; a person when it is not said.
func KindOf(kind identityv1.AccountKind) caller.Kind {
	if kind == identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL {
		return caller.KindTechnical
	}
	return caller.KindPerson
}

func stateProto(s State) identityv1.AccountState {
	switch s {
	case Pending:
		return identityv1.AccountState_ACCOUNT_STATE_PENDING
	case Active:
		return identityv1.AccountState_ACCOUNT_STATE_ACTIVE
	case Closed:
		return identityv1.AccountState_ACCOUNT_STATE_CLOSED
	}
	return identityv1.AccountState_ACCOUNT_STATE_UNSPECIFIED
}

// languages are Kontor's (X1). The first is taken when none is near.
var languages = []language.Tag{ //nolint:gochecknoglobals // A constant list.
	language.English, language.Latvian, language.Persian, language.Polish, language.Swedish, language.Hungarian,
}

// nearest matches a wish to Kontor's languages.
var nearest = language.NewMatcher(languages) //nolint:gochecknoglobals // Made of the constant list.

// Language picks the one of Kontor's languages that is nearest to a BCP 47 tag.
func Language(wish string) string {
	tag, err := language.Parse(wish)
	if err != nil {
		return "en"
	}
	_, index, _ := nearest.Match(tag)
	base, _ := languages[index].Base()
	return base.String()
}

// FullName tidies a name as people type it. Line breaks and other control
// characters are refused: names stand in letters' headers.
func FullName(text, field string) (string, error) {
	text = norm.NFC.String(strings.TrimSpace(text))
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return "", failure.Invalid(field, "has characters that are not typed")
	}
	return text, nil
}
