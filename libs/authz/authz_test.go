package authz_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/authz"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func TestScopeOfAName(t *testing.T) {
	for name, want := range map[string]string{
		"subscribers/s":                        "subscribers/s",
		"subscribers/s/licences/l":             "subscribers/s",
		"subscribers/s/companies/c":            "subscribers/s/companies/c",
		"subscribers/s/companies/c/snapshots/": "",
		"subscribers/s/companies":              "subscribers/s",
		"connections/x/documents/d":            "connections/x",
		"accounts/a":                           "",
		"subscribers":                          "",
		"subscribers/":                         "",
		"subscribers/-/companies/c":            "",
		"":                                     "",
		"/subscribers/s":                       "",
	} {
		scope, ok := authz.ScopeOf(name)
		if ok != (want != "") || scope.String() != want {
			t.Errorf("%q: %q, %v", name, scope, ok)
		}
	}
}

// access is what one account may do: read all of S, post in its company C.
func access() authz.Access {
	return authz.FromResponse(&tenancyv1.ResolveAccessResponse{
		Member: true, Administrator: "Anna",
		Permissions: []authv1.Permission{authv1.Permission_PERMISSION_SUBSCRIBER_READ},
		Companies: []*tenancyv1.CompanyAccess{{
			Company: "subscribers/s/companies/c", Permissions: []authv1.Permission{authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS},
		}},
	})
}

