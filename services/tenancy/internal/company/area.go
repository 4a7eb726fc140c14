package company

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company/companydb"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/names"
)

// AddDataArea starts the adding of an area to a company that works.
func (s *Server) AddDataArea(ctx context.Context, r *tenancyv1.AddDataAreaRequest) (*tenancyv1.AddDataAreaResponse, error) {
	owner, company, err := names.ParseCompany(r.GetName())
	if err != nil {
		return nil, err
	}
	c, err := Get(ctx, s.d.DB, owner, company)
	if err != nil {
		return nil, err
	}
	k, err := s.newest(r.GetProduct())
	if err != nil {
		return nil, err
	}
	refused := s.d.Rights.Require(ctx, rights.Question{
		Subscriber: names.Subscriber(owner), Action: licensingv1.Action_ACTION_WRITE, Product: k.Product,
	})
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.AddDataAreaResponse, error) {
		if refused != nil {
			return nil, refused
		}
		return s.beginArea(ctx, tx, c, k, r)
	})
	return answer, postgres.Constraints{}.Translate(err)
}

func (s *Server) beginArea(ctx context.Context, tx pgx.Tx, c Company, k *kit.Kit, r *tenancyv1.AddDataAreaRequest) (*tenancyv1.AddDataAreaResponse, error) {
	locked, err := Lock(ctx, tx, c.ID)
	if err != nil {
		return nil, err
	}
	if err := locked.Ready(); err != nil {
		return nil, err
	}
	if err := s.free(ctx, tx, locked, k); err != nil {
		return nil, err
	}
	if r.GetUpload() != "" {
		if err := s.takeCopy(ctx, tx, c, k, r.GetUpload()); err != nil {
			return nil, err
		}
	}
	started, err := s.d.Operations.Start(ctx, tx, operation.Request{
		Subscriber: names.Subscriber(c.Subscriber), Kind: KindArea,
		Permission: authv1.Permission_PERMISSION_COMPANIES_MANAGE, Scope: c.Name(), Input: r,
	})
	if err != nil {
		return nil, err
	}
	if r.GetUpload() != "" {
		if err := noteCopy(ctx, tx, c, r.GetUpload(), started.GetName()); err != nil {
			return nil, err
		}
	}
	locked.Operation = started.GetName()
	_, err = update(ctx, tx, locked)
	return &tenancyv1.AddDataAreaResponse{Operation: started}, err
}

// free refuses an area that the company has, and a second one while one is being added: of two that fill the same area the
// later would empty what the first had filled.
func (s *Server) free(ctx context.Context, tx pgx.Tx, c Company, k *kit.Kit) error {
	last, err := s.d.Operations.Get(ctx, tx, c.Operation)
	if err == nil && last.GetEndTime() == nil {
		return failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "being added to")
	}
	if err != nil && failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND { // Operations are forgotten after a while.
		return err
	}
	d, err := database.Get(ctx, tx, *c.Live)
	if err != nil {
		return err
	}
	if _, there := d.Area(k.Area); there {
		return failure.New(commonv1.Reason_REASON_DATA_AREA_EXISTS, "area", k.Area)
	}
	return nil
}

func (s *Server) takeCopy(ctx context.Context, tx pgx.Tx, c Company, k *kit.Kit, upload string) error {
	id, err := uploadOf(c.Subscriber, upload)
	if err != nil {
		return err
	}
	found, err := s.d.Copies.Use(ctx, tx, c.Subscriber, *id)
	if err == nil && found.Product != k.Product {
		err = failure.Invalid("upload", "is a copy of "+found.Product)
	}
	return err
}

// addArea adds an area. Until it is written down nobody can open it; begun again, it empties what an earlier attempt left.
func (m *Maker) addArea(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var r tenancyv1.AddDataAreaRequest
	if err := run.Input(&r); err != nil {
		return nil, err
	}
	owner, company, err := names.ParseCompany(r.GetName())
	if err != nil {
		return nil, err
	}
	c, err := Get(ctx, m.d.DB, owner, company)
	if err != nil {
		return nil, err
	}
	shown, err := m.growing(ctx, run, c, &r)
	if err != nil && !stopping(ctx) && r.GetUpload() != "" {
		err = errors.Join(err, m.giveBack(context.WithoutCancel(ctx), c, r.GetUpload()))
	}
	return shown, err
}

