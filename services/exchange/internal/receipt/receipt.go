// Package receipt signs receipts of delivered documents. A receipt is good for ever, so every key that ever signed one
// stays published.
package receipt

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seal"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/receipt/receiptdb"
)

// Keys are the keys of receipts; the newest signs.
type Keys struct {
	exchangev1.UnimplementedKeyServiceServer
	signing jwk.Key
	jwks    []byte
}

// Open reads the keys, and makes the first one where there is none.
func Open(ctx context.Context, db *pgxpool.Pool, sealer *seal.Sealer, now time.Time) (*Keys, error) {
	var rows []receiptdb.ReceiptKey
	err := postgres.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		q := receiptdb.New(tx)
		if err := q.LockKeys(ctx); err != nil { // Of copies that start at once one makes the key.
			return err
		}
		if rows, err = q.ListKeys(ctx); err != nil || len(rows) > 0 {
			return err
		}
		row, err := fresh(sealer, now)
		if err != nil {
			return err
		}
		rows = []receiptdb.ReceiptKey{row}
		return q.InsertKey(ctx, receiptdb.InsertKeyParams(row))
	})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	return read(rows, sealer)
}

func fresh(sealer *seal.Sealer, now time.Time) (receiptdb.ReceiptKey, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return receiptdb.ReceiptKey{}, fmt.Errorf("receipt: %w", err)
	}
	row := receiptdb.ReceiptKey{ID: uuid.NewString(), Public: public, Created: now}
	row.Sealed, err = sealer.Seal(row.ID, private.Seed())
	return row, err
}

func read(rows []receiptdb.ReceiptKey, sealer *seal.Sealer) (*Keys, error) {
	set := jwk.NewSet()
	for _, row := range rows {
		public, err := key(ed25519.PublicKey(row.Public), row.ID)
		if err != nil {
			return nil, err
		}
		if err := set.AddKey(public); err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
	}
	newest := rows[len(rows)-1]
	seed, _, err := sealer.Open(newest.ID, newest.Sealed)
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	if k.signing, err = key(ed25519.NewKeyFromSeed(seed), newest.ID); err != nil {
		return nil, err
	}
	k.jwks, err = json.Marshal(set)
	return k, err
}

func key(raw any, id string) (jwk.Key, error) {
	k, err := jwk.Import(raw)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	for name, value := range map[string]any{jwk.KeyIDKey: id, jwk.AlgorithmKey: jwa.EdDSA(), jwk.KeyUsageKey: "sig"} {
		if err := k.Set(name, value); err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
	}
	return k, nil
}

// Sign makes a compact JWS (RFC 7515) of a payload.
func (k *Keys) Sign(payload []byte) (string, error) {
	signed, err := jws.Sign(payload, jws.WithKey(jwa.EdDSA(), k.signing))
	if err != nil {
		return "", fmt.Errorf("receipt: %w", err)
	}
	return string(signed), nil
}

// GetJwks publishes the keys.
func (k *Keys) GetJwks(context.Context, *exchangev1.GetJwksRequest) (*exchangev1.GetJwksResponse, error) {
	return &exchangev1.GetJwksResponse{Jwks: k.jwks}, nil
}
