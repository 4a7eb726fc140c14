package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// heap is a store in memory. It fails where it is told to.
type heap struct {
	mu      sync.Mutex
	objects map[string][]byte
	fail    func(call string) error
}

func newHeap() *heap {
	return &heap{objects: map[string][]byte{}, fail: func(string) error { return nil }}
}

type heapObject struct {
	bytes.Buffer
	commit func([]byte) error
}

func (o *heapObject) Commit() error { return o.commit(o.Bytes()) }
func (o *heapObject) Abort()        {}

func (h *heap) Create(_ context.Context, key string) (Object, error) {
	return &heapObject{commit: func(content []byte) error {
		if err := h.fail("commit"); err != nil {
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.objects[key] = slices.Clone(content)
		return nil
	}}, nil
}

func (h *heap) Open(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	content, ok := h.objects[key]
	if !ok || offset > int64(len(content)) {
		return nil, ErrMissing
	}
	content = content[offset:]
	if length >= 0 && length < int64(len(content)) {
		content = content[:length]
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (h *heap) List(_ context.Context, prefix string, each func(string, int64) error) error {
	h.mu.Lock()
	keys := slices.Sorted(maps.Keys(h.objects))
	h.mu.Unlock()
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			if err := each(key, int64(len(h.objects[key]))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *heap) Delete(_ context.Context, key string) error {
	if err := h.fail("delete"); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.objects, key)
	return nil
}

func testKeys(company uuid.UUID) Keys {
	return Keys{Company: company, Names: bytes.Repeat([]byte{7}, KeyBytes), Data: map[uint32][]byte{1: bytes.Repeat([]byte{9}, KeyBytes)}, Current: 1}
}

// model is a repository whose snapshots are nothing but their manifests and packs.
type model struct {
	t        *rapid.T
	store    *heap
	repo     Repository
	naming   *naming
	sequence uint64
	ledger   Ledger
	live     []Known
	packs    map[Ref][]Pack
	running  []*underWay
}

// underWay is a snapshot under way.
type underWay struct {
	began Generation
	ref   Ref
	packs []Pack
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, store: newHeap(), packs: map[Ref][]Pack{}}
	m.repo = Repository{Store: m.store, Folder: "c", Keys: testKeys(uuid.UUID{1})}
	var err error
	if m.naming, err = m.repo.Keys.naming(); err != nil {
		t.Fatal(err)
	}
	return m
}

// begin a snapshot that takes over some packs of one that is live.
func (m *model) begin() {
	m.sequence++
	r := &underWay{began: m.ledger.Generation, ref: Ref{m.sequence, uuid.New()}}
	if len(m.live) > 0 {
		for _, p := range m.packs[rapid.SampledFrom(m.live).Draw(m.t, "previous").Ref] {
			if rapid.Bool().Draw(m.t, "takes over") {
				r.packs = append(r.packs, p)
			}
		}
	}
	m.running = append(m.running, r)
}

func (m *model) pick() *underWay {
	if len(m.running) == 0 {
		return nil
	}
	return rapid.SampledFrom(m.running).Draw(m.t, "under way")
}

// write a pack.
func (m *model) write() {
	if r := m.pick(); r != nil {
		var p Pack
		_, _ = rand.Read(p[:])
		m.put(m.repo.inner().pack(p), []byte("rows"))
		r.packs = append(r.packs, p)
	}
}

func (m *model) put(key string, content []byte) {
	o, err := m.store.Create(context.Background(), key)
	if err == nil {
		_, err = o.Write(content)
	}
	if err == nil {
		err = o.Commit()
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// commit writes the manifest, then commits if it still may. Between the two anything can happen, which other calls of commit play.
func (m *model) commit() {
	r := m.pick()
	if r == nil {
		return
	}
	manifest := &snapshotv1.Manifest{Company: m.repo.Keys.Company[:], Snapshot: r.ref.Snapshot[:], Sequence: r.ref.Sequence}
	for _, p := range r.packs {
		manifest.Packs = append(manifest.Packs, p[:]...)
	}
	object, head, err := sealManifest(m.repo.Keys, m.naming, r.ref, manifest)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put(m.repo.inner().manifest(r.ref), object)
	if rapid.Bool().Draw(m.t, "goes on later") {
		return
	}
	m.running = slices.DeleteFunc(m.running, func(other *underWay) bool { return other == r })
	needs := []string{m.repo.inner().manifest(r.ref)}
	for _, p := range r.packs {
		needs = append(needs, m.repo.inner().pack(p))
	}
	if m.ledger.Commit(r.began, needs) {
		m.live = append(m.live, Known{r.ref, head})
		m.packs[r.ref] = r.packs
	}
}

func (m *model) drop() {
	if len(m.live) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.live)-1).Draw(m.t, "dropped")
	ref := m.live[i].Ref
	m.live = slices.Delete(m.live, i, i+1)
	if err := Drop(context.Background(), m.repo, ref); err != nil {
		m.t.Fatal(err)
	}
}

// others go on while a collection is at work.
func (m *model) others() {
	for range rapid.IntRange(0, 3).Draw(m.t, "meanwhile") {
		rapid.SampledFrom([]func(){m.begin, m.write, m.write, m.commit, m.commit, m.drop}).Draw(m.t, "other")()
	}
}

var errStopped = errors.New("stopped")

func (m *model) collect() {
	busy := false
	m.store.fail = func(call string) error {
		if call != "delete" || busy {
			return nil
		}
		if rapid.IntRange(0, 9).Draw(m.t, "stopped") == 0 {
			return errStopped
		}
		busy = true
		m.others()
		busy = false
		return nil
	}
	raise := func(context.Context) (Raised, error) {
		busy = true
		m.others()
		busy = false
		return Raised{slices.Clone(m.live), m.ledger.Raise()}, nil
	}
	done, err := Collect(context.Background(), m.repo, raise)
	m.store.fail = func(string) error { return nil }
	m.others()
	switch {
	case err == nil:
		m.ledger.Settle(done.Suspects)
	case !errors.Is(err, errStopped) && !errors.Is(err, ErrDamaged): // A snapshot that was dropped meanwhile has no manifest.
		m.t.Fatal(err)
	}
}

func TestACollectionTakesNothingFromASnapshotThatIsOrWillBeCommitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"begin":   func(*rapid.T) { m.begin() },
			"write":   func(*rapid.T) { m.write() },
			"commit":  func(*rapid.T) { m.commit() },
			"drop":    func(*rapid.T) { m.drop() },
			"collect": func(*rapid.T) { m.collect() },
			"": func(t *rapid.T) {
				for _, k := range m.live {
					if _, ok := m.store.objects[m.repo.inner().manifest(k.Ref)]; !ok {
						t.Fatalf("snapshot %d lost its manifest", k.Sequence)
					}
					for _, p := range m.packs[k.Ref] {
						if _, ok := m.store.objects[m.repo.inner().pack(p)]; !ok {
							t.Fatalf("snapshot %d lost pack %s", k.Sequence, p)
						}
					}
				}
			},
		})
		m.running = nil
		for range 3 {
			done, err := Collect(t.Context(), m.repo, func(context.Context) (Raised, error) { return Raised{m.live, m.ledger.Raise()}, nil })
			if err != nil {
				t.Fatal(err)
			}
			m.ledger.Settle(done.Suspects)
		}
		if want := len(m.live) + m.packCount(); len(m.store.objects) != want {
			t.Fatalf("%d objects are left, %d are needed", len(m.store.objects), want)
		}
	})
}

