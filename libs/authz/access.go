package authz

import (
	"context"
	"sync"
	"time"

	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// Access is what one account may do in one scope.
type Access struct {
	// Staff says whether the account is the vendor's staff.
	Staff bool
	// Member says whether the account belongs to the scope at all.
	Member bool
	// Administrator is whom to ask for more; only for members.
	Administrator string

	everywhere map[authv1.Permission]bool
	companies  map[string]map[authv1.Permission]bool
}

// FromResponse reads tenancy's answer.
func FromResponse(r *tenancyv1.ResolveAccessResponse) Access {
	a := Access{
		Staff: r.GetStaff(), Member: r.GetMember(), Administrator: r.GetAdministrator(),
		everywhere: setOf(r.GetPermissions()), companies: map[string]map[authv1.Permission]bool{},
	}
	for _, c := range r.GetCompanies() {
		a.companies[c.GetCompany()] = setOf(c.GetPermissions())
	}
	return a
}

func setOf(list []authv1.Permission) map[authv1.Permission]bool {
	set := make(map[authv1.Permission]bool, len(list))
	for _, p := range list {
		set[p] = true
	}
	return set
}

// Allows says whether the permission is held in the scope. What is held in the
// whole subscriber is held in each of its companies; not the other way.
func (a Access) Allows(p authv1.Permission, s Scope) bool {
	if a.everywhere[p] {
		return true
	}
	return s.Company != "" && a.companies[s.Company][p]
}

// Resolver tells an account's access in `subscribers/S` or `connections/X`, or
// only whether it is staff when the scope is empty.
type Resolver interface {
	Resolve(ctx context.Context, account, scope string) (Access, error)
}

// ResolverFunc makes a Resolver of a function.
type ResolverFunc func(ctx context.Context, account, scope string) (Access, error)

// Resolve calls the function.
func (f ResolverFunc) Resolve(ctx context.Context, account, scope string) (Access, error) {
	return f(ctx, account, scope)
}

// Remote asks tenancy.
func Remote(client tenancyv1.AccessServiceClient) Resolver {
	return ResolverFunc(func(ctx context.Context, account, scope string) (Access, error) {
		answer, err := client.ResolveAccess(ctx, &tenancyv1.ResolveAccessRequest{Account: account, Scope: scope})
		if err != nil {
			return Access{}, err
		}
		return FromResponse(answer), nil
	})
}

// cacheFor is how long an answer may be used; events drop it sooner.
const cacheFor = 30 * time.Second

// maxCached bounds the cache's memory; past it everything is asked anew.
const maxCached = 50_000

// unavailableRetry is when to come again while rights cannot be told.
const unavailableRetry = time.Second

// Cache keeps a resolver's answers for 30 seconds at the most. Safe for
// concurrent use.
type Cache struct {
	next Resolver
	now  func() time.Time

	mu      sync.Mutex
	answers map[question]cached
	// changes counts drops, so that an answer that was on its way while its
	// account changed is not kept.
	changes uint64
}

type question struct{ account, scope string }

type cached struct {
	access Access
	until  time.Time
}

// NewCache returns an empty cache before a resolver. Now is real time.
func NewCache(next Resolver, now func() time.Time) *Cache {
	return &Cache{next: next, now: now, answers: map[question]cached{}}
}

// Resolve answers from the cache or asks.
func (c *Cache) Resolve(ctx context.Context, account, scope string) (Access, error) {
	q := question{account, scope}
	c.mu.Lock()
	hit, ok := c.answers[q]
	before := c.changes
	c.mu.Unlock()
	if ok && c.now().Before(hit.until) {
		return hit.access, nil
	}
	access, err := c.next.Resolve(ctx, account, scope)
	if err != nil {
		return Access{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		if len(c.answers) >= maxCached {
			clear(c.answers)
		}
		c.answers[q] = cached{access: access, until: c.now().Add(cacheFor)}
	}
	return access, nil
}

// Drop forgets an account's answers; an empty account forgets all.
func (c *Cache) Drop(account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	for q := range c.answers {
		if account == "" || q.account == account {
			delete(c.answers, q)
		}
	}
}
