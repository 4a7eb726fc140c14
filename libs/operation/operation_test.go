package operation_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// allowed is an authoriser that lets some permissions through.
type allowed map[authv1.Permission]bool

func (a allowed) Allowed(_ context.Context, p authv1.Permission, scope string) error {
	if a[p] {
		return nil
	}
	return failure.New(commonv1.Reason_REASON_PERMISSION_DENIED, "permission", p.String(), "scope", scope)
}

type bundle struct {
	pool   *pgxpool.Pool
	store  *operation.Store
	deps   operation.Deps
	server *operation.Server
}

func setup(t *testing.T) bundle {
	t.Helper()
	pool := pgtest.New(t, nil)
	store, err := operation.NewStore("tried", pool)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := failure.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	return bundle{
		pool: pool, store: store,
		deps:   operation.Deps{Pool: pool, Store: store, Texts: texts, Log: slog.New(slog.DiscardHandler), Service: "tried"},
		server: operation.NewServer(pool, allowed{authv1.Permission_PERMISSION_SNAPSHOTS_MANAGE: true}),
	}
}

// work runs a copy of the service until the test ends or stop is called.
func (b bundle) work(t *testing.T, works map[string]operation.Work) (stop func()) {
	t.Helper()
	workers := river.NewWorkers()
	operation.Register(workers, b.deps, works)
	client, err := jobs.New(jobs.Config{MaxWorkers: 4}, jobs.Options{
		Pool: b.pool, Service: "tried", Log: b.deps.Log, Workers: workers, Periodic: operation.Periodic(b.deps),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	var once atomic.Bool
	stop = func() {
		if once.CompareAndSwap(false, true) {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

func (b bundle) start(t *testing.T) string {
	t.Helper()
	ctx := caller.With(t.Context(), caller.Caller{Account: "accounts/a", Locale: "lv"})
	var o *commonv1.Operation
	err := postgres.InTx(ctx, b.pool, func(tx pgx.Tx) (err error) {
		o, err = b.store.Start(ctx, tx, operation.Request{
			Subscriber: "subscribers/s", Kind: "count", Permission: authv1.Permission_PERMISSION_SNAPSHOTS_MANAGE,
			Input: &commonv1.Money{CurrencyCode: "EUR", MinorUnits: 3},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o.GetName()
}

func (b bundle) ends(t *testing.T, name string) *commonv1.Operation {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		o, err := b.store.Get(t.Context(), b.pool, name)
		if err != nil {
			t.Fatal(err)
		}
		if o.GetEndTime() != nil {
			return o
		}
		select {
		case <-deadline.C:
			t.Fatalf("it goes on: %v", o)
		case <-tick.C:
		}
	}
}

func TestWorkGetsItsInputShowsProgressAndGivesItsResult(t *testing.T) {
	b := setup(t)
	b.work(t, map[string]operation.Work{"count": func(ctx context.Context, run *operation.Run) (proto.Message, error) {
		var input commonv1.Money
		if err := run.Input(&input); err != nil {
			return nil, err
		}
		if who := caller.From(ctx); who.Service != "tried" || who.OnBehalfOf != "accounts/a" {
			return nil, errors.New("it acts as " + who.Actor())
		}
		for n := range input.GetMinorUnits() {
			run.Progress(ctx, n+1, input.GetMinorUnits(), "counting", "Counting")
		}
		return &commonv1.Money{MinorUnits: 42}, nil
	}})
	o := b.ends(t, b.start(t))
	var result commonv1.Money
	if o.GetState() != commonv1.Operation_STATE_SUCCEEDED || o.GetDone() != 3 || o.GetTotal() != 3 || o.GetStepKey() != "counting" {
		t.Errorf("operation %v", o)
	}
	if err := o.GetResult().UnmarshalTo(&result); err != nil || result.GetMinorUnits() != 42 {
		t.Errorf("result %v, %v", &result, err)
	}
	_, err := b.server.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: o.GetName()})
	if failure.Reason(err) != commonv1.Reason_REASON_OPERATION_DONE {
		t.Error(err)
	}
}

func TestFailedWorkSaysWhyInItsStartersLanguageAndHidesTheRest(t *testing.T) {
	b := setup(t)
	var outcome atomic.Pointer[error]
	b.work(t, map[string]operation.Work{"count": func(context.Context, *operation.Run) (proto.Message, error) { return nil, *outcome.Load() }})
	for want, err := range map[string]error{
		"NOT_FOUND": failure.NotFound("uploads/u"),
		"INTERNAL":  errors.New("secret_table is gone"),
	} {
		outcome.Store(&err)
		o := b.ends(t, b.start(t))
		typed := failure.From(failure.New(commonv1.Reason_REASON_INTERNAL))
		if o.GetState() != commonv1.Operation_STATE_FAILED || o.GetError() == nil {
			t.Fatalf("operation %v", o)
		}
		for _, d := range o.GetError().GetDetails() {
			if m, err := d.UnmarshalNew(); err == nil {
				if info, ok := m.(interface{ GetReason() string }); ok && info.GetReason() != want {
					t.Errorf("reason %s, want %s (%v)", info.GetReason(), want, typed)
				}
			}
		}
		if text := o.GetError().String(); containsSecret(text) {
			t.Errorf("it tells %s", text)
		}
	}
}

func containsSecret(text string) bool {
	for i := 0; i+6 <= len(text); i++ {
		if text[i:i+6] == "secret" {
			return true
		}
	}
	return false
}

func TestACancelReachesTheWorkAndTheOperationEndsAsCancelled(t *testing.T) {
	b, begun := setup(t), make(chan struct{})
	b.work(t, map[string]operation.Work{"count": func(ctx context.Context, _ *operation.Run) (proto.Message, error) {
		close(begun)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), operation.ErrCancelled) {
			return nil, errors.New("it ended for another cause")
		}
		return nil, ctx.Err()
	}})
	name := b.start(t)
	<-begun
	answer, err := b.server.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: name})
	if err != nil || answer.GetOperation().GetState() != commonv1.Operation_STATE_CANCELLING {
		t.Fatalf("%v, %v", answer, err)
	}
	if o := b.ends(t, name); o.GetState() != commonv1.Operation_STATE_CANCELLED {
		t.Errorf("operation %v", o)
	}
}

func TestAnOperationThatNobodyHasBegunIsCancelledAtOnce(t *testing.T) {
	b := setup(t)
	name := b.start(t)
	answer, err := b.server.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: name})
	if err != nil || answer.GetOperation().GetState() != commonv1.Operation_STATE_CANCELLED {
		t.Fatalf("%v, %v", answer, err)
	}
	b.work(t, map[string]operation.Work{"count": func(context.Context, *operation.Run) (proto.Message, error) {
		t.Error("it was begun")
		return &commonv1.Money{}, nil
	}})
	if o := b.ends(t, name); o.GetState() != commonv1.Operation_STATE_CANCELLED {
		t.Errorf("operation %v", o)
	}
}