// packCount is how many packs live snapshots need.
func (m *model) packCount() int {
	all := map[Pack]bool{}
	for _, k := range m.live {
		for _, p := range m.packs[k.Ref] {
			all[p] = true
		}
	}
	return len(all)
}

func TestACopyElsewhereIsWholeWhereverItIsStopped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		there := newHeap()
		to := Place{there, "mirror/c"}
		for range 3 {
			for range rapid.IntRange(1, 3).Draw(t, "snapshots") {
				m.begin()
				m.write()
				for before := len(m.live); len(m.live) == before; {
					m.commit()
				}
			}
			there.fail = func(string) error {
				if rapid.IntRange(0, 4).Draw(t, "stopped") == 0 {
					return errStopped
				}
				return nil
			}
			_, err := Copy(t.Context(), Place{m.store, "c"}, to)
			for range 50 {
				if err == nil {
					break
				}
				m.whole(there, to)
				_, err = Copy(t.Context(), Place{m.store, "c"}, to)
			}
			if err != nil {
				t.Skip("stopped too often")
			}
			m.whole(there, to)
		}
		for key, content := range m.store.objects {
			if !bytes.Equal(there.objects["mirror/"+key], content) {
				t.Fatalf("%s was not copied", key)
			}
		}
	})
}

// whole says that every snapshot in a place has all its packs there.
func (m *model) whole(there *heap, to Place) {
	refs, err := List(context.Background(), Repository{Store: there, Folder: to.Folder})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, ref := range refs {
		for _, p := range m.packs[ref] {
			if _, ok := there.objects[to.Folder+"/packs/"+p.String()]; !ok {
				m.t.Fatalf("snapshot %d is there without pack %s", ref.Sequence, p)
			}
		}
	}
}
