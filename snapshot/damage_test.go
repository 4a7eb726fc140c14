package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/snapshot/pgtool"
)

// shelf keeps objects in memory, to be damaged.
type shelf map[string][]byte

func (s shelf) Create(context.Context, string) (Object, error) {
	return nil, errors.New("a shelf is only read")
}

func (s shelf) Delete(context.Context, string) error { return errors.New("a shelf is only read") }

func (s shelf) Open(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	object, ok := s[key]
	if !ok {
		return nil, ErrMissing
	}
	object = object[min(offset, int64(len(object))):]
	if length >= 0 {
		object = object[:min(length, int64(len(object)))]
	}
	return io.NopCloser(bytes.NewReader(object)), nil
}

func (s shelf) List(_ context.Context, prefix string, each func(key string, bytes int64) error) error {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(key, prefix) {
			if err := each(key, int64(len(s[key]))); err != nil {
				return err
			}
		}
	}
	return nil
}

// shelve copies a repository's objects.
func shelve(t *testing.T, repo Repository) shelf {
	t.Helper()
	s := shelf{}
	require.NoError(t, repo.Store.List(t.Context(), "", func(key string, _ int64) error {
		from, err := repo.Store.Open(t.Context(), key, 0, -1)
		if err != nil {
			return err
		}
		s[key], err = io.ReadAll(from)
		return errors.Join(err, from.Close())
	}))
	return s
}

// with has an object changed in a copy.
func (s shelf) with(key string, object []byte) shelf {
	c := maps.Clone(s)
	c[key] = object
	return c
}

func (s shelf) without(key string) shelf {
	c := maps.Clone(s)
	delete(c, key)
	return c
}

// packs by key, in a settled order.
func (s shelf) packs() []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if strings.Contains(key, "/packs/") {
			keys = append(keys, key)
		}
	}
	return keys
}

// section is a part of an object.
type section struct {
	name       string
	begin, end int
}

// sectionsOf a pack.
func sectionsOf(pack []byte) []section {
	tail := len(pack) - tailBytes
	directory := tail - int(binary.BigEndian.Uint32(pack[tail:]))
	return []section{{"head", 0, headBytes}, {"records", headBytes, directory}, {"directory", directory, tail}, {"tail", tail, len(pack)}}
}

func flipped(object []byte, at int, random *rand.Rand) []byte {
	c := slices.Clone(object)
	c[at] ^= 1 << random.IntN(8)
	return c
}

// damaged is a repository of two snapshots, and what can be put in its objects' places.
type damaged struct {
	*office

	repo          Repository
	good          shelf
	first, second *Made
	digests       map[Known][]string
	needed        map[Known]map[string]bool // packs
	login         *pgtool.Login
	random        *rand.Rand
}

func newDamaged(t *testing.T) *damaged {
	t.Helper()
	d := &damaged{office: newOffice(t), random: chance(t), digests: map[Known][]string{}, needed: map[Known]map[string]bool{}}
	d.login = d.books(t)
	d.repo, _ = folder(t)
	d.first = d.snapshot(t, d.repo, d.order(d.login, "", 1, nil))
	d.digests[d.first.Known] = d.digest(t, d.login)
	d.work(t, d.login, 1)
	d.second = d.snapshot(t, d.repo, d.order(d.login, "", 2, d.first))
	d.digests[d.second.Known] = d.digest(t, d.login)
	d.good = shelve(t, d.repo)
	for k := range d.digests {
		r, err := d.repo.reader()
		require.NoError(t, err)
		m, err := r.readManifest(t.Context(), k.Ref, &k.Head)
		require.NoError(t, err)
		d.needed[k] = map[string]bool{}
		for id := range slices.Chunk(m.GetPacks(), 16) {
			d.needed[k][r.repo.pack(Pack(id))] = true
		}
	}
	require.Len(t, d.needed[d.first.Known], 1)
	require.Len(t, d.needed[d.second.Known], 2)
	return d
}

func (d *damaged) on(s shelf) Repository {
	r := d.repo
	r.Store = s
	return r
}

