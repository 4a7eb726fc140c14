// Package caller tells a handler who called it.
package caller

import "context"

// Kind of an account.
type Kind string

// The kinds of account that sign in.
const (
	KindPerson    Kind = "person"
	KindTechnical Kind = "technical"
)

// Caller is who made the request under way. The zero value is an anonymous
// visitor.
type Caller struct {
	// Account is `accounts/A`, empty for visitors and for services that act for themselves.
	Account string
	// Kind of the account.
	Kind Kind
	// Session is `accounts/A/sessions/N`.
	Session string
	// Company is the company chosen at sign-in, `subscribers/S/companies/C`, or empty.
	Company string
	// Service is the name in the peer's certificate: the gateway for outside requests.
	Service string
	// Staff says whether the account is the vendor's staff; known only where the method's rule asked.
	Staff bool
	// Locale is the language wanted for texts, BCP 47.
	Locale string
	// Address is where the outside request came from, an IP address.
	Address string
	// RequestID is the id of the create under way, for events and logs; may be empty.
	RequestID string
	// OnBehalfOf is whom a service acts for, `accounts/A`; it is recorded, it gives no rights.
	OnBehalfOf string
	// Token is the access token as it came, passed on to the next service.
	Token string
}

// Actor is how events name the caller: the account, else the service.
func (c Caller) Actor() string {
	switch {
	case c.Account != "":
		return c.Account
	case c.Service != "":
		return "services/" + c.Service
	default:
		return ""
	}
}

// SignedIn says whether an account stands behind the request.
func (c Caller) SignedIn() bool { return c.Account != "" }

type key struct{}

// From returns the request's caller.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}

// With returns a context for work done as c. The interceptors use it for
// requests; jobs and consumers use it to act as their service.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, key{}, c)
}
