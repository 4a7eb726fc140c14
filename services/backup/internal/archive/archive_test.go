package archive

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var (
	key = bytes.Repeat([]byte{7}, 32)
	own = ID{Company: uuid.MustParse("01920000-0000-7000-8000-000000000001"), Snapshot: uuid.MustParse("01920000-0000-7000-8000-000000000002")}
)

func content(n int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	out := make([]byte, n)
	_, _ = random.Read(out)
	return out
}

func write(t testing.TB, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, key, own)
	require.NoError(t, err)
	for rest := plain; len(rest) > 0; { // In odd pieces, as a program writes.
		n := min(len(rest), 70_001)
		_, err := w.Write(rest[:n])
		require.NoError(t, err)
		rest = rest[n:]
	}
	require.NoError(t, w.Close())
	sum := sha256.Sum256(plain)
	require.Equal(t, sum[:], w.SHA256())
	require.EqualValues(t, len(plain), w.Size())
	require.EqualValues(t, out.Len(), w.Stored())
	return out.Bytes()
}

func from(stored []byte) Source {
	return func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(stored[min(offset, int64(len(stored))):])), nil
	}
}

func read(stored []byte, recorded int64, k []byte, id ID, offset int64) ([]byte, error) {
	r, err := Open(from(stored), recorded, k, id, offset)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestWhatIsWrittenIsReadFromAnyPlace(t *testing.T) {
	for _, size := range []int{0, 1, SegmentBytes - 1, SegmentBytes, SegmentBytes + 1, 2*SegmentBytes + 77, 3 * SegmentBytes} {
		plain := content(size)
		stored := write(t, plain)
		for _, offset := range []int{0, 1, SegmentBytes - 1, SegmentBytes, SegmentBytes + 1, size - 1, size} {
			if offset < 0 || offset > size {
				continue
			}
			got, err := read(stored, int64(len(stored)), key, own, int64(offset))
			require.NoError(t, err, "%d from %d", size, offset)
			require.True(t, bytes.Equal(plain[offset:], got), "%d from %d", size, offset)
		}
	}
}

func TestTheSameContentIsNeverStoredAlike(t *testing.T) {
	require.NotEqual(t, write(t, []byte("books")), write(t, []byte("books")))
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	stored := write(t, content(SegmentBytes+300))
	for _, at := range []int{0, 8, 10, 14, 30, 46, HeaderBytes - 1, HeaderBytes, HeaderBytes + SegmentBytes, HeaderBytes + sealed, len(stored) - 1} {
		bad := bytes.Clone(stored)
		bad[at] ^= 1
		_, err := read(bad, int64(len(bad)), key, own, 0)
		require.ErrorIs(t, err, ErrAltered, "byte %d", at)
	}
}

func TestAnEarlyOrLateEndIsFound(t *testing.T) {
	stored := write(t, content(2*SegmentBytes+300))
	whole := int64(len(stored))
	for _, end := range []int{0, 5, HeaderBytes, HeaderBytes + 100, HeaderBytes + sealed, HeaderBytes + 2*sealed, len(stored) - 1} {
		_, err := read(stored[:end], whole, key, own, 0)
		require.Error(t, err, "cut at %d", end)
		_, err = read(stored[:end], int64(end), key, own, 0) // Even when the size was recorded so.
		require.Error(t, err, "cut at %d, recorded so", end)
	}
	_, err := read(append(bytes.Clone(stored), 0), whole, key, own, 0)
	require.Error(t, err)
}

func TestSegmentsThatChangedPlacesAreFound(t *testing.T) {
	stored := write(t, content(2*SegmentBytes+300))
	bad := bytes.Clone(stored)
	copy(bad[HeaderBytes:], stored[HeaderBytes+sealed:HeaderBytes+2*sealed])
	copy(bad[HeaderBytes+sealed:], stored[HeaderBytes:HeaderBytes+sealed])
	_, err := read(bad, int64(len(bad)), key, own, 0)
	require.ErrorIs(t, err, ErrAltered)
}

func TestAnArchiveIsOfItsCompanyItsSnapshotAndItsKey(t *testing.T) {
	stored := write(t, content(300))
	size := int64(len(stored))
	other := uuid.New()
	_, err := read(stored, size, key, ID{Company: other, Snapshot: own.Snapshot}, 0)
	require.ErrorIs(t, err, ErrAltered)
	_, err = read(stored, size, key, ID{Company: own.Company, Snapshot: other}, 0)
	require.ErrorIs(t, err, ErrAltered)
	_, err = read(stored, size, bytes.Repeat([]byte{8}, 32), own, 0)
	require.ErrorIs(t, err, ErrAltered)
}

func FuzzReaderGivesWhatWasWrittenOrAnError(f *testing.F) {
	plain := content(5000)
	stored := write(f, plain)
	f.Add(stored, int64(len(stored)), int64(0))
	f.Add(stored[:len(stored)-1], int64(len(stored)), int64(9))
	f.Add([]byte("a text file"), int64(11), int64(0))
	f.Fuzz(func(t *testing.T, stored []byte, recorded, offset int64) {
		got, err := read(stored, recorded, key, own, offset)
		if err == nil && !bytes.Equal(got, plain[offset:]) {
			t.Fatal("something else was read")
		}
	})
}