func TestWhatIsHeldInASubscriberIsHeldInItsCompaniesAndNotTheOtherWay(t *testing.T) {
	subscriber, company, other := authz.Scope{Root: "subscribers/s"},
		authz.Scope{Root: "subscribers/s", Company: "subscribers/s/companies/c"},
		authz.Scope{Root: "subscribers/s", Company: "subscribers/s/companies/d"}
	read, post := authv1.Permission_PERMISSION_SUBSCRIBER_READ, authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS
	for name, c := range map[string]struct {
		permission authv1.Permission
		scope      authz.Scope
		want       bool
	}{
		"held everywhere, asked everywhere":     {read, subscriber, true},
		"held everywhere, asked in a company":   {read, company, true},
		"held in a company, asked there":        {post, company, true},
		"held in a company, asked in another":   {post, other, false},
		"held in a company, asked everywhere":   {post, subscriber, false},
		"held nowhere, asked in a company":      {authv1.Permission_PERMISSION_SEATS_MANAGE, company, false},
		"no permission at all is never allowed": {authv1.Permission_PERMISSION_UNSPECIFIED, company, false},
	} {
		if got := access().Allows(c.permission, c.scope); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func rules(t *testing.T) authz.Rules {
	t.Helper()
	loaded, err := authz.LoadRules(map[string]grpc.ServiceInfo{
		"kontor.identity.v1.KeyService":        {Methods: []grpc.MethodInfo{{Name: "GetJwks"}}},
		"kontor.identity.v1.DirectoryService":  {Methods: []grpc.MethodInfo{{Name: "GetAccountLink"}}},
		"kontor.notification.v1.LetterService": {Methods: []grpc.MethodInfo{{Name: "ListLetters"}}},
		"kontor.common.v1.OperationService":    {Methods: []grpc.MethodInfo{{Name: "GetOperation"}}},
		"kontor.tenancy.v1.SubscriberService":  {Methods: []grpc.MethodInfo{{Name: "ListSubscribers"}}},
		"grpc.health.v1.Health":                {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestAServerWithAMethodThatHasNoRuleDoesNotStart(t *testing.T) {
	for name, services := range map[string]map[string]grpc.ServiceInfo{
		"a method that the contract lacks":  {"kontor.common.v1.OperationService": {Methods: []grpc.MethodInfo{{Name: "Nothing"}}}},
		"a service that the contract lacks": {"kontor.common.v1.NoService": {Methods: []grpc.MethodInfo{{Name: "Get"}}}},
	} {
		if _, err := authz.LoadRules(services); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	resolver := authz.ResolverFunc(func(_ context.Context, account, scope string) (authz.Access, error) {
		switch {
		case account == "accounts/staff":
			return authz.FromResponse(&tenancyv1.ResolveAccessResponse{Staff: true}), nil
		case account == "accounts/lost":
			return authz.Access{}, errors.New("tenancy is gone")
		case account == "accounts/member" && scope == "subscribers/s":
			return access(), nil
		default:
			return authz.Access{}, nil
		}
	})
	a := authz.New(rules(t), resolver)
	const (
		open, internal, staff = "/kontor.identity.v1.KeyService/GetJwks", "/kontor.identity.v1.DirectoryService/GetAccountLink", "/kontor.notification.v1.LetterService/ListLetters"
		signedIn, scoped      = "/kontor.tenancy.v1.SubscriberService/ListSubscribers", "/kontor.common.v1.OperationService/GetOperation"
	)
	link, list := &identityv1.GetAccountLinkRequest{}, &notificationv1.ListLettersRequest{}
	own := &commonv1.GetOperationRequest{Name: "subscribers/s/operations/o"}
	none := commonv1.Reason_REASON_UNSPECIFIED
	missing, denied := commonv1.Reason_REASON_TOKEN_MISSING, commonv1.Reason_REASON_PERMISSION_DENIED
	as := func(account string) caller.Caller { return caller.Caller{Account: account, Service: "gateway"} }
	for name, c := range map[string]struct {
		method  string
		request proto.Message
		who     caller.Caller
		want    commonv1.Reason
	}{
		"a visitor, a public method":            {open, &identityv1.GetJwksRequest{}, caller.Caller{}, none},
		"the named service, an internal method": {internal, link, caller.Caller{Service: "notification"}, none},
		"another service, an internal method":   {internal, link, caller.Caller{Service: "backup"}, denied},
		"a person, an internal method":          {internal, link, as("accounts/staff"), denied},
		"a visitor, a method for staff":         {staff, list, caller.Caller{}, missing},
		"a person, a method for staff":          {staff, list, as("accounts/member"), denied},
		"staff, a method for staff":             {staff, list, as("accounts/staff"), none},
		"a visitor, a method for the signed-in": {signedIn, &tenancyv1.ListSubscribersRequest{}, caller.Caller{}, missing},
		"a person, a method for the signed-in":  {signedIn, &tenancyv1.ListSubscribersRequest{}, as("accounts/x"), none},
		"a member, their subscriber":            {scoped, own, as("accounts/member"), none},
		"a stranger, the subscriber":            {scoped, own, as("accounts/x"), denied},
		"staff, a customer's data":              {scoped, own, as("accounts/staff"), denied},
		"a member, another subscriber":          {scoped, &commonv1.GetOperationRequest{Name: "subscribers/t/operations/o"}, as("accounts/member"), denied},
		"a member, a name without a scope":      {scoped, &commonv1.GetOperationRequest{Name: "operations/o"}, as("accounts/member"), commonv1.Reason_REASON_INVALID_ARGUMENT},
		"a right that can't be resolved":        {scoped, own, as("accounts/lost"), commonv1.Reason_REASON_UNAVAILABLE},
		"a method that is not there":            {"/kontor.x/Y", own, as("accounts/member"), commonv1.Reason_REASON_METHOD_UNKNOWN},
		"a service, a health check":             {"/grpc.health.v1.Health/Check", own, caller.Caller{Service: "gateway"}, none},
		"nobody, a health check":                {"/grpc.health.v1.Health/Check", own, caller.Caller{}, denied},
	} {
		_, err := a.Check(caller.With(t.Context(), c.who), c.method, c.request)
		if got := failure.Reason(err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestARefusalNamesWhomToAsk(t *testing.T) {
	a := authz.New(rules(t), authz.ResolverFunc(func(context.Context, string, string) (authz.Access, error) { return access(), nil }))
	ctx := caller.With(t.Context(), caller.Caller{Account: "accounts/member"})
	err := a.Allowed(ctx, authv1.Permission_PERMISSION_SEATS_MANAGE, "subscribers/s/companies/c")
	refused := failure.From(err)
	if refused.Meta("administrator") != "Anna" || refused.Meta("permission") != "PERMISSION_SEATS_MANAGE" || refused.Meta("scope") != "subscribers/s/companies/c" {
		t.Fatal(err)
	}
}

func TestTheCacheForgetsAfterThirtySecondsAndWhenToldTo(t *testing.T) {
	now, asked := time.Now(), 0
	cache := authz.NewCache(authz.ResolverFunc(func(context.Context, string, string) (authz.Access, error) {
		asked++
		return access(), nil
	}), func() time.Time { return now })
	resolve := func() {
		if _, err := cache.Resolve(t.Context(), "accounts/a", "subscribers/s"); err != nil {
			t.Fatal(err)
		}
	}
	resolve()
	resolve()
	if asked != 1 {
		t.Errorf("asked %d times at once", asked)
	}
	cache.Drop("accounts/b")
	resolve()
	if asked != 1 {
		t.Error("another account's change dropped it")
	}
	cache.Drop("accounts/a")
	resolve()
	if asked != 2 {
		t.Error("its own change did not drop it")
	}
	now = now.Add(31 * time.Second)
	resolve()
	if asked != 3 {
		t.Error("it was kept for longer than 30 s")
	}
}

func TestAnAnswerOvertakenByAChangeIsNotKept(t *testing.T) {
	var cache *authz.Cache
	asked := 0
	cache = authz.NewCache(authz.ResolverFunc(func(context.Context, string, string) (authz.Access, error) {
		if asked++; asked == 1 {
			cache.Drop("accounts/a") // The right changes while the answer is on its way.
		}
		return access(), nil
	}), time.Now)
	for range 3 {
		if _, err := cache.Resolve(t.Context(), "accounts/a", "subscribers/s"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