// found says that a snapshot is told to be damaged, whether or not its head is known.
func (d *damaged) found(t *testing.T, s shelf, k Known, what string) {
	t.Helper()
	for _, head := range []*Head{&k.Head, nil} {
		err := Verify(t.Context(), d.on(s), VerifyOrder{Ref: k.Ref, Head: head})
		require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoKey), "%s: %v", what, err)
	}
}

// restoredOrRefused says that a restore tells the damage, or restores what was there.
func (d *damaged) restoredOrRefused(t *testing.T, s shelf, k Known, what string) (refused bool) {
	t.Helper()
	to := d.empty(t)
	_, err := Restore(t.Context(), d.on(s), RestoreOrder{Tools: d.tools, Login: to, Ref: k.Ref, Head: &k.Head})
	if err != nil {
		require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoKey), "%s: %v", what, err)
		return true
	}
	require.Equal(t, d.digests[k], d.digest(t, to), what)
	return false
}

func TestEveryDamageIsFound(t *testing.T) {
	t.Parallel()
	d := newDamaged(t)
	t.Run("a bit of a pack", d.bitsOfPacks)
	t.Run("a bit of a manifest", d.bitsOfManifests)
	t.Run("an object is cut off, longer or gone", d.lengths)
	t.Run("objects change places", d.swaps)
	t.Run("another company's objects", d.others)
	t.Run("an older manifest of the same name", d.older)
}

// bitsOfPacks: of a pack that a snapshot alone has written, every byte counts.
func (d *damaged) bitsOfPacks(t *testing.T) {
	for _, key := range d.good.packs() {
		owner := d.second.Known
		if d.needed[d.first.Known][key] {
			owner = d.first.Known
		}
		for _, s := range sectionsOf(d.good[key]) {
			for range soaked(t, 12) {
				at := s.begin + d.random.IntN(s.end-s.begin)
				d.found(t, d.good.with(key, flipped(d.good[key], at, d.random)), owner, s.name)
			}
			at := s.begin + d.random.IntN(s.end-s.begin)
			bad := d.good.with(key, flipped(d.good[key], at, d.random))
			refused := d.restoredOrRefused(t, bad, owner, s.name)
			require.True(t, refused || s.name == "directory" || s.name == "tail", "a bit of the %s, at %d, went unnoticed", s.name, at)
			if owner == d.first.Known { // The later snapshot may not need it.
				d.restoredOrRefused(t, bad, d.second.Known, s.name)
			}
		}
	}
}

func (d *damaged) bitsOfManifests(t *testing.T) {
	for k := range d.digests {
		key := d.repo.inner().manifest(k.Ref)
		for at := range len(d.good[key]) {
			if at < manifestHead || at%7 == 0 || at > len(d.good[key])-tagBytes {
				d.foundUnread(t, d.good.with(key, flipped(d.good[key], at, d.random)), k, at)
			}
		}
		require.True(t, d.restoredOrRefused(t, d.good.with(key, flipped(d.good[key], d.random.IntN(len(d.good[key])), d.random)), k, "manifest"))
	}
}

// foundUnread is found for what shows in the manifest alone.
func (d *damaged) foundUnread(t *testing.T, s shelf, k Known, at int) {
	t.Helper()
	r, err := d.on(s).reader()
	require.NoError(t, err)
	_, err = r.readManifest(t.Context(), k.Ref, nil)
	require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoKey), "byte %d: %v", at, err)
	_, err = r.readManifest(t.Context(), k.Ref, &k.Head)
	require.ErrorIs(t, err, ErrDamaged)
}

func (d *damaged) lengths(t *testing.T) {
	for key, object := range d.good {
		for k := range d.digests {
			if strings.Contains(key, "/packs/") && !d.needed[k][key] || strings.Contains(key, "/manifests/") && key != d.repo.inner().manifest(k.Ref) {
				require.NoError(t, verify(t, d.on(d.good.without(key)), k))
				continue
			}
			d.found(t, d.good.without(key), k, "gone")
			d.found(t, d.good.with(key, nil), k, "empty")
			d.found(t, d.good.with(key, append(slices.Clone(object), 0)), k, "longer")
			cuts := []int{1, headBytes - 1, headBytes, manifestHead, len(object) - 1, len(object) - tailBytes}
			for range 10 {
				cuts = append(cuts, d.random.IntN(len(object)))
			}
			for _, cut := range cuts {
				d.found(t, d.good.with(key, object[:cut]), k, "cut off")
			}
		}
	}
	packs := d.good.packs()
	require.True(t, d.restoredOrRefused(t, d.good.without(packs[0]), d.second.Known, "gone"))
	_, err := Restore(t.Context(), d.on(d.good.without(d.repo.inner().manifest(d.first.Ref))), RestoreOrder{Tools: d.tools, Login: d.empty(t), Ref: d.first.Ref})
	require.ErrorIs(t, err, ErrMissing)
}

