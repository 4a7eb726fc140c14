package company

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// Kinds of operations.
const (
	KindCreate = "create-company"
	KindArea   = "add-data-area"
)

// Copy is an upload that was examined: what it holds.
type Copy struct {
	Upload  uuid.UUID
	Product string
	Version kit.Version
	// Size is the archive's, in bytes.
	Size int64
}

// Copies are the uploads that books are filled from.
type Copies interface {
	// Get reads an upload that was verified.
	Get(ctx context.Context, subscriber, upload uuid.UUID) (Copy, error)
	// Use takes a VERIFIED upload for a company, once.
	Use(ctx context.Context, tx pgx.Tx, subscriber, upload uuid.UUID) (Copy, error)
	// Release gives it back when nothing came of it.
	Release(ctx context.Context, tx pgx.Tx, subscriber, upload uuid.UUID) error
	// Load fills an area that its kit has just made, in one transaction.
	Load(ctx context.Context, c Copy, conn *pgx.Conn, k *kit.Kit, progress func(done, total int64)) error
}

// Maker makes companies' databases, and what is added to them.
type Maker struct {
	d   Deps
	log *slog.Logger
}

// NewMaker returns a Maker.
func NewMaker(d Deps, log *slog.Logger) *Maker { return &Maker{d: d, log: log} }

// Works are the operations that it does.
func (m *Maker) Works() map[string]operation.Work {
	return map[string]operation.Work{KindCreate: m.create, KindArea: m.addArea}
}

// create makes a company's database. It begins again from the start after a crash: each step leaves what is there.
func (m *Maker) create(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var r tenancyv1.CreateCompanyRequest
	owner, err := names.ParseSubscriber(run.Subscriber)
	if err = errors.Join(err, run.Input(&r)); err != nil {
		return nil, err
	}
	c, err := ofOperation(ctx, m.d.DB, owner, run.Name)
	if err != nil {
		return nil, err
	}
	switch c.State {
	case tenancyv1.CompanyState_COMPANY_STATE_CREATING:
	case tenancyv1.CompanyState_COMPANY_STATE_FAILED: // An earlier attempt wrote it down and then died.
		return nil, failure.New(commonv1.Reason(commonv1.Reason_value["REASON_"+c.Failure]))
	default:
		return m.shown(ctx, c)
	}
	made, err := m.make(ctx, run, c, &r)
	if err != nil && !stopping(ctx) {
		err = errors.Join(err, m.fail(context.WithoutCancel(ctx), c, err))
	}
	return made, err
}

// stopping says that the service stops: another copy goes on where this one is.
func stopping(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), operation.ErrCancelled)
}

func (m *Maker) make(ctx context.Context, run *operation.Run, c Company, r *tenancyv1.CreateCompanyRequest) (proto.Message, error) {
	d, err := database.Get(ctx, m.d.DB, *c.Live)
	if err != nil {
		return nil, err
	}
	source, k, err := m.source(ctx, c.Subscriber, r.GetUpload(), r.GetProduct())
	if err != nil {
		return nil, err
	}
	run.Progress(ctx, 0, 0, "database", "Making the database")
	if err := m.d.Provisioner.Make(ctx, d); err != nil {
		return nil, err
	}
	if err := m.fillArea(ctx, run, d, k, source); err != nil {
		return nil, err
	}
	if source == nil && r.GetActivity() != "" {
		if err := m.fillChart(ctx, d, k, c.Subscriber, r.GetActivity()); err != nil {
			return nil, err
		}
	}
	return m.finish(ctx, c, d, database.AreaOf(k, k.Editions[0]))
}

// source is what an area is filled from, nil for nothing, and the kit that makes it.
func (m *Maker) source(ctx context.Context, owner uuid.UUID, upload, product string) (*Copy, *kit.Kit, error) {
	s := &Server{d: m.d}
	if upload == "" {
		k, err := s.newest(product)
		return nil, k, err
	}
	id, err := uploadOf(owner, upload)
	if err != nil {
		return nil, nil, err
	}
	found, err := m.d.Copies.Get(ctx, owner, *id)
	if err != nil {
		return nil, nil, err
	}
	if k := m.d.Kits.Get(found.Product, found.Version); k != nil {
		return &found, k, nil
	}
	_, err = s.newest(found.Product)
	return nil, nil, err
}

