package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/postgres/pgtest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func request(email, requestID string) *identityv1.RegisterAccountRequest {
	return &identityv1.RegisterAccountRequest{Email: email, RequestId: requestID}
}

// counter answers with how often it ran.
type counter struct {
	mu   sync.Mutex
	runs int64
}

func (c *counter) run(context.Context, pgx.Tx) (*commonv1.Money, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	return &commonv1.Money{MinorUnits: c.runs}, nil
}

func as(t *testing.T, account string) context.Context {
	return caller.With(t.Context(), caller.Caller{Account: account})
}

func create(ctx context.Context, pool *pgxpool.Pool, c *counter, r *identityv1.RegisterAccountRequest) (int64, error) {
	answer, err := idempotency.Create(ctx, pool, r, c.run)
	return answer.GetMinorUnits(), err
}

// What is kept of a request could be used to guess what is secret in it.
func TestSecretsAreNoPartOfWhatIsKept(t *testing.T) {
	pool, c, again := pgtest.New(t, nil), &counter{}, id.NewString()
	kept := func(password string) (content []byte) {
		r := &tenancyv1.CreateClusterRequest{Title: "West 1", Password: password, RequestId: again}
		if _, err := idempotency.Create(as(t, "accounts/a"), pool, r, c.run); err != nil {
			t.Fatal(err)
		}
		if err := pool.QueryRow(t.Context(), "SELECT content FROM kontor.idempotency").Scan(&content); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), "DELETE FROM kontor.idempotency"); err != nil {
			t.Fatal(err)
		}
		return content
	}
	if !bytes.Equal(kept("one"), kept("another")) {
		t.Error("the password can be told from what is kept")
	}
}

func TestTheSameRequestGetsTheSameAnswer(t *testing.T) {
	pool, c, again := pgtest.New(t, nil), &counter{}, id.NewString()
	for range 3 {
		got, err := create(as(t, "accounts/a"), pool, c, request("a@example.com", again))
		if err != nil || got != 1 {
			t.Fatalf("%d, %v", got, err)
		}
	}
	if got, err := create(as(t, "accounts/b"), pool, c, request("a@example.com", again)); err != nil || got != 2 {
		t.Fatalf("another caller's id is another id: %d, %v", got, err)
	}
}

func TestTheSameIDWithOtherContentIsRefused(t *testing.T) {
	pool, c, again := pgtest.New(t, nil), &counter{}, id.NewString()
	if _, err := create(as(t, "accounts/a"), pool, c, request("a@example.com", again)); err != nil {
		t.Fatal(err)
	}
	_, err := create(as(t, "accounts/a"), pool, c, request("b@example.com", again))
	if failure.Reason(err) != commonv1.Reason_REASON_REQUEST_ID_REUSED || failure.From(err).Meta("request_id") != again {
		t.Fatal(err)
	}
}

func TestAFailureIsNotKept(t *testing.T) {
	pool, c, again := pgtest.New(t, nil), &counter{}, id.NewString()
	broken := errors.New("broken")
	_, err := idempotency.Create(as(t, "accounts/a"), pool, request("a@example.com", again),
		func(context.Context, pgx.Tx) (*commonv1.Money, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got, err := create(as(t, "accounts/a"), pool, c, request("a@example.com", again)); err != nil || got != 1 {
		t.Fatalf("%d, %v", got, err)
	}
}

func TestTwentyAtOnceRunOnce(t *testing.T) {
	pool, c, again := pgtest.New(t, nil), &counter{}, id.NewString()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if got, err := create(as(t, "accounts/a"), pool, c, request("a@example.com", again)); err != nil || got != 1 {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
	wait.Wait()
}

func TestPurgeForgetsOldAnswersOnly(t *testing.T) {
	pool, c, old, young := pgtest.New(t, nil), &counter{}, id.NewString(), id.NewString()
	for _, requestID := range []string{old, young} {
		if _, err := create(as(t, "accounts/a"), pool, c, request("a@example.com", requestID)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(t.Context(), `UPDATE kontor.idempotency SET created = created - $2::interval WHERE request_id = $1`,
		old, idempotency.Kept+time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := idempotency.Purge(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if got, _ := create(as(t, "accounts/a"), pool, c, request("a@example.com", old)); got != 3 {
		t.Errorf("the old answer is still there: %d", got)
	}
	if got, _ := create(as(t, "accounts/a"), pool, c, request("a@example.com", young)); got != 2 {
		t.Errorf("the young answer is gone: %d", got)
	}
}
