package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/cluster"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/opening"
)

// keptReplaced is how long a database is kept after another took its place.
const keptReplaced = 7 * 24 * time.Hour

// Deps are what the server is made of.
type Deps struct {
	DB          *pgxpool.Pool
	Clock       clock.Clock
	NewID       id.Source
	Log         *slog.Logger
	Kits        *kit.Set
	Clusters    *cluster.Clusters
	Provisioner *database.Provisioner
	Sessions    *opening.Sessions
}

// Server is CompanyDatabaseService.
type Server struct {
	tenancyv1.UnimplementedCompanyDatabaseServiceServer
	d    Deps
	lend lender
}

// NewServer returns CompanyDatabaseService.
func NewServer(d Deps) *Server {
	return &Server{d: d, lend: lender{db: d.DB, clusters: d.Clusters, now: clock.System{}.Now}}
}

// Periodic ends what was lent for too long.
func (s *Server) Periodic() jobs.Periodic { return s.lend.periodic() }

// OpenForDump lends a login that reads all of a company's live database, or of a copy beside it.
func (s *Server) OpenForDump(ctx context.Context, r *tenancyv1.OpenForDumpRequest) (*tenancyv1.OpenForDumpResponse, error) {
	c, err := s.company(ctx, r.GetCompany())
	if err != nil {
		return nil, err
	}
	if err := c.Ready(); err != nil {
		return nil, err
	}
	from := *c.Live
	if r.GetTarget() != "" {
		if from, err = names.ParseTarget(r.GetTarget()); err != nil {
			return nil, err
		}
	}
	d, err := database.Get(ctx, s.d.DB, from)
	if err != nil {
		return nil, err
	}
	if d.Company != c.ID {
		return nil, failure.NotFound(r.GetTarget())
	}
	if d.State != database.InUse {
		return nil, wrongState(d)
	}
	login, err := s.lend.lend(ctx, d, toDump, dumping)
	return &tenancyv1.OpenForDumpResponse{Login: login, DataAreas: company.AreasToProto(d.Areas)}, err
}

// CloseDump gives a login for a dump back.
func (s *Server) CloseDump(ctx context.Context, r *tenancyv1.CloseDumpRequest) (*tenancyv1.CloseDumpResponse, error) {
	_, of, err := names.ParseCompany(r.GetCompany())
	if err != nil {
		return nil, err
	}
	return &tenancyv1.CloseDumpResponse{}, s.lend.giveBack(ctx, of, r.GetUser())
}

func (s *Server) company(ctx context.Context, name string) (company.Company, error) {
	owner, id, err := names.ParseCompany(name)
	if err != nil {
		return company.Company{}, err
	}
	return company.Get(ctx, s.d.DB, owner, id)
}

func wrongState(d database.Database) error {
	return failure.New(commonv1.Reason_REASON_RESTORE_TARGET_STATE, "state", d.State.String())
}

// CreateRestoreTarget makes an empty database and lends a login that owns it.
func (s *Server) CreateRestoreTarget(ctx context.Context, r *tenancyv1.CreateRestoreTargetRequest) (*tenancyv1.CreateRestoreTargetResponse, error) {
	c, err := s.company(ctx, r.GetCompany())
	if err != nil {
		return nil, err
	}
	if err := c.Ready(); err != nil {
		return nil, err
	}
	d, err := s.target(ctx, c, purposeOf(r.GetMode()), r.GetKey())
	if err != nil {
		return nil, err
	}
	if d.State != database.BeingMade {
		return nil, wrongState(d)
	}
	if err := s.d.Provisioner.Make(ctx, d); err != nil {
		return nil, err
	}
	if err := s.lend.takeBack(ctx, d); err != nil { // A repeated call gets a login of its own; the lost answer's ends.
		return nil, err
	}
	login, err := s.lend.lend(ctx, d, toRestore, filling)
	return &tenancyv1.CreateRestoreTargetResponse{Target: names.Target(d.ID), Login: login}, err
}

func purposeOf(mode tenancyv1.RestoreMode) database.Purpose {
	if mode == tenancyv1.RestoreMode_RESTORE_MODE_IN_PLACE {
		return database.RestoredInPlace
	}
	return database.RestoredBeside
}

