package rest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// kept takes pieces and refuses those after the limit.
type kept struct {
	head   *tenancyv1.WriteUploadRequest
	data   []byte
	pieces int
	limit  int
}

func (k *kept) take(piece *tenancyv1.WriteUploadRequest) bool {
	if k.head == nil {
		k.head = piece
		return true
	}
	if k.limit > 0 && len(k.data) >= k.limit {
		return false
	}
	k.data, k.pieces = append(k.data, piece.GetData()...), k.pieces+1
	return len(piece.GetData()) <= pieceBytes
}

func TestPiecesOfABody(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789"), 60_000) // Two pieces and a part.
	broken := errors.New("the line is dead")
	for name, c := range map[string]struct {
		body   io.Reader
		limit  int
		want   []byte
		pieces int
		err    error
	}{
		"a body that ends":                       {bytes.NewReader(whole), 0, whole, 3, nil},
		"one that ends with its last bytes":      {iotest.DataErrReader(bytes.NewReader(whole)), 0, whole, 3, nil},
		"one that trickles":                      {iotest.HalfReader(bytes.NewReader(whole)), 0, whole, 3, nil},
		"none":                                   {strings.NewReader(""), 0, nil, 0, nil},
		"one that breaks off":                    {io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(broken)), 0, whole, 3, broken},
		"one that is shorter than it said":       {io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(io.ErrUnexpectedEOF)), 0, whole, 3, io.ErrUnexpectedEOF},
		"one that the service no longer listens": {bytes.NewReader(whole), pieceBytes, whole[:pieceBytes], 1, nil},
	} {
		k := &kept{limit: c.limit}
		if err := sendPieces(c.body, 7, "subscribers/s/uploads/u", k.take); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if k.head.GetName() != "subscribers/s/uploads/u" || k.head.GetOffset() != 7 || len(k.head.GetData()) != 0 {
			t.Errorf("%s: begins with %v", name, k.head)
		}
		if !bytes.Equal(k.data, c.want) || k.pieces != c.pieces {
			t.Errorf("%s: %d bytes in %d pieces", name, len(k.data), k.pieces)
		}
	}
}
