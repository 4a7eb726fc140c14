package door

import (
	"testing"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	_ "kontor.internal/proto/gen/go/kontor/identity/v1"
)

func TestWhereAVisitorComesFrom(t *testing.T) {
	trusted, err := ParseProxies([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		proxies           Proxies
		remote, forwarded string
		want              string
	}{
		"nobody is trusted":              {nil, "192.0.2.1:5", "198.51.100.7", "192.0.2.1"},
		"no proxy in between":            {trusted, "192.0.2.1:5", "198.51.100.7", "192.0.2.1"},
		"one trusted proxy":              {trusted, "10.1.1.1:5", "198.51.100.7", "198.51.100.7"},
		"two trusted proxies":            {trusted, "10.1.1.1:5", "198.51.100.7, 10.2.2.2", "198.51.100.7"},
		"what the visitor made up":       {trusted, "10.1.1.1:5", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		"a proxy that says nothing":      {trusted, "10.1.1.1:5", "", "10.1.1.1"},
		"a proxy that says nonsense":     {trusted, "10.1.1.1:5", "nonsense", "10.1.1.1"},
		"an IPv4 address in IPv6's form": {nil, "[::ffff:192.0.2.1]:5", "", "192.0.2.1"},
		"an IPv6 proxy":                  {trusted, "[fd00::1]:5", "2001:db8::7", "2001:db8::7"},
		"no address at all":              {nil, "@", "", ""},
	} {
		if got := c.proxies.Visitor(c.remote, c.forwarded); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := ParseProxies([]string{"10.0.0.0"}); err == nil {
		t.Error("a network without its size was taken")
	}
}

func TestOutsidersSeeNoInternalMethod(t *testing.T) {
	methods, err := LoadMethods()
	if err != nil {
		t.Fatal(err)
	}
	for _, internal := range []string{"/kontor.identity.v1.DirectoryService/GetAccountLink", "/grpc.health.v1.Health/Check"} {
		if _, ok := methods[internal]; ok {
			t.Errorf("%s is open", internal)
		}
	}
	signIn := methods["/kontor.identity.v1.SessionService/SignIn"]
	if !signIn.Public || !signIn.Sensitive || signIn.Backend != "identity" {
		t.Errorf("sign-in: %+v", signIn)
	}
	if keys := methods["/kontor.identity.v1.KeyService/GetJwks"]; !keys.Public || keys.Sensitive {
		t.Errorf("keys: %+v", keys)
	}
}

// allow counts how many of some requests pass at once.
func allow(t *testing.T, l *Limiter, m Method, who caller.Caller, requests int) (passed int) {
	t.Helper()
	for range requests {
		err := l.Allow(t.Context(), m, who)
		switch failure.Reason(err) {
		case commonv1.Reason_REASON_UNSPECIFIED:
			passed++
		case commonv1.Reason_REASON_RATE_LIMITED:
		default:
			t.Fatal(err)
		}
	}
	return passed
}

func limits() Limits {
	return Limits{SensitivePerMinute: 3, PublicPerSecond: 1000, AccountPerSecond: 1000}
}

func TestLimitsHoldForEachAddressWithAndWithoutRedis(t *testing.T) {
	server := servertest.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address()})
	t.Cleanup(func() { _ = client.Close() })
	guess := Method{Public: true, Sensitive: true}
	for name, l := range map[string]*Limiter{
		"alone":      NewLimiter(limits(), nil),
		"with Redis": NewLimiter(limits(), redis_rate.NewLimiter(client)),
	} {
		if n := allow(t, l, guess, caller.Caller{Address: "192.0.2.1"}, 10); n != 3 {
			t.Errorf("%s: %d of 10 pass", name, n)
		}
		if n := allow(t, l, guess, caller.Caller{Address: "192.0.2.2"}, 1); n != 1 {
			t.Errorf("%s: another address is held up", name)
		}
		if n := allow(t, l, Method{}, caller.Caller{Account: "accounts/a", Address: "192.0.2.1"}, 10); n != 10 {
			t.Errorf("%s: an account is held up by its address: %d", name, n)
		}
	}
}

func TestCopiesCountTogetherAndALostRedisNeitherOpensNorShuts(t *testing.T) {
	server := servertest.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	one, two := NewLimiter(limits(), redis_rate.NewLimiter(client)), NewLimiter(limits(), redis_rate.NewLimiter(client))
	guess, who := Method{Public: true, Sensitive: true}, caller.Caller{Address: "192.0.2.1"}
	if n := allow(t, one, guess, who, 2) + allow(t, two, guess, who, 8); n != 3 {
		t.Errorf("two copies let %d pass", n)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if n := allow(t, one, guess, caller.Caller{Address: "192.0.2.3"}, 10); n != 3 {
		t.Errorf("without Redis %d of 10 pass", n)
	}
}