// target is the database that a restore asked for under a key, on the cluster of the live one.
func (s *Server) target(ctx context.Context, c company.Company, kind database.Purpose, key string) (d database.Database, err error) {
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error {
		if _, err := company.Lock(ctx, tx, c.ID); err != nil {
			return err
		}
		if d, err = database.FindRestore(ctx, tx, c.ID, key); failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
			return err
		}
		live, err := database.Get(ctx, tx, *c.Live)
		if err != nil {
			return err
		}
		d = database.New(s.d.NewID(), c.ID, live.Cluster, kind, clock.System{}.Now())
		d.Key = key
		return database.Insert(ctx, tx, d)
	})
	return d, postgres.Constraints{}.Translate(err)
}

// CommitRestoreTarget takes a filled target into use.
func (s *Server) CommitRestoreTarget(ctx context.Context, r *tenancyv1.CommitRestoreTargetRequest) (*tenancyv1.CommitRestoreTargetResponse, error) {
	d, err := s.find(ctx, r.GetTarget())
	if err != nil {
		return nil, err
	}
	switch {
	case d.State == database.BeingMade && d.Purpose == database.RestoredBeside:
		err = s.beside(ctx, d)
	case d.State == database.BeingMade && d.Purpose == database.RestoredInPlace:
		err = s.inPlace(ctx, d)
	case d.State != database.InUse:
		err = wrongState(d)
	}
	if err != nil {
		return nil, err
	}
	// Sessions in what was replaced are ended again by a call that is repeated since the first died on the way.
	if err := s.d.Sessions.SweepCompany(ctx, d.Company); err != nil {
		return nil, err
	}
	shown, err := s.shown(ctx, d.Company)
	return &tenancyv1.CommitRestoreTargetResponse{Company: shown}, err
}

func (s *Server) find(ctx context.Context, name string) (database.Database, error) {
	id, err := names.ParseTarget(name)
	if err != nil {
		return database.Database{}, err
	}
	d, err := database.Get(ctx, s.d.DB, id)
	if err == nil && d.Purpose == database.Made {
		err = failure.NotFound(name)
	}
	return d, err
}

func (s *Server) shown(ctx context.Context, id uuid.UUID) (*tenancyv1.Company, error) {
	c, err := company.ByID(ctx, s.d.DB, id)
	if err != nil || c.Live == nil {
		return company.ToProto(c, nil), err
	}
	d, err := database.Get(ctx, s.d.DB, *c.Live)
	return company.ToProto(c, d.Areas), err
}

// beside makes a target readable at its own release.
func (s *Server) beside(ctx context.Context, d database.Database) error {
	areas, err := s.look(ctx, d)
	if err != nil {
		return err
	}
	for _, area := range areas {
		k, err := database.KitOf(s.d.Kits, area)
		if err != nil {
			return unfit("there is no kit of its release").Wrap(err)
		}
		if err := s.d.Provisioner.Grant(ctx, d, k); err != nil {
			return err
		}
	}
	return postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error { return take(ctx, tx, d, areas) })
}

