package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"aead.dev/minisign"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seal"
	"kontor.internal/services/licensing/internal/release/releasedb"
)

// Signer signs kits in minisign's format (jedisct1.github.io/minisign), prehashed, so that a kit of any size is read once. Its key is
// made at the first start and stays: who has the public one checks every kit to come. Safe for concurrent use.
type Signer struct {
	keys    []publicKey // the newest first
	private minisign.PrivateKey
}

type publicKey struct {
	id, public string
	created    time.Time
}

// OpenSigner reads the keys, and makes the first one, once among all copies of the service.
func OpenSigner(ctx context.Context, db *pgxpool.Pool, sealer *seal.Sealer, real clock.Clock) (*Signer, error) {
	s := &Signer{}
	err := postgres.InTx(ctx, db, func(tx pgx.Tx) error {
		q := releasedb.New(tx)
		if err := q.LockKeys(ctx); err != nil {
			return err
		}
		rows, err := q.ListKeys(ctx)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			row, err := newKey(sealer, real.Now())
			if err != nil {
				return err
			}
			if err := q.InsertKey(ctx, releasedb.InsertKeyParams(row)); err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return s.take(ctx, q, sealer, rows)
	})
	return s, translate(err)
}

func newKey(sealer *seal.Sealer, now time.Time) (row releasedb.ReleaseKey, err error) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return row, fmt.Errorf("release: make a key: %w", err)
	}
	text, err := private.MarshalText()
	if err != nil {
		return row, fmt.Errorf("release: make a key: %w", err)
	}
	row = releasedb.ReleaseKey{ID: fmt.Sprintf("%016X", public.ID()), Public: public.String(), Created: now}
	row.Sealed, err = sealer.Seal(row.ID, text)
	return row, err
}

// take opens the newest key; what an earlier key-encryption key had sealed is sealed anew.
func (s *Signer) take(ctx context.Context, q *releasedb.Queries, sealer *seal.Sealer, rows []releasedb.ReleaseKey) error {
	for i, row := range rows {
		s.keys = append(s.keys, publicKey{id: row.ID, public: row.Public, created: row.Created.UTC()})
		text, old, err := sealer.Open(row.ID, row.Sealed)
		if err != nil {
			return fmt.Errorf("release: key %s: %w", row.ID, err)
		}
		if i == 0 {
			if err := s.private.UnmarshalText(text); err != nil {
				return fmt.Errorf("release: key %s: %w", row.ID, err)
			}
		}
		if !old {
			continue
		}
		sealed, err := sealer.Seal(row.ID, text)
		if err != nil {
			return err
		}
		if err := q.UpdateKey(ctx, releasedb.UpdateKeyParams{ID: row.ID, Sealed: sealed}); err != nil {
			return err
		}
	}
	return nil
}

// signing hashes what is read through it.
type signing struct{ reader *minisign.Reader }

func newSigning(from io.Reader) signing { return signing{minisign.NewReader(from)} }

// Read reads on.
func (s signing) Read(p []byte) (int, error) { return s.reader.Read(p) }

// signature signs what was read, with the words that a checker shows: which file of which release it is.
func (s signing) signature(by *Signer, trusted string) string {
	return string(s.reader.SignWithComments(by.private, trusted, "signature from Kontor"))
}

// trusted is the comment that is signed with a kit.
func trusted(r Release, k Kit) string {
	return strings.Join([]string{"product:" + r.Subject, "version:" + r.Version.String(), "target:" + k.Target, "file:" + k.Filename}, "\t")
}
