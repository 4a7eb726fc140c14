package snapshot

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

var errFault = errors.New("the store fails")

// faulty is a store of which each call may fail, before it did anything or half-way.
type faulty struct {
	Store

	mu     sync.Mutex
	random *rand.Rand
	chance float64
}

func (f *faulty) fails() bool { return f.failsOften(1) }

// failsOften is for calls that are made seldom.
func (f *faulty) failsOften(times float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.Float64() < f.chance*times
}

func (f *faulty) Create(ctx context.Context, key string) (Object, error) {
	if f.failsOften(20) {
		return nil, errFault
	}
	o, err := f.Store.Create(ctx, key)
	if err != nil {
		return nil, err
	}
	return &faultyObject{o, f}, nil
}

func (f *faulty) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if f.fails() {
		return nil, errFault
	}
	from, err := f.Store.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return &faultyReader{from, f}, nil
}

func (f *faulty) List(ctx context.Context, prefix string, each func(key string, bytes int64) error) error {
	return f.Store.List(ctx, prefix, func(key string, bytes int64) error {
		if f.fails() {
			return errFault
		}
		return each(key, bytes)
	})
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if f.fails() {
		return errFault
	}
	return f.Store.Delete(ctx, key)
}

type faultyObject struct {
	Object

	of *faulty
}

func (o *faultyObject) Write(b []byte) (int, error) {
	if o.of.fails() {
		n, _ := o.Object.Write(b[:len(b)/2])
		return n, errFault
	}
	return o.Object.Write(b)
}

func (o *faultyObject) Commit() error {
	if !o.of.failsOften(80) {
		return o.Object.Commit()
	}
	o.Abort()
	return errFault
}

type faultyReader struct {
	io.ReadCloser

	of *faulty
}

func (r *faultyReader) Read(b []byte) (int, error) {
	if r.of.fails() {
		n, _ := r.ReadCloser.Read(b[:len(b)/2])
		return n, errFault
	}
	return r.ReadCloser.Read(b)
}

// TestEveryCallOfTheStoreMayFail: what succeeds is right, what fails leaves no snapshot and can be repeated, and no fault is
// taken for damage.
func TestEveryCallOfTheStoreMayFail(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	login := o.books(t)
	random := chance(t)
	repo, _ := folder(t)
	cache := t.TempDir()
	var last *Made
	var all []Known
	for round := range soaked(t, 5) {
		o.work(t, login, round)
		bad := repo
		bad.Store = &faulty{Store: repo.Store, random: random, chance: 0.002 * float64(1+round%8)}
		previous := last
		if round%4 == 3 {
			previous = nil
		}
		order := o.order(login, cache, uint64(round+1), previous)
		order.Whole = round%3 == 2
		last = o.insist(t, bad, repo, order)
		all = append(all, last.Known)
		require.NoError(t, verify(t, repo, last.Known))
		if round%3 == 1 {
			o.restores(t, repo, last.Known, o.digest(t, login))
		}
		faultOrNothing(t, verify(t, bad, all[random.IntN(len(all))]))
		_, err := Collect(t.Context(), bad, func(context.Context) (Raised, error) { return Raised{Committed: all}, nil })
		faultOrNothing(t, err)
		to := o.empty(t)
		if _, err = Restore(t.Context(), bad, RestoreOrder{Tools: o.tools, Login: to, Ref: last.Ref, Head: &last.Head}); err == nil {
			require.Equal(t, o.digest(t, login), o.digest(t, to))
		}
		faultOrNothing(t, err)
	}
	o.restores(t, repo, last.Known, o.digest(t, login))
}

// attempts until a snapshot must have come to be, by a store that gets better with each.
const attempts = 100

// insist gives an order again until it is carried out.
func (o *office) insist(t *testing.T, bad, good Repository, order Order) *Made {
	t.Helper()
	f := bad.Store.(*faulty)
	for range attempts {
		order.Ref.Snapshot = uuid.New()
		made, err := Make(t.Context(), bad, order)
		if err == nil {
			return made
		}
		require.ErrorIs(t, err, errFault)
		require.NotErrorIs(t, err, ErrDamaged)
		refs, err := List(t.Context(), good)
		require.NoError(t, err)
		require.NotContains(t, refs, order.Ref)
		f.mu.Lock()
		f.chance *= 0.7
		f.mu.Unlock()
	}
	require.FailNow(t, "no attempt succeeded")
	return nil
}

func faultOrNothing(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, errFault)
		require.NotErrorIs(t, err, ErrDamaged)
	}
}

// TestACommitWhoseAnswerIsLostLeavesNothingHalf: the snapshot is there and whole, and the order can be given again by another id.
func TestACommitWhoseAnswerIsLostLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	login := o.books(t)
	repo, _ := folder(t)
	cache := t.TempDir()
	first := o.snapshot(t, repo, o.order(login, cache, 1, nil))
	o.work(t, login, 1)
	order := o.order(login, cache, 2, first)
	lossy := repo
	lossy.Store = &lastCommit{Store: repo.Store, key: repo.inner().manifest(order.Ref)}
	_, err := Make(t.Context(), lossy, order)
	require.ErrorIs(t, err, errFault)
	require.NoError(t, Verify(t.Context(), repo, VerifyOrder{Ref: order.Ref}))

	_, err = Make(t.Context(), repo, order)
	require.Error(t, err, "nothing is written over")
	o.work(t, login, 2)
	order.Ref.Snapshot = uuid.New()
	again := o.snapshot(t, repo, order)
	o.restores(t, repo, again.Known, o.digest(t, login))
	require.NoError(t, verify(t, repo, first.Known))
}

// lastCommit loses the answer to one object's commit.
type lastCommit struct {
	Store

	key string
}

func (s *lastCommit) Create(ctx context.Context, key string) (Object, error) {
	o, err := s.Store.Create(ctx, key)
	if err != nil || key != s.key {
		return o, err
	}
	return lostAnswer{o}, nil
}

type lostAnswer struct{ Object }

func (o lostAnswer) Commit() error { return errors.Join(o.Object.Commit(), errFault) }

// TestTwoSnapshotsAtOnce of the same company, in the same repository and by the same cache, both come to be.
func TestTwoSnapshotsAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	login := o.books(t)
	repo, _ := folder(t)
	cache := t.TempDir()
	first := o.snapshot(t, repo, o.order(login, cache, 1, nil))
	o.work(t, login, 1)
	want := o.digest(t, login)
	made := make([]*Made, 3)
	var together errgroup.Group
	for i := range made {
		previous := first
		if i == 2 {
			previous = nil
		}
		together.Go(func() (err error) {
			made[i], err = Make(t.Context(), repo, o.order(login, cache, uint64(2+i), previous))
			return err
		})
	}
	require.NoError(t, together.Wait())
	for _, m := range made {
		require.NoError(t, verify(t, repo, m.Known))
		o.restores(t, repo, m.Known, want)
	}
	for i, m := range made {
		o.work(t, login, 10+i)
		o.restores(t, repo, o.snapshot(t, repo, o.order(login, cache, uint64(10+i), m)).Known, o.digest(t, login))
	}
}