func TestWorkOfACopyThatStopsIsBegunAgainByAnother(t *testing.T) {
	b, begun := setup(t), make(chan struct{}, 10)
	stop := b.work(t, map[string]operation.Work{"count": func(ctx context.Context, _ *operation.Run) (proto.Message, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	name := b.start(t)
	<-begun
	stop()
	if o, err := b.store.Get(t.Context(), b.pool, name); err != nil || o.GetEndTime() != nil {
		t.Fatalf("%v, %v", o, err)
	}
	b.work(t, map[string]operation.Work{"count": func(context.Context, *operation.Run) (proto.Message, error) {
		return &commonv1.Money{MinorUnits: 1}, nil
	}})
	if o := b.ends(t, name); o.GetState() != commonv1.Operation_STATE_SUCCEEDED {
		t.Errorf("operation %v", o)
	}
}

func TestWhoLacksThePermissionLearnsOfNothing(t *testing.T) {
	b := setup(t)
	name := b.start(t)
	stranger := operation.NewServer(b.pool, allowed{})
	for what, want := range map[string]commonv1.Reason{
		name: commonv1.Reason_REASON_NOT_FOUND, "subscribers/t/operations/x": commonv1.Reason_REASON_NOT_FOUND, "x": commonv1.Reason_REASON_NOT_FOUND,
	} {
		_, err := stranger.GetOperation(t.Context(), &commonv1.GetOperationRequest{Name: what})
		if failure.Reason(err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	elsewhere := "subscribers/t" + name[len("subscribers/s"):]
	if _, err := b.server.GetOperation(t.Context(), &commonv1.GetOperationRequest{Name: elsewhere}); failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
		t.Error(err)
	}
}