func (m *Maker) growing(ctx context.Context, run *operation.Run, c Company, r *tenancyv1.AddDataAreaRequest) (proto.Message, error) {
	if err := c.Ready(); err != nil {
		return nil, err
	}
	d, err := database.Get(ctx, m.d.DB, *c.Live)
	if err != nil {
		return nil, err
	}
	source, k, err := m.source(ctx, c.Subscriber, r.GetUpload(), r.GetProduct())
	if err != nil {
		return nil, err
	}
	if _, there := d.Area(k.Area); there { // An earlier attempt wrote it down and then died.
		return m.shown(ctx, c)
	}
	if err := m.fillArea(ctx, run, d, k, source); err != nil {
		return nil, err
	}
	return m.grown(ctx, c, d, database.AreaOf(k, k.Editions[0]))
}

// grown writes the area down, unless another database has taken the place of the one that it was made in.
func (m *Maker) grown(ctx context.Context, c Company, d database.Database, area database.Area) (proto.Message, error) {
	var shown *tenancyv1.Company
	err := postgres.InTx(ctx, m.d.DB, func(tx pgx.Tx) error {
		locked, err := Lock(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if err := locked.Ready(); err != nil || *locked.Live != d.ID {
			return errors.Join(err, failure.New(commonv1.Reason_REASON_CONFLICT))
		}
		if err := database.PutArea(ctx, tx, d.ID, area); err != nil {
			return err
		}
		if err := companydb.New(tx).DropAreaUpload(ctx, c.ID); err != nil {
			return err
		}
		if locked, err = update(ctx, tx, locked); err != nil {
			return err
		}
		shown = ToProto(locked, append(d.Areas, area))
		told := &tenancyv1.CompanyUpdated{Company: shown, Fields: []string{fieldAreas}}
		return Tell(ctx, tx, locked, "updated", m.d.Clock.Now(), told)
	})
	return shown, err
}

// noteCopy remembers what a copy was taken for, in case the operation ends before anybody begins it.
func noteCopy(ctx context.Context, tx pgx.Tx, c Company, upload, operation string) error {
	id, err := uploadOf(c.Subscriber, upload)
	if err != nil {
		return err
	}
	return companydb.New(tx).PutAreaUpload(ctx, companydb.PutAreaUploadParams{CompanyID: c.ID, UploadID: *id, Operation: operation})
}

func (m *Maker) giveBack(ctx context.Context, c Company, upload string) error {
	id, err := uploadOf(c.Subscriber, upload)
	if err != nil {
		return err
	}
	return m.releaseCopy(ctx, c.Subscriber, c.ID, *id)
}

func (m *Maker) releaseCopy(ctx context.Context, subscriber, company, upload uuid.UUID) error {
	return postgres.InTx(ctx, m.d.DB, func(tx pgx.Tx) error {
		if err := companydb.New(tx).DropAreaUpload(ctx, company); err != nil {
			return err
		}
		return m.d.Copies.Release(ctx, tx, subscriber, upload)
	})
}

// releaseUnused gives back the copies that were taken for areas by operations that are over and made nothing of them.
func (m *Maker) releaseUnused(ctx context.Context) error {
	const portion = 100
	taken, err := companydb.New(m.d.DB).ListAreaUploads(ctx, portion)
	if err != nil {
		return err
	}
	for _, t := range taken {
		run, err := m.d.Operations.Get(ctx, m.d.DB, t.Operation)
		if err == nil && run.GetEndTime() == nil {
			continue
		}
		if err != nil && failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
			return err
		}
		if err := m.releaseCopy(ctx, t.SubscriberID, t.CompanyID, t.UploadID); err != nil && failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
			return err
		}
	}
	return nil
}