// fillArea makes an area and fills it from a copy, if there is one.
func (m *Maker) fillArea(ctx context.Context, run *operation.Run, d database.Database, k *kit.Kit, source *Copy) error {
	run.Progress(ctx, 0, 0, "kit", "Making the tables of "+k.String())
	if err := m.d.Provisioner.Apply(ctx, d, k, k.Editions[0]); err != nil {
		return err
	}
	if source == nil {
		return nil
	}
	return m.d.Provisioner.InDatabase(ctx, d, func(conn *pgx.Conn) error {
		return m.d.Copies.Load(ctx, *source, conn, k, func(done, total int64) {
			run.Progress(ctx, done, total, "load", "Loading the copy")
		})
	})
}

func (m *Maker) fillChart(ctx context.Context, d database.Database, k *kit.Kit, owner uuid.UUID, activity string) error {
	of, err := subscriber.Get(ctx, m.d.DB, owner)
	if err != nil {
		return err
	}
	return m.d.Provisioner.InDatabase(ctx, d, func(conn *pgx.Conn) error {
		_, err := k.FillChart(ctx, conn, activity, of.Language)
		return err
	})
}

// finish takes the database into use and tells that the company was added.
func (m *Maker) finish(ctx context.Context, c Company, d database.Database, area database.Area) (proto.Message, error) {
	var shown *tenancyv1.Company
	err := postgres.InTx(ctx, m.d.DB, func(tx pgx.Tx) error {
		locked, err := Lock(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if locked.State != tenancyv1.CompanyState_COMPANY_STATE_CREATING {
			return failure.New(commonv1.Reason_REASON_CONFLICT)
		}
		locked.State = tenancyv1.CompanyState_COMPANY_STATE_READY
		if locked, err = update(ctx, tx, locked); err != nil {
			return err
		}
		err = errors.Join(database.PutArea(ctx, tx, d.ID, area), database.SetState(ctx, tx, d.ID, database.InUse, nil))
		if err != nil {
			return err
		}
		shown = ToProto(locked, []database.Area{area})
		return Tell(ctx, tx, locked, "ready", m.d.Clock.Now(), &tenancyv1.CompanyReady{Company: shown})
	})
	return shown, err
}

// fail writes down why nothing came of a company, gives its upload back and has what was made dropped.
func (m *Maker) fail(ctx context.Context, c Company, cause error) error {
	return postgres.InTx(ctx, m.d.DB, func(tx pgx.Tx) error {
		locked, err := Lock(ctx, tx, c.ID)
		if err != nil || locked.State != tenancyv1.CompanyState_COMPANY_STATE_CREATING {
			return err
		}
		live := *locked.Live
		locked.State, locked.Live = tenancyv1.CompanyState_COMPANY_STATE_FAILED, nil
		locked.Failure = failure.Name(failure.Reason(cause))
		if locked, err = update(ctx, tx, locked); err != nil {
			return err
		}
		if err := database.SetState(ctx, tx, live, database.Dropping, nil); err != nil {
			return err
		}
		if err := m.release(ctx, tx, c); err != nil {
			return err
		}
		return Tell(ctx, tx, locked, "failed", m.d.Clock.Now(), &tenancyv1.CompanyFailed{Company: ToProto(locked, nil)})
	})
}

func (m *Maker) release(ctx context.Context, tx pgx.Tx, c Company) error {
	if c.Upload == nil {
		return nil
	}
	return m.d.Copies.Release(ctx, tx, c.Subscriber, *c.Upload)
}

func (m *Maker) shown(ctx context.Context, c Company) (proto.Message, error) {
	shown, err := withAreas(ctx, m.d.DB, []Company{c})
	if err != nil {
		return nil, err
	}
	return shown[0], nil
}

// Periodic ends companies that are being made by an operation which is over, and gives back copies that such a one took: it
// was cancelled before anybody began it.
func (m *Maker) Periodic() jobs.Periodic {
	return jobs.Periodic{Name: "end-unmade-companies", Every: 5 * time.Second, AtStart: true, Run: func(ctx context.Context) error {
		return errors.Join(m.endUnmade(ctx), m.releaseUnused(ctx))
	}}
}

func (m *Maker) endUnmade(ctx context.Context) error {
	const portion = 100
	creating, err := listCreating(ctx, m.d.DB, portion)
	if err != nil {
		return err
	}
	for _, c := range creating {
		if err := m.endIfOver(ctx, c); err != nil {
			m.log.ErrorContext(ctx, "company that nobody makes can't be ended", "company", c.Name(), "error", err)
		}
	}
	return nil
}

func (m *Maker) endIfOver(ctx context.Context, c Company) error {
	made, err := m.d.Operations.Get(ctx, m.d.DB, c.Operation)
	if err != nil || made.GetEndTime() == nil {
		return err
	}
	return m.fail(ctx, c, operation.ErrCancelled)
}