func (d *damaged) swaps(t *testing.T) {
	packs := d.good.packs()
	bad := d.good.with(packs[0], d.good[packs[1]]).with(packs[1], d.good[packs[0]])
	a, b := d.repo.inner().manifest(d.first.Ref), d.repo.inner().manifest(d.second.Ref)
	worse := d.good.with(a, d.good[b]).with(b, d.good[a])
	for k := range d.digests {
		d.found(t, bad, k, "packs")
		d.found(t, worse, k, "manifests")
		require.True(t, d.restoredOrRefused(t, bad, k, "packs"))
		require.True(t, d.restoredOrRefused(t, worse, k, "manifests"))
	}
	d.found(t, d.good.with(b, d.good[a]), d.second.Known, "an old manifest")

	pack := d.good[packs[0]] // Two records of a pack, as long as each other or not.
	sections := sectionsOf(pack)
	middle := sections[1].begin + (sections[1].end-sections[1].begin)/2
	turned := slices.Concat(pack[:sections[1].begin], pack[middle:sections[1].end], pack[sections[1].begin:middle], pack[sections[1].end:])
	d.found(t, d.good.with(packs[0], turned), d.second.Known, "records")
}

// others have the same books, under other keys, or under the same for another company.
func (d *damaged) others(t *testing.T) {
	same := keysOf(1)
	same.Company = uuid.UUID{9}
	for _, keys := range []Keys{keysOf(2), same} {
		other, _ := folder(t)
		other.Keys = keys
		order := d.order(d.login, "", 2, nil)
		order.Ref = d.second.Ref
		d.snapshot(t, other, order)
		foreign := shelve(t, other)
		key := d.repo.inner().manifest(d.second.Ref)
		d.found(t, d.good.with(key, foreign[key]), d.second.Known, "manifest")
		for _, pack := range d.good.packs() {
			bad := d.good.with(pack, foreign[foreign.packs()[0]])
			d.found(t, bad, d.second.Known, "pack")
			require.True(t, d.restoredOrRefused(t, bad, d.second.Known, "pack"))
		}
		reader := d.on(d.good)
		reader.Keys = keys
		require.ErrorIs(t, Verify(t.Context(), reader, VerifyOrder{Ref: d.second.Ref}), ErrDamaged)
	}
	destroyed := d.on(d.good)
	destroyed.Keys.Data = map[uint32][]byte{1: d.repo.Keys.Data[1]}
	destroyed.Keys.Current = 1
	require.ErrorIs(t, verify(t, destroyed, d.second.Known), ErrNoKey)
}

// older is another manifest of the same name: authentic, and whole. Only the head tells it from the right one.
func (d *damaged) older(t *testing.T) {
	order := d.order(d.login, "", 3, nil)
	one, _ := folder(t)
	old := d.snapshot(t, one, order)
	both := shelve(t, one)
	manifest := one.inner().manifest(order.Ref)
	before := both[manifest]
	d.work(t, d.login, 3)
	other, _ := folder(t)
	now := d.snapshot(t, other, order)
	maps.Copy(both, shelve(t, other))
	replaced := d.on(both.with(manifest, before))
	require.NoError(t, verify(t, d.on(both), now.Known))
	require.NoError(t, Verify(t.Context(), replaced, VerifyOrder{Ref: order.Ref}))
	require.NoError(t, verify(t, replaced, old.Known))
	require.ErrorIs(t, verify(t, replaced, now.Known), ErrDamaged)
	require.True(t, d.restoredOrRefused(t, replaced.Store.(shelf), now.Known, "older"))
	_, err := Make(t.Context(), replaced, d.order(d.login, "", 4, now))
	require.ErrorIs(t, err, ErrDamaged)
}
