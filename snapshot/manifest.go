package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

const (
	manifestMagic   = "KONTORMF"
	manifestFormat  = 1
	manifestPurpose = "kontor-manifest-v1"
	// manifestHead: magic, format, key's version, company, snapshot, sequence, salt.
	manifestHead = len(manifestMagic) + 2 + 4 + 16 + 16 + 8 + saltBytes
	// manifestLimit bounds what is read.
	manifestLimit = contentLimit
)

// Head is a keyed BLAKE3 of a manifest's object. Whoever keeps it apart from the repository knows that no old
// manifest was put in a newer one's place.
type Head [32]byte

// Ref names a snapshot in a repository.
type Ref struct {
	// Sequence counts a company's snapshots.
	Sequence uint64
	// Snapshot is its id.
	Snapshot uuid.UUID
}

// key of a manifest's object. They sort by sequence.
func (r repository) manifest(ref Ref) string {
	return r.manifests() + fmt.Sprintf("%020d-%s", ref.Sequence, ref.Snapshot)
}

func parseRef(key string) (Ref, bool) {
	sequence, id, ok := strings.Cut(key, "-")
	n, err := strconv.ParseUint(sequence, 10, 64)
	snapshot, wrong := uuid.Parse(id)
	return Ref{n, snapshot}, ok && err == nil && wrong == nil && len(sequence) == 20 && len(id) == 36
}

func manifestHeader(keys Keys, version uint32, ref Ref, salt []byte) []byte {
	h := make([]byte, 0, manifestHead)
	h = append(h, manifestMagic...)
	h = binary.BigEndian.AppendUint16(h, manifestFormat)
	h = binary.BigEndian.AppendUint32(h, version)
	h = append(h, keys.Company[:]...)
	h = append(h, ref.Snapshot[:]...)
	h = binary.BigEndian.AppendUint64(h, ref.Sequence)
	return append(h, salt...)
}

// sealManifest encrypts a manifest, its header as additional data.
func sealManifest(keys Keys, n *naming, ref Ref, m *snapshotv1.Manifest) ([]byte, Head, error) {
	content, err := proto.Marshal(m)
	if err != nil {
		return nil, Head{}, fmt.Errorf("snapshot: manifest: %w", err)
	}
	encoded, err := encode(nil, content)
	if err != nil {
		return nil, Head{}, err
	}
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return nil, Head{}, fmt.Errorf("snapshot: random: %w", err)
	}
	aead, err := keys.sealer(keys.Current, salt, manifestPurpose)
	if err != nil {
		return nil, Head{}, err
	}
	head := manifestHeader(keys, keys.Current, ref, salt)
	size := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	object := aead.Seal(head, nonce(0), append(size, encoded...), head)
	return object, n.head(object), nil
}

func (n *naming) head(object []byte) (head Head) {
	h := n.names.Clone()
	_, _ = h.Write(object)
	copy(head[:], h.Sum(nil))
	return head
}

// openManifest undoes sealManifest.
func openManifest(keys Keys, ref Ref, object []byte) (*snapshotv1.Manifest, error) {
	if len(object) < manifestHead+tagBytes {
		return nil, damagedf("a manifest is cut off")
	}
	head := object[:manifestHead]
	version := binary.BigEndian.Uint32(head[len(manifestMagic)+2:])
	salt := head[manifestHead-saltBytes:]
	if string(head) != string(manifestHeader(keys, version, ref, salt)) {
		return nil, damagedf("a manifest has another's header")
	}
	aead, err := keys.sealer(version, salt, manifestPurpose)
	if err != nil {
		return nil, err
	}
	content, err := aead.Open(nil, nonce(0), object[manifestHead:], head)
	if err != nil || len(content) < 5 {
		return nil, damagedf("a manifest is not authentic")
	}
	size := binary.BigEndian.Uint32(content)
	decoded, err := decode(content[4:], int(size))
	if err != nil {
		return nil, err
	}
	m := &snapshotv1.Manifest{}
	if err := proto.Unmarshal(decoded, m); err != nil {
		return nil, damagedf("a manifest can't be read: %v", err)
	}
	if string(m.GetCompany()) != string(keys.Company[:]) || string(m.GetSnapshot()) != string(ref.Snapshot[:]) || m.GetSequence() != ref.Sequence {
		return nil, damagedf("a manifest tells of another snapshot")
	}
	if !wholePacks(m) {
		return nil, damagedf("a manifest has a cut off list of packs")
	}
	return m, nil
}

// wholePacks says whether the lists of packs can be taken apart.
func wholePacks(m *snapshotv1.Manifest) bool {
	for _, t := range append(slices.Clone(m.GetTables()), m.GetLargeObjects()) {
		for _, p := range t.GetParts() {
			if len(p.GetPacks())%len(Pack{}) != 0 {
				return false
			}
		}
	}
	return len(m.GetPacks())%len(Pack{}) == 0
}

// readManifest reads a snapshot's root. A head, where one is known, must be its own.
func (r *reader) readManifest(ctx context.Context, ref Ref, known *Head) (*snapshotv1.Manifest, error) {
	from, err := r.repo.store.Open(ctx, r.repo.manifest(ref), 0, -1)
	if err != nil {
		return nil, err
	}
	object, err := io.ReadAll(io.LimitReader(from, manifestLimit+1))
	if err = errors.Join(err, from.Close()); err != nil {
		return nil, err
	}
	if head := r.naming.head(object); known != nil && head != *known {
		return nil, damagedf("a manifest's head is %s, not %s", hex.EncodeToString(head[:4]), hex.EncodeToString(known[:4]))
	}
	return openManifest(r.keys, ref, object)
}
