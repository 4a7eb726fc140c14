// Package people asks identity who is behind an account.
package people

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/tenancy/internal/names"
)

const (
	// batch is the most accounts that identity tells of at once.
	batch = 1000
	// nameFor is how long a name is used before it is asked for again.
	nameFor = time.Minute
	// pause is how long nobody asks for a name again after identity did not answer.
	pause = 5 * time.Second
	// nameWithin bounds the wait for a name that only decorates an answer.
	nameWithin = 500 * time.Millisecond
	// maxNames bounds the memory of names.
	maxNames = 50_000
)

// People asks identity. Safe for concurrent use.
type People struct {
	identity identityv1.DirectoryServiceClient

	mu    sync.Mutex
	names map[uuid.UUID]named
}

type named struct {
	name  string
	until time.Time
}

// New returns People that ask over a connection to identity.
func New(identity identityv1.DirectoryServiceClient) *People {
	return &People{identity: identity, names: map[uuid.UUID]named{}}
}

// Accounts tells of some accounts; unknown ones are left out.
func (p *People) Accounts(ctx context.Context, accounts []uuid.UUID) (map[uuid.UUID]*identityv1.Account, error) {
	found := make(map[uuid.UUID]*identityv1.Account, len(accounts))
	for len(accounts) > 0 {
		some := accounts[:min(batch, len(accounts))]
		accounts = accounts[len(some):]
		request := &identityv1.BatchGetAccountsRequest{}
		for _, account := range some {
			request.Names = append(request.Names, names.Account(account))
		}
		answer, err := p.identity.BatchGetAccounts(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, account := range answer.GetAccounts() {
			id, err := names.ParseAccount(account.GetName())
			if err != nil {
				return nil, err
			}
			found[id] = account
		}
	}
	return found, nil
}

// Account tells of one account. NOT_FOUND when there is none.
func (p *People) Account(ctx context.Context, account uuid.UUID) (*identityv1.Account, error) {
	found, err := p.Accounts(ctx, []uuid.UUID{account})
	if err != nil {
		return nil, err
	}
	if found[account] == nil {
		return nil, failure.NotFound(names.Account(account))
	}
	return found[account], nil
}

// ByEmail finds the account with an e-mail; nil when there is none.
func (p *People) ByEmail(ctx context.Context, email string) (*identityv1.Account, error) {
	answer, err := p.identity.FindAccount(ctx, &identityv1.FindAccountRequest{Email: email})
	if failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		return nil, nil //nolint:nilnil // Nobody has the e-mail; that is an answer.
	}
	if err != nil {
		return nil, err
	}
	return answer.GetAccount(), nil
}

// Ensure finds the person's account with an e-mail or makes one, which then waits for the activation.
func (p *People) Ensure(ctx context.Context, email, fullName, language string) (account *identityv1.Account, activation string, err error) {
	answer, err := p.identity.EnsureAccount(ctx, &identityv1.EnsureAccountRequest{
		Email: email, FullName: fullName, Language: language, Kind: identityv1.AccountKind_ACCOUNT_KIND_PERSON,
	})
	return answer.GetAccount(), answer.GetActivation(), err
}

// Name is how an account is called, or empty when identity does not answer in time: it is never worth a refusal.
func (p *People) Name(ctx context.Context, account uuid.UUID) string {
	now := time.Now() //nolint:forbidigo // A cache lives by real time.
	p.mu.Lock()
	known := p.names[account]
	p.mu.Unlock()
	if now.Before(known.until) {
		return known.name
	}
	ctx, cancel := context.WithTimeout(ctx, nameWithin)
	defer cancel()
	next := named{name: known.name, until: now.Add(pause)}
	if found, err := p.Account(ctx, account); err == nil {
		next = named{name: Called(found), until: now.Add(nameFor)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.names) >= maxNames {
		clear(p.names)
	}
	p.names[account] = next
	return next.name
}

// Called is an account's full name, or its e-mail without one.
func Called(account *identityv1.Account) string {
	if account.GetFullName() != "" {
		return account.GetFullName()
	}
	return account.GetEmail()
}
