// Package snapshot makes, keeps, checks, restores, compares and exports copies of company databases.
package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/keeping"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/schedule"
	"kontor.internal/services/backup/internal/second"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	engine "kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// Deps are what snapshots are made with.
type Deps struct {
	DB    *pgxpool.Pool
	Clock clock.Clock
	IDs   id.Source
	Log   *slog.Logger
	Meter metric.Meter
	Keys  *keys.Keys
	// Repositories are where snapshots lie that are no archives.
	Repositories *repository.Repositories
	// Keeper knows how long copies are kept.
	Keeper *keeping.Keeper
	// Second knows how far second copies are.
	Second *second.Copier
	Tools  pgtool.Tools
	Rules  schedule.Rules
	AtOnce int
	// AtOnceOnCluster is how many snapshots the schedule makes on one cluster at a time, over all copies of the service.
	AtOnceOnCluster int
	// ArchiveEvery is how often an archive is made beside the snapshots in repositories.
	ArchiveEvery time.Duration
	Operations   *operation.Store
	Pages        *paging.Codec
	Databases    tenancyv1.CompanyDatabaseServiceClient
	Directory    tenancyv1.DirectoryServiceClient
	// Documents are exchange's.
	Documents exchangev1.DocumentCopyServiceClient
	Rights    *rights.Rights
}

// Engine does the work that operations and the schedule ask for.
type Engine struct {
	Deps
	late    metric.Int64Counter
	damaged metric.Int64Counter
	jobs    *jobs.Client
}

// New returns an engine.
func New(d Deps) (*Engine, error) {
	late, err := d.Meter.Int64Counter("kontor.backup.company.late",
		metric.WithDescription("Companies whose last good snapshot became older than two intervals."))
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	damaged, err := d.Meter.Int64Counter("kontor.backup.snapshot.damaged",
		metric.WithDescription("Snapshots that were found not to be restorable."))
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return &Engine{Deps: d, late: late, damaged: damaged}, nil
}

// cleaning bounds what is undone after a failure or a cancel.
const cleaning = 30 * time.Second

var constraints = postgres.Constraints{
	"snapshot_one_under_way": commonv1.Reason_REASON_SNAPSHOT_UNDER_WAY,
	"restore_one_under_way":  commonv1.Reason_REASON_RESTORE_UNDER_WAY,
}

func (e *Engine) db() *snapshotdb.Queries { return snapshotdb.New(e.DB) }

// row is a finished snapshot.
type row = snapshotdb.GetSnapshotRow

func whereOf(r row) repository.Of { return repository.Of{Company: companyOf(r), Region: r.Region} }

func knownOf(r row) engine.Known {
	return engine.Known{Ref: engine.Ref{Sequence: uint64(r.Sequence), Snapshot: r.ID}, Head: engine.Head(r.Head)}
}

func companyOf(r row) names.Company { return names.Company{Subscriber: r.Subscriber, ID: r.Company} }

// find reads a finished snapshot.
func (e *Engine) find(ctx context.Context, of names.Company, snapshot uuid.UUID) (row, error) {
	r, err := e.db().GetSnapshot(ctx, snapshotdb.GetSnapshotParams{ID: snapshot, Company: of.ID, Subscriber: of.Subscriber})
	return r, postgres.NotFound(err, of.Snapshot(snapshot))
}

