package account

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/link"
)

// Reasons that several flows give.
const (
	reasonClosed = commonv1.Reason_REASON_ACCOUNT_CLOSED
	reasonUsed   = commonv1.Reason_REASON_LINK_USED
)

// freshActivation is how long an activation works at least that is handed out
// for somebody else's letter.
const freshActivation = 24 * time.Hour

// RegistryDeps is what a registry is made of.
type RegistryDeps struct {
	Links *link.Store
	NewID id.Source
	// Clock is the suite's: accounts and links live by business dates.
	Clock clock.Clock
	// Real spaces letters out.
	Real clock.Clock
	// LetterPause is between two letters of a kind that visitors make us write to one account.
	LetterPause time.Duration
}

// Registry is how accounts come into being. Its methods run in the caller's
// transaction.
type Registry struct {
	RegistryDeps
	store Store
	teller
}

// NewRegistry returns a registry.
func NewRegistry(d RegistryDeps) *Registry {
	return &Registry{RegistryDeps: d, teller: teller{d.Clock}}
}

// Newcomer is who registers or is registered.
type Newcomer struct {
	Email    Email
	FullName string
	Language string
	Kind     caller.Kind
	// Self says whether the person registers without having been asked.
	Self bool
}

// Register does what a visitor who gives an e-mail causes: an account that
// waits and its confirmation letter, or a letter that there is an account.
func (r *Registry) Register(ctx context.Context, tx pgx.Tx, n Newcomer) error {
	a, found, err := r.store.LockKey(ctx, tx, n.Email.Key)
	if err != nil {
		return err
	}
	switch {
	case !found:
		if a, err = r.create(ctx, tx, n); err != nil {
			return err
		}
	case !a.Is(Pending):
		return r.writeAlreadyRegistered(ctx, tx, a)
	default:
		self := n.Self && a.Kind == string(caller.KindPerson)
		if err := r.store.updatePending(ctx, tx, a.ID, n.FullName, self); err != nil {
			return err
		}
	}
	return r.writeActivation(ctx, tx, a)
}

// Ensure finds an account or makes one that waits, and the activation that
// leads into one that waits. It writes no letter: whoever asked does.
func (r *Registry) Ensure(ctx context.Context, tx pgx.Tx, n Newcomer) (a Account, created bool, activation string, err error) {
	a, found, err := r.store.LockKey(ctx, tx, n.Email.Key)
	if err != nil {
		return a, false, "", err
	}
	if !found {
		if a, err = r.create(ctx, tx, n); err != nil {
			return a, false, "", err
		}
	}
	if !a.Is(Pending) {
		return a, false, "", nil
	}
	l, err := r.Links.EnsureOpen(ctx, tx, link.Activation, a.ID, r.Clock.Now(), freshActivation)
	if err != nil {
		return a, false, "", err
	}
	return a, !found, l.Purpose.Name(l.ID), nil
}

// create makes an account that waits for its holder.
func (r *Registry) create(ctx context.Context, tx pgx.Tx, n Newcomer) (Account, error) {
	a := Account{
		ID: r.NewID(), Kind: string(n.Kind), State: string(Pending), FullName: n.FullName, Language: n.Language,
		SelfRegistered: n.Self, CreateTime: r.Clock.Now(), Email: n.Email.Written,
	}
	if err := r.store.insert(ctx, tx, a, r.NewID(), n.Email); err != nil {
		return a, err
	}
	return a, r.registered(ctx, tx, a)
}

// writeActivation has the confirmation letter sent, unless one just was.
func (r *Registry) writeActivation(ctx context.Context, tx pgx.Tx, a Account) error {
	due, err := r.store.post(ctx, tx, a.ID, activationLetter, r.Real.Now(), r.LetterPause)
	if err != nil || !due {
		return err
	}
	l, err := r.Links.Create(ctx, tx, link.Activation, a.ID, r.Clock.Now())
	if err != nil {
		return err
	}
	return r.activationRequested(ctx, tx, l)
}

// writePasswordReset has the letter with the reset link sent, unless one just was.
func (r *Registry) writePasswordReset(ctx context.Context, tx pgx.Tx, a Account) error {
	due, err := r.store.post(ctx, tx, a.ID, passwordResetLetter, r.Real.Now(), r.LetterPause)
	if err != nil || !due {
		return err
	}
	l, err := r.Links.Create(ctx, tx, link.PasswordReset, a.ID, r.Clock.Now())
	if err != nil {
		return err
	}
	return r.passwordResetRequested(ctx, tx, l)
}

// writeAlreadyRegistered has a letter sent that there is an account, unless one just was.
func (r *Registry) writeAlreadyRegistered(ctx context.Context, tx pgx.Tx, a Account) error {
	due, err := r.store.post(ctx, tx, a.ID, alreadyRegisteredLetter, r.Real.Now(), r.LetterPause)
	if err != nil || !due {
		return err
	}
	return r.alreadyRegistered(ctx, tx, a.ID)
}

// activate makes a pending account active. Its row is locked.
func (r *Registry) activate(ctx context.Context, tx pgx.Tx, a Account, hash string) (Account, error) {
	if !a.Is(Pending) {
		return a, notPending(a)
	}
	now := r.Clock.Now()
	if err := r.store.activate(ctx, tx, a, hash, now); err != nil {
		return a, err
	}
	if err := r.Links.Use(ctx, tx, link.Activation, a.ID, now); err != nil {
		return a, err
	}
	a.State = string(Active)
	return a, r.activated(ActAs(ctx, a.ID), tx, a)
}
