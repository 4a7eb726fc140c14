package authz

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Authorizer applies rules.
type Authorizer struct {
	rules   Rules
	resolve Resolver
}

// New returns an authorizer for a server's rules.
func New(rules Rules, resolve Resolver) *Authorizer {
	return &Authorizer{rules: rules, resolve: resolve}
}

// Internal says whether a method is for services only.
func (a *Authorizer) Internal(method string) bool {
	return a.rules[method].GetInternal() != nil
}

// Public says whether anybody may call a method, signed in or not.
func (a *Authorizer) Public(method string) bool {
	return a.rules[method].GetPublic() != nil
}

// Check decides whether the caller in ctx may call the method with this
// request. It answers the caller with what was found out about it.
func (a *Authorizer) Check(ctx context.Context, method string, request proto.Message) (caller.Caller, error) {
	who := caller.From(ctx)
	if isInfrastructure(strings.TrimPrefix(method, "/")) {
		return who, mustBeService(who)
	}
	rule, ok := a.rules[method]
	if !ok {
		return who, failure.New(commonv1.Reason_REASON_METHOD_UNKNOWN)
	}
	switch rule := rule.GetCaller().(type) {
	case *authv1.Rule_Public:
		return who, nil
	case *authv1.Rule_SignedIn:
		return who, mustSignIn(who)
	case *authv1.Rule_Internal:
		if !slices.Contains(rule.Internal.GetServices(), who.Service) {
			return who, denied("internal", "services/"+who.Service, Access{})
		}
		return who, nil
	case *authv1.Rule_Staff:
		return a.checkStaff(ctx, who)
	case *authv1.Rule_Scoped:
		return a.checkScoped(ctx, who, rule.Scoped, request)
	default:
		return who, denied("unknown", method, Access{})
	}
}

func (a *Authorizer) checkStaff(ctx context.Context, who caller.Caller) (caller.Caller, error) {
	if err := mustSignIn(who); err != nil {
		return who, err
	}
	access, err := a.resolve.Resolve(ctx, who.Account, "")
	if err != nil {
		return who, unavailable(err)
	}
	if !access.Staff {
		return who, denied("staff", "vendor", Access{})
	}
	who.Staff = true
	return who, nil
}

func (a *Authorizer) checkScoped(ctx context.Context, who caller.Caller, rule *authv1.Scoped, request proto.Message) (caller.Caller, error) {
	if err := mustSignIn(who); err != nil {
		return who, err
	}
	name := fieldValue(request.ProtoReflect(), rule.GetField())
	scope, ok := ScopeOf(name)
	if !ok {
		return who, failure.Invalid(rule.GetField(), "is not a name that begins with subscribers/… or connections/…")
	}
	access, err := a.resolve.Resolve(ctx, who.Account, scope.Root)
	if err != nil {
		return who, unavailable(err)
	}
	who.Staff = access.Staff
	if access.Allows(rule.GetPermission(), scope) || (rule.GetStaffToo() && access.Staff) {
		return who, nil
	}
	return who, denied(rule.GetPermission().String(), scope.String(), access)
}

// Allowed says whether the caller in ctx holds a permission where a resource
// name lies, for handlers whose rule can't say it all.
func (a *Authorizer) Allowed(ctx context.Context, permission authv1.Permission, name string) error {
	who := caller.From(ctx)
	if err := mustSignIn(who); err != nil {
		return err
	}
	scope, ok := ScopeOf(name)
	if !ok {
		return failure.NotFound(name)
	}
	access, err := a.resolve.Resolve(ctx, who.Account, scope.Root)
	if err != nil {
		return unavailable(err)
	}
	if !access.Allows(permission, scope) {
		return denied(permission.String(), scope.String(), access)
	}
	return nil
}

// mustBeService admits health checks and reflection of the suite's own parts.
func mustBeService(who caller.Caller) error {
	if who.Service == "" {
		return denied("internal", "services", Access{})
	}
	return nil
}

func mustSignIn(who caller.Caller) error {
	if !who.SignedIn() {
		return failure.New(commonv1.Reason_REASON_TOKEN_MISSING)
	}
	return nil
}

func denied(permission, scope string, access Access) error {
	pairs := []string{"permission", permission, "scope", scope}
	if access.Administrator != "" {
		pairs = append(pairs, "administrator", access.Administrator)
	}
	return failure.New(commonv1.Reason_REASON_PERMISSION_DENIED, pairs...)
}

func unavailable(err error) error {
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "tenancy").WithRetry(unavailableRetry).Wrap(err)
}
