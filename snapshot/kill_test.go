package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
	"kontor.internal/snapshot/pgtool"
)

// dyingEnvironment has a process of the tests carry out a dying order.
const dyingEnvironment = "KONTOR_SNAPSHOT_DYING"

// dying is an order for a process that kills itself at a call of the store, or at a byte that goes through it; never at 0.
type dying struct {
	Programs string // folder of pg_dump and pg_restore
	Folder   string // of the repository
	Cache    string
	Login    *pgtool.Login
	Snapshot Known  // to be made, or restored
	Previous *Known // to compare with
	Restore  bool

	Call, Byte int64
	Commit     int64 // twice the number of a commit: before it; one more: after it
}

// dieOf carries out an order, unless it ends the process before.
func dieOf(text string) int {
	if err := carryOutDying(context.Background(), text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func carryOutDying(ctx context.Context, text string) error {
	d := dying{}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return err
	}
	tools, err := pgtool.Find(ctx, d.Programs)
	if err != nil {
		return err
	}
	bucket, err := blob.Open(ctx, "file://"+d.Folder)
	if err != nil {
		return err
	}
	defer bucket.Close()
	repo := Repository{Store: &mortal{Store: In(bucket), call: d.Call, byte: d.Byte, commit: d.Commit}, Folder: "company", Keys: keysOf(1)}
	if d.Restore {
		_, err := Restore(ctx, repo, RestoreOrder{Tools: tools, Login: d.Login, Ref: d.Snapshot.Ref, Head: &d.Snapshot.Head})
		return err
	}
	made, err := Make(ctx, repo, Order{Tools: tools, Login: d.Login, Ref: d.Snapshot.Ref, Moment: time.Unix(1, 0), Previous: d.Previous, Cache: d.Cache})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

// mortal is a store that ends its process as a power cut would, and counts calls and bytes.
type mortal struct {
	Store

	call, byte, commit    int64
	calls, bytes, commits atomic.Int64
}

func (m *mortal) step() {
	if m.calls.Add(1) == m.call {
		die()
	}
}

// pass says how much of some bytes still goes through before the process ends.
func (m *mortal) pass(n int) (last int, ends bool) {
	after := m.bytes.Add(int64(n))
	if before := after - int64(n); before < m.byte && m.byte <= after {
		return int(m.byte - before), true
	}
	return n, false
}

func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	panic(fmt.Sprint("killed, but alive: ", err))
}

func (m *mortal) Create(ctx context.Context, key string) (Object, error) {
	m.step()
	o, err := m.Store.Create(ctx, key)
	m.step()
	if err != nil {
		return nil, err
	}
	return &mortalObject{o, m}, nil
}

func (m *mortal) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	m.step()
	from, err := m.Store.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return &mortalReader{from, m}, nil
}

type mortalObject struct {
	Object

	of *mortal
}

func (o *mortalObject) Write(b []byte) (int, error) {
	o.of.step()
	if last, ends := o.of.pass(len(b)); ends {
		_, _ = o.Object.Write(b[:last])
		die()
	}
	return o.Object.Write(b)
}

func (o *mortalObject) Commit() error {
	o.of.step()
	number := o.of.commits.Add(2)
	if number == o.of.commit {
		die()
	}
	err := o.Object.Commit()
	if number+1 == o.of.commit {
		die()
	}
	o.of.step()
	return err
}

type mortalReader struct {
	io.ReadCloser

	of *mortal
}

func (r *mortalReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if _, ends := r.of.pass(n); ends {
		die()
	}
	return n, err
}

// victim is a repository whose writers are killed.
type victim struct {
	*office

	t      *testing.T
	random *rand.Rand
	dir    string
	cache  string
	repo   Repository
	login  *pgtool.Login
	last   *Made
	all    []Known
	next   uint64

	calls, bytes int64 // of the last snapshot that nobody killed
	took         time.Duration
	died         int
}

// TestKilledAnywhere: earlier snapshots stay, the one under way is not there or is whole, and the next succeeds.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	v := &victim{office: newOffice(t), t: t, random: chance(t), dir: t.TempDir(), cache: t.TempDir()}
	v.repo, _ = repositoryIn(t, v.dir)
	v.login = v.books(t)
	v.survive(nil)
	kills := soaked(t, 20)
	for round := range kills {
		v.work(t, v.login, round)
		previous := v.last
		if round%3 == 0 {
			previous = nil
			v.calls, v.bytes = max(v.calls, 60), max(v.bytes, 2<<20)
		}
		if round%6 == 5 {
			v.killRestore(round)
		} else {
			v.killMake(round, previous)
		}
		v.survive(previous)
		if round%5 == 4 {
			v.restores(t, v.repo, v.last.Known, v.digest(t, v.login))
		}
	}
	require.GreaterOrEqual(t, v.died, kills/3)
	v.collect()
	v.restores(t, v.repo, v.last.Known, v.digest(t, v.login))
}

