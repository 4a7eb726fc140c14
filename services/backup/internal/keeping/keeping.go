// Package keeping is how long copies are kept and how they end: retention, legal holds, the renewal and the destruction of keys.
package keeping

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/keeping/keepingdb"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/retention"
)

// Deps are what keeping needs.
type Deps struct {
	DB           *pgxpool.Pool
	Clock        clock.Clock
	IDs          id.Source
	Log          *slog.Logger
	Repositories *repository.Repositories
	Keys         *keys.Keys
	Rules        retention.Rules
	Rights       *rights.Rights
	Pages        *paging.Codec
	Schedules    Schedules
	// TidyEvery is how often a company's copies are looked at.
	TidyEvery time.Duration
	// KeptAfterLeaving is how long copies are kept after the licence has ended to let the subscriber read its data.
	KeptAfterLeaving time.Duration
	// Rewrap has keys looked for that an earlier key-encryption key wrapped.
	Rewrap bool
}

// Schedules tells how companies' snapshots are doing.
type Schedules interface {
	// All are the schedules, the oldest copies first, from after one on.
	All(ctx context.Context, lateOnly bool, after *ScheduleCursor, most int32) ([]*backupv1.BackupSchedule, []ScheduleCursor, error)
}

// ScheduleCursor is a place in the list of schedules.
type ScheduleCursor struct {
	Time time.Time `json:"t"`
	ID   uuid.UUID `json:"i"`
}

// Keeper keeps copies for as long as the rules say.
type Keeper struct {
	Deps
	jobs *jobs.Client
}

// New returns a keeper.
func New(d Deps) *Keeper { return &Keeper{Deps: d} }

var constraints = postgres.Constraints{}

func (k *Keeper) db() *keepingdb.Queries { return keepingdb.New(k.DB) }

// tell announces something about a company.
func (k *Keeper) tell(ctx context.Context, tx pgx.Tx, of names.Company, subject string, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.backup." + subject, Aggregate: of.Name(), Subscriber: of.SubscriberName(), Company: of.Name(),
		Time: k.Clock.Now(), Payload: payload,
	})
}

// Retention is the rule, as it is told.
func (k *Keeper) Retention() *backupv1.Retention {
	return &backupv1.Retention{
		Hourly: int32(k.Rules.Hourly), Daily: int32(k.Rules.Daily), Weekly: int32(k.Rules.Weekly), Monthly: int32(k.Rules.Monthly), Yearly: int32(k.Rules.Yearly),
	}
}

// Held says whether a hold stands on a company.
func (k *Keeper) Held(ctx context.Context, of names.Company) (bool, error) {
	held, err := k.db().Held(ctx, of.ID)
	return held, constraints.Translate(err)
}