func toProto(r row) (*backupv1.Snapshot, error) {
	s := &backupv1.Snapshot{
		Name: companyOf(r).Snapshot(r.ID), CreateTime: timestamppb.New(r.CreateTime), SizeBytes: r.SizeBytes, Sha256: r.Sha256,
		StoredBytes: r.StoredBytes, Region: r.Region, Origin: backupv1.SnapshotOrigin(r.Origin),
		VerifyState: backupv1.VerifyState(r.VerifyState), VerifyFailure: r.VerifyFailure, Creator: r.Creator,
		Form: backupv1.SnapshotForm(r.Form), Sequence: r.Sequence, Rows: r.Rows, ReadBytes: r.ReadBytes,
		Documents: r.Documents, DocumentBytes: r.DocumentBytes, DocumentsAdded: r.DocumentsAdded, DocumentsFailure: r.DocumentsFailure,
		DocumentsLost: r.DocumentsLost,
	}
	if r.DocumentsTime != nil {
		s.DocumentsTime = timestamppb.New(*r.DocumentsTime)
	}
	if r.DrillTime != nil {
		s.DrillTime = timestamppb.New(*r.DrillTime)
	}
	if r.VerifyTime != nil {
		s.VerifyTime = timestamppb.New(*r.VerifyTime)
	}
	var areas []area
	if err := json.Unmarshal(r.DataAreas, &areas); err != nil {
		return nil, fmt.Errorf("snapshot: data areas: %w", err)
	}
	for _, a := range areas {
		s.DataAreas = append(s.DataAreas, &backupv1.SnapshotArea{Area: a.Area, Product: a.Product, Edition: a.Edition, Version: a.Version})
	}
	return s, nil
}

// area is how a data area is stored.
type area struct {
	Area    string `json:"area"`
	Product string `json:"product"`
	Edition string `json:"edition"`
	Version string `json:"version"`
}

func areasJSON(areas []*tenancyv1.DataArea) ([]byte, error) {
	out := make([]area, 0, len(areas))
	for _, a := range areas {
		out = append(out, area{Area: a.GetArea(), Product: a.GetProduct(), Edition: a.GetEdition(), Version: a.GetVersion()})
	}
	return json.Marshal(out)
}

// tell announces something about a company.
func (e *Engine) tell(ctx context.Context, tx pgx.Tx, of names.Company, subject string, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.backup." + subject, Aggregate: of.Name(), Subscriber: of.SubscriberName(), Company: of.Name(),
		Time: e.Clock.Now(), Payload: payload,
	})
}

// require refuses with RIGHT_MISSING what the subscriber's conditions do not allow.
func (e *Engine) require(ctx context.Context, of names.Company, action licensingv1.Action) error {
	return e.Rights.Require(ctx, rights.Question{Subscriber: of.SubscriberName(), Action: action})
}

// has says whether an error carries a reason.
func has(err error, reason commonv1.Reason) bool {
	return err != nil && failure.From(err).Reason() == reason
}

// see makes sure that a company is looked after, and gives its region.
func (e *Engine) see(ctx context.Context, of names.Company) (region string, err error) {
	found, err := e.Directory.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: of.Name()})
	if err != nil {
		return "", err
	}
	return found.GetCompany().GetRegion(), e.note(ctx, of, found.GetCompany().GetRegion(), e.Rules.Next)
}

// note makes sure that a company is looked after; turn is when a new one comes first.
func (e *Engine) note(ctx context.Context, of names.Company, region string, turn func(company uuid.UUID, now time.Time) time.Time) error {
	now := e.Clock.Now()
	return constraints.Translate(e.db().SeeCompany(ctx, snapshotdb.SeeCompanyParams{
		ID: of.ID, Subscriber: of.Subscriber, Region: region, SeenTime: now, NextTime: turn(of.ID, now),
	}))
}

// remove deletes an object; one that is not there is as good, and so is none.
func (e *Engine) remove(ctx context.Context, key *string) error {
	if key == nil {
		return nil
	}
	return e.Vault().Remove(ctx, *key)
}

// keepAlive calls keep every 15 seconds until the returned function is called; the context ends when keep fails for good.
func keepAlive(ctx context.Context, keep func(context.Context) error) (context.Context, func()) {
	alive, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-alive.Done():
				return
			case <-tick.C:
			}
			if err := keep(alive); errors.Is(err, errTaken) {
				stop(err)
			}
		}
	}()
	return alive, func() { stop(nil); <-done }
}

// errTaken says that another attempt has taken over.
var errTaken = errors.New("snapshot: another attempt has taken over")