// survive makes a snapshot that nobody kills.
func (v *victim) survive(previous *Made) {
	counted := &mortal{Store: v.repo.Store}
	repo := v.repo
	repo.Store = counted
	v.next++
	begin := time.Now()
	made, err := Make(v.t.Context(), repo, v.order(v.login, v.cache, v.next, previous))
	require.NoError(v.t, err)
	v.took, v.calls, v.bytes = time.Since(begin), counted.calls.Load(), counted.bytes.Load()
	v.last = made
	v.all = append(v.all, made.Known)
	some := []Known{v.all[0], v.all[v.random.IntN(len(v.all))], made.Known}
	for _, k := range some {
		require.NoError(v.t, verify(v.t, v.repo, k))
	}
}

// killMake looks afterwards whether the snapshot under way is there: then it must be whole.
func (v *victim) killMake(round int, previous *Made) {
	v.next++
	order := v.order(v.login, v.cache, v.next, previous)
	d := v.doomed(round)
	d.Login, d.Cache, d.Snapshot.Ref, d.Previous = order.Login, order.Cache, order.Ref, order.Previous
	said := v.run(round, d)
	refs, err := List(v.t.Context(), v.repo)
	require.NoError(v.t, err)
	there := slices.Contains(refs, order.Ref)
	for _, k := range v.all {
		require.Contains(v.t, refs, k.Ref)
	}
	if there {
		require.NoError(v.t, Verify(v.t.Context(), v.repo, VerifyOrder{Ref: order.Ref}))
	}
	if len(said) == 0 {
		return
	}
	made := &Made{}
	require.NoError(v.t, json.Unmarshal(said, made))
	require.True(v.t, there)
	v.all = append(v.all, made.Known)
	require.NoError(v.t, verify(v.t, v.repo, made.Known))
}

func (v *victim) killRestore(round int) {
	d := v.doomed(round)
	d.Restore, d.Login, d.Snapshot = true, v.empty(v.t), v.last.Known
	v.run(round, d)
	require.NoError(v.t, verify(v.t, v.repo, v.last.Known))
	v.goOn(d.Login)
}

// goOn restores into the database that a killed process left, which comes out whole, or is refused.
func (v *victim) goOn(left *pgtool.Login) {
	order := RestoreOrder{Tools: v.tools, Login: v.empty(v.t), Ref: v.last.Ref, Head: &v.last.Head}
	_, err := Restore(v.t.Context(), v.repo, order)
	require.NoError(v.t, err)
	want := v.digest(v.t, order.Login)
	order.Login, order.Resume = left, true
	if _, err := Restore(v.t.Context(), v.repo, order); err == nil {
		require.Equal(v.t, want, v.digest(v.t, left))
	}
}

// doomed draws where the process ends.
func (v *victim) doomed(round int) dying {
	d := dying{Programs: v.programs, Folder: v.dir}
	switch round % 4 {
	case 0:
		d.Byte = 1 + v.random.Int64N(v.bytes)
	case 1:
		d.Call = 1 + v.random.Int64N(v.calls)
	case 2:
		d.Commit = 2 + v.random.Int64N(4) // A pack, and the manifest.
	}
	return d
}

// run starts the process, and kills it after a time where it does not do that itself. It gives what a process that lived said.
func (v *victim) run(round int, d dying) []byte {
	limit := time.Minute
	if d.Call == 0 && d.Byte == 0 && d.Commit == 0 {
		limit = time.Duration(v.random.Int64N(int64(2 * v.took)))
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), limit)
	defer cancel()
	order, err := json.Marshal(d)
	require.NoError(v.t, err)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), dyingEnvironment+"="+string(order), "TMPDIR="+v.t.TempDir())
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err = cmd.Run()
	if err == nil || cmd.ProcessState.ExitCode() == 0 { // It may have ended just when it was to be killed.
		return out.Bytes()
	}
	v.died++
	require.Equal(v.t, -1, cmd.ProcessState.ExitCode(), "round %d: not killed, but failed: %s", round, words.String())
	return nil
}

// collect takes away all that killed processes left, and nothing else.
func (v *victim) collect() {
	needed := map[string]bool{}
	for _, k := range v.all {
		r, err := v.repo.reader()
		require.NoError(v.t, err)
		m, err := r.readManifest(v.t.Context(), k.Ref, &k.Head)
		require.NoError(v.t, err)
		needed[r.repo.manifest(k.Ref)] = true
		for id := range slices.Chunk(m.GetPacks(), 16) {
			needed[r.repo.pack(Pack(id))] = true
		}
	}
	ledger := &Ledger{}
	for range 3 {
		done, err := Collect(v.t.Context(), v.repo, func(context.Context) (Raised, error) { return Raised{v.all, ledger.Raise()}, nil })
		require.NoError(v.t, err)
		ledger.Settle(done.Suspects)
	}
	require.Empty(v.t, ledger.Suspects)
	refs, err := List(v.t.Context(), v.repo)
	require.NoError(v.t, err)
	require.Len(v.t, refs, len(v.all))
	left := shelve(v.t, v.repo)
	require.Equal(v.t, slices.Sorted(maps.Keys(needed)), slices.Sorted(maps.Keys(left)))
	for _, k := range v.all {
		require.NoError(v.t, verify(v.t, v.repo, k))
	}
}
