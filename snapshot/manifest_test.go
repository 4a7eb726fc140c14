package snapshot

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

var someRef = Ref{5, uuid.UUID{5}}

// aManifest names what is not there.
func aManifest() *snapshotv1.Manifest {
	keys := keysOf(1)
	place := &snapshotv1.Location{Pack: make([]byte, 16), Length: 99}
	part := &snapshotv1.Part{Root: place, Name: make([]byte, nameBytes), Levels: 2, Rows: 3, Bytes: 9, Packs: make([]byte, 16)}
	return &snapshotv1.Manifest{
		Company: keys.Company[:], Snapshot: someRef.Snapshot[:], Sequence: someRef.Sequence, Packs: make([]byte, 32),
		Schema:       []*snapshotv1.Piece{{Name: make([]byte, nameBytes), Location: place, Bytes: 7}},
		Tables:       []*snapshotv1.Table{{Relation: &snapshotv1.Relation{Schema: "a", Name: "b"}, Columns: []string{"c"}, Parts: []*snapshotv1.Part{part}}},
		LargeObjects: &snapshotv1.Table{Parts: []*snapshotv1.Part{part}},
	}
}

// sealed is a manifest's object with any content, under the company's own keys.
func sealed(t testing.TB, content []byte) []byte {
	t.Helper()
	keys, salt := keysOf(1), make([]byte, saltBytes)
	aead, err := keys.sealer(keys.Current, salt, manifestPurpose)
	require.NoError(t, err)
	encoded, err := encode(nil, content)
	require.NoError(t, err)
	head := manifestHeader(keys, keys.Current, someRef, salt)
	return aead.Seal(head, nonce(0), append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), encoded...), head)
}

func TestAManifestIsItsOwnSnapshots(t *testing.T) {
	for name, alter := range map[string]func(*snapshotv1.Manifest){
		"company":  func(m *snapshotv1.Manifest) { m.Company = make([]byte, 16) },
		"snapshot": func(m *snapshotv1.Manifest) { m.Snapshot = nil },
		"sequence": func(m *snapshotv1.Manifest) { m.Sequence++ },
		"packs":    func(m *snapshotv1.Manifest) { m.Packs = m.Packs[:17] },
		"a part's": func(m *snapshotv1.Manifest) { m.Tables[0].Parts[0].Packs = []byte{1} },
		"objects'": func(m *snapshotv1.Manifest) { m.LargeObjects.Parts[0].Packs = []byte{1} },
	} {
		m := aManifest()
		content, err := proto.Marshal(m)
		require.NoError(t, err)
		_, err = openManifest(keysOf(1), someRef, sealed(t, content))
		require.NoError(t, err)
		alter(m)
		content, err = proto.Marshal(m)
		require.NoError(t, err)
		_, err = openManifest(keysOf(1), someRef, sealed(t, content))
		require.ErrorIs(t, err, ErrDamaged, name)
	}
}

// FuzzManifest: whatever stands in an authentic manifest, whoever reads it gets along, or says that it is damaged.
func FuzzManifest(f *testing.F) {
	for _, alter := range []func(*snapshotv1.Manifest){
		func(*snapshotv1.Manifest) {},
		func(m *snapshotv1.Manifest) { m.Packs = []byte{1, 2, 3} },
		func(m *snapshotv1.Manifest) { m.Packs, m.Schema = nil, nil },
		func(m *snapshotv1.Manifest) { m.Packs, m.Schema, m.Tables, m.LargeObjects = nil, nil, nil, nil },
		func(m *snapshotv1.Manifest) { m.Schema[0].Location = nil },
		func(m *snapshotv1.Manifest) { m.Tables[0].Parts[0].Levels = 1 << 31 },
		func(m *snapshotv1.Manifest) { m.Tables[0].Parts[0].Root = nil },
		func(m *snapshotv1.Manifest) { m.Tables[0].Relation = nil },
	} {
		m := aManifest()
		alter(m)
		content, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		repo := Repository{Folder: "company", Keys: keysOf(1)}
		repo.Store = shelf{repo.inner().manifest(someRef): sealed(t, content)}
		if err := Verify(t.Context(), repo, VerifyOrder{Ref: someRef}); err != nil {
			require.ErrorIs(t, err, ErrDamaged)
		}
		told, err := Look(t.Context(), repo, someRef, nil)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		for _, table := range told.Tables {
			if err := Lines(t.Context(), repo, someRef, nil, table.Schema, table.Name, func([]byte) error { return nil }); err != nil {
				require.ErrorIs(t, err, ErrDamaged)
			}
		}
	})
}

// FuzzManifestObject: nothing but what was sealed for a snapshot opens as its manifest.
func FuzzManifestObject(f *testing.F) {
	content, err := proto.Marshal(aManifest())
	require.NoError(f, err)
	good := sealed(f, content)
	f.Add(good)
	f.Add(good[:manifestHead])
	f.Add(good[:manifestHead+tagBytes])
	random := rand.New(rand.NewPCG(1, 1))
	for range 9 {
		f.Add(flipped(good, random.IntN(len(good)), random))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		m, err := openManifest(keysOf(1), someRef, object)
		if err == nil {
			require.Equal(t, good, object)
			require.True(t, proto.Equal(aManifest(), m))
			return
		}
		require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoKey), err)
	})
}
