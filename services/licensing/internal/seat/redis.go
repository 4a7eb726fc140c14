package seat

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
)

//go:embed lua/*.lua
var sources embed.FS

// library is the functions' source: the files in the order of their numbers.
var library = sync.OnceValues(func() (string, error) {
	files, err := fs.Glob(sources, "lua/*.lua")
	var whole strings.Builder
	for _, file := range files {
		part, readErr := sources.ReadFile(file)
		err = errors.Join(err, readErr)
		whole.Write(part)
	}
	return whole.String(), err
})

// prefix of the functions' names in Redis.
const prefix = "kontor_seats_3_"

// Words that the functions answer with.
const (
	wordFailed     = "failed"
	wordOpen       = "open"
	wordClosed     = "closed"
	wordLonger     = "longer"
	wordHeld       = "held"
	wordLost       = "lost"
	wordEnter      = "enter"
	wordFull       = "full"
	wordCompany    = "company"
	wordProduct    = "product"
	wordRecovering = "recovering"
	wordEmpty      = "empty"
	wordResting    = "resting"
	wordForeign    = "foreign"
	wordWaiting    = "waiting"
	wordOffered    = "offered"
	wordCrowded    = "crowded"
	wordKept       = "kept"
	wordTaken      = "taken"
	wordSame       = "same"
	wordGone       = "gone"
)

// unavailable is the answer when Redis gives none.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "seats").Wrap(err)
}

// functions calls the functions in lua/. A server that doesn't have them, because it is new or lost them, gets them. What
// is called of one pool while it answers another call goes together in the next: many calls cost little more than one.
// Safe for concurrent use.
type functions struct {
	redis redis.UniversalClient

	mu sync.Mutex
	// waiting are the calls of each pool that is being called just now.
	waiting map[uuid.UUID][]*pending
}

// pending is one call and what came of it.
type pending struct {
	ctx    context.Context //nolint:containedctx // Its caller's, for traces.
	name   string
	args   []any
	done   chan struct{}
	answer answer
	err    error
}

const (
	// together is how many calls go together at the most: they keep a server for a millisecond.
	together = 64
	// calling bounds calls that go together.
	calling = 5 * time.Second
)

// call calls a function that changes a pool. What was begun is waited for whatever ctx says: it must not happen after its
// caller went on to something else.
func (f *functions) call(ctx context.Context, name string, of uuid.UUID, args ...any) (answer, error) {
	one := &pending{ctx: ctx, name: name, args: args, done: make(chan struct{})}
	f.mu.Lock()
	waiting, busy := f.waiting[of]
	f.waiting[of] = append(waiting, one)
	f.mu.Unlock()
	if !busy {
		runtime.Gosched() // Who is about to call comes along.
		f.carry(of, f.next(of))
		if next := f.next(of); len(next) > 0 {
			go f.carryOn(of, next)
		}
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		if f.withdraw(of, one) {
			return nil, ctx.Err()
		}
		<-one.done
	}
	return one.answer, one.err
}

// withdraw takes back a call that was not made yet.
func (f *functions) withdraw(of uuid.UUID, one *pending) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := slices.Index(f.waiting[of], one)
	if at < 0 {
		return false
	}
	f.waiting[of] = slices.Delete(f.waiting[of], at, at+1)
	return true
}

// next takes the calls that go together now. Without any the pool is not being called any more.
func (f *functions) next(of uuid.UUID) []*pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := f.waiting[of]
	if len(waiting) == 0 {
		delete(f.waiting, of)
		return nil
	}
	count := min(len(waiting), together)
	f.waiting[of] = slices.Clone(waiting[count:])
	return waiting[:count]
}

// carryOn calls for those who wait until nobody does.
func (f *functions) carryOn(of uuid.UUID, batch []*pending) {
	for len(batch) > 0 {
		f.carry(of, batch)
		batch = f.next(of)
	}
}

// carry calls a pool's functions together, and tells each caller what came of it.
func (f *functions) carry(of uuid.UUID, batch []*pending) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), calling)
	defer cancel()
	size := 0
	for _, one := range batch {
		size += 2 + len(one.args)
	}
	args := make([]any, 0, size)
	for _, one := range batch {
		args = append(append(args, one.name, len(one.args)), one.args...)
	}
	got, err := f.try(ctx, func() *redis.Cmd { return f.redis.FCall(ctx, prefix+"change", poolKeys(of), args...) })
	answers := got.list(0)
	lists, unreadable := got.list(1).holders()
	err = errors.Join(err, unreadable)
	for i, one := range batch {
		if one.err = err; err == nil {
			one.answer, one.err = answers.list(i).with(lists).done()
		}
		close(one.done)
	}
}

// read calls a function that changes nothing.
func (f *functions) read(ctx context.Context, name string, of uuid.UUID, args ...any) (answer, error) {
	args = append([]any{name}, args...)
	got, err := f.try(ctx, func() *redis.Cmd { return f.redis.FCallRO(ctx, prefix+"look", poolKeys(of), args...) })
	if err != nil {
		return nil, err
	}
	return got.done()
}

// same says whether nothing of a partition was lost since it was marked.
func (f *functions) same(ctx context.Context, partition int) (bool, error) {
	a, err := f.try(ctx, func() *redis.Cmd { return f.redis.FCallRO(ctx, prefix+"same", []string{markKey(partition)}) })
	return a.word() == wordSame, err
}

// mark marks a partition, so that a loss is seen: before and after its pools are opened, or what is lost between is not.
func (f *functions) mark(ctx context.Context, partition int, step string) error {
	_, err := f.try(ctx, func() *redis.Cmd { return f.redis.FCall(ctx, prefix+"mark", []string{markKey(partition)}, step) })
	return err
}

func (f *functions) try(ctx context.Context, call func() *redis.Cmd) (answer, error) {
	got, err := call().Slice()
	if isMissing(err) {
		if err := f.load(ctx); err != nil {
			return nil, unavailable(err)
		}
		got, err = call().Slice()
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return answer(got), nil
}

// isMissing says that the server does not have the functions.
func isMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Function not found")
}

// load gives the functions to every server that has pools.
func (f *functions) load(ctx context.Context) error {
	source, err := library()
	if err != nil {
		return err
	}
	if cluster, ok := f.redis.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			return master.FunctionLoadReplace(ctx, source).Err()
		})
	}
	return f.redis.FunctionLoadReplace(ctx, source).Err()
}

// byCaller turns an account's name into what the log keeps.
func byCaller(account, address string) By {
	id, err := licence.ParseAccount(account)
	if err != nil {
		return By{Address: address}
	}
	return By{Account: id.String(), Address: address}
}
