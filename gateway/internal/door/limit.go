package door

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"golang.org/x/time/rate"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Limits are how many requests are taken.
type Limits struct {
	// SensitivePerMinute, from one address to public methods that change something.
	SensitivePerMinute int
	// PublicPerSecond, from one address to other public methods.
	PublicPerSecond int
	// AccountPerSecond, of one account.
	AccountPerSecond int
}

// redisPatience is how long a count may take; a slow Redis must not make the
// door slow.
const redisPatience = 100 * time.Millisecond

// maxBuckets bounds the local counts' memory.
const maxBuckets = 100_000

// Limiter counts requests: in Redis over all copies of the gateway, and when
// Redis does not answer, in this copy. It is never open and never shut.
type Limiter struct {
	limits Limits
	shared *redis_rate.Limiter

	mu    sync.Mutex
	local map[string]*rate.Limiter
	// skip is until when Redis is not asked, because it did not answer.
	skip time.Time
}

// NewLimiter returns a limiter; shared may be nil.
func NewLimiter(limits Limits, shared *redis_rate.Limiter) *Limiter {
	return &Limiter{limits: limits, shared: shared, local: map[string]*rate.Limiter{}}
}

// Allow counts one request, or answers RATE_LIMITED with when to come again.
func (l *Limiter) Allow(ctx context.Context, m Method, who caller.Caller) error {
	key, limit := l.class(m, who)
	wait, ok := l.askShared(ctx, key, limit)
	if !ok {
		wait = l.askLocal(key, limit)
	}
	if wait > 0 {
		return failure.New(commonv1.Reason_REASON_RATE_LIMITED).WithRetry(wait)
	}
	return nil
}

func (l *Limiter) class(m Method, who caller.Caller) (string, redis_rate.Limit) {
	switch {
	case m.Sensitive:
		return "sensitive:" + place(who.Address), redis_rate.PerMinute(l.limits.SensitivePerMinute)
	case who.Account != "":
		return "account:" + who.Account, redis_rate.PerSecond(l.limits.AccountPerSecond)
	default:
		return "public:" + place(who.Address), redis_rate.PerSecond(l.limits.PublicPerSecond)
	}
}

// place is what one visitor can choose addresses from: an IPv4 address, or the
// 64-bit network that an IPv6 customer is given.
func place(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() {
		return address
	}
	network, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return network.String()
}

// askShared counts in Redis; ok is false when Redis does not tell.
func (l *Limiter) askShared(ctx context.Context, key string, limit redis_rate.Limit) (wait time.Duration, ok bool) {
	if l.shared == nil || l.skipping() {
		return 0, false
	}
	// A visitor who goes away meanwhile must not look like a Redis that did.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisPatience)
	defer cancel()
	result, err := l.shared.Allow(ctx, key, limit)
	if err != nil {
		l.mu.Lock()
		l.skip = time.Now().Add(time.Second)
		l.mu.Unlock()
		return 0, false
	}
	if result.Allowed > 0 {
		return 0, true
	}
	return result.RetryAfter, true
}

func (l *Limiter) skipping() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.skip)
}

// makeRoom drops any one count when there are too many. The lock is held.
func (l *Limiter) makeRoom() {
	if len(l.local) < maxBuckets {
		return
	}
	for key := range l.local {
		delete(l.local, key)
		return
	}
}

func (l *Limiter) askLocal(key string, limit redis_rate.Limit) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.local[key]
	if !ok {
		l.makeRoom()
		bucket = rate.NewLimiter(rate.Limit(float64(limit.Rate)/limit.Period.Seconds()), limit.Burst)
		l.local[key] = bucket
	}
	reserved := bucket.Reserve()
	wait := reserved.Delay()
	if wait > 0 {
		reserved.Cancel()
	}
	return wait
}