// look ends backup's own login, after which nothing in the target changes, and reads what is in it.
func (s *Server) look(ctx context.Context, d database.Database) ([]database.Area, error) {
	if err := s.lend.takeBack(ctx, d); err != nil {
		return nil, err
	}
	var areas []database.Area
	err := s.d.Provisioner.InDatabase(ctx, d, func(conn *pgx.Conn) error {
		releases, err := kit.Releases(ctx, conn)
		for _, r := range releases {
			areas = append(areas, database.Area{Area: r.Area, Product: r.Product, Edition: r.Edition, Version: r.Version.String()})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(areas) == 0 {
		return nil, unfit("it has no data area")
	}
	return areas, nil
}

func unfit(detail string) *failure.Error {
	return failure.New(commonv1.Reason_REASON_RESTORE_TARGET_UNFIT, "detail", detail)
}

// take marks a target as in use.
func take(ctx context.Context, tx pgx.Tx, d database.Database, areas []database.Area) error {
	for _, area := range areas {
		if err := database.PutArea(ctx, tx, d.ID, area); err != nil {
			return err
		}
	}
	return database.SetState(ctx, tx, d.ID, database.InUse, nil)
}

// inPlace brings a target to the company's release and puts it in the place of the live database. Until the very last
// step the company works on as before; killed before it, nothing has happened.
func (s *Server) inPlace(ctx context.Context, d database.Database) error {
	areas, err := s.look(ctx, d)
	if err != nil {
		return err
	}
	live, err := s.live(ctx, d.Company)
	if err != nil {
		return err
	}
	for i, area := range areas {
		if areas[i], err = s.upgrade(ctx, d, live, area); err != nil {
			return err
		}
	}
	if err := postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error { return s.swap(ctx, tx, d, areas) }); err != nil {
		return err
	}
	return s.lend.takeBack(ctx, live) // If it dies before, they end by themselves.
}

func (s *Server) live(ctx context.Context, id uuid.UUID) (database.Database, error) {
	c, err := company.ByID(ctx, s.d.DB, id)
	if err != nil {
		return database.Database{}, err
	}
	if err := c.Ready(); err != nil {
		return database.Database{}, err
	}
	return database.Get(ctx, s.d.DB, *c.Live)
}

// upgrade brings an area to the release that the company works with.
func (s *Server) upgrade(ctx context.Context, d, live database.Database, area database.Area) (database.Area, error) {
	wanted := area
	if there, ok := live.Area(area.Area); ok {
		wanted = there
	}
	k, err := database.KitOf(s.d.Kits, wanted)
	if err != nil {
		return area, unfit("there is no kit of its release").Wrap(err)
	}
	err = s.d.Provisioner.Apply(ctx, d, k, area.Edition)
	if refused := (*kit.RefusedError)(nil); errors.As(err, &refused) {
		return area, unfit(fmt.Sprintf("%s is at %s %s", area.Area, area.Product, area.Version)).Wrap(err)
	}
	return database.AreaOf(k, area.Edition), err
}

// swap ends the company's sessions and opens the target from now on. The one before is kept for a while.
func (s *Server) swap(ctx context.Context, tx pgx.Tx, d database.Database, areas []database.Area) error {
	c, err := company.Lock(ctx, tx, d.Company)
	if err != nil {
		return err
	}
	if err := c.Ready(); err != nil {
		return err
	}
	locked, err := database.Lock(ctx, tx, d.ID)
	if err != nil || locked.State != database.BeingMade { // Two commits at once: the other one did it.
		return err
	}
	if err := opening.EndAll(ctx, tx, c.ID, tenancyv1.SessionEnd_SESSION_END_MAINTENANCE); err != nil {
		return err
	}
	until := s.d.Clock.Now().Add(keptReplaced)
	if err := database.SetState(ctx, tx, *c.Live, database.Replaced, &until); err != nil {
		return err
	}
	if err := take(ctx, tx, d, areas); err != nil {
		return err
	}
	if c, err = company.TakeLive(ctx, tx, c, d.ID); err != nil {
		return err
	}
	told := &tenancyv1.CompanyRestored{Company: company.ToProto(c, areas)}
	return company.Tell(ctx, tx, c, "restored", s.d.Clock.Now(), told)
}

// DropRestoreTarget drops an unfinished target, or a copy beside.
func (s *Server) DropRestoreTarget(ctx context.Context, r *tenancyv1.DropRestoreTargetRequest) (*tenancyv1.DropRestoreTargetResponse, error) {
	d, err := s.find(ctx, r.GetTarget())
	if failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		return &tenancyv1.DropRestoreTargetResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error { return s.giveUp(ctx, tx, d) })
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	return &tenancyv1.DropRestoreTargetResponse{}, s.d.Provisioner.Drop(ctx, d)
}

// giveUp refuses what is, or was, a company's live database.
func (s *Server) giveUp(ctx context.Context, tx pgx.Tx, d database.Database) error {
	c, err := company.Lock(ctx, tx, d.Company)
	if err != nil {
		return err
	}
	locked, err := database.Lock(ctx, tx, d.ID)
	if err != nil {
		return err
	}
	if c.Live != nil && *c.Live == d.ID || locked.State == database.Replaced {
		return wrongState(locked)
	}
	return database.SetState(ctx, tx, d.ID, database.Dropping, nil)
}
