package checking

import (
	"context"
	"errors"
	"fmt"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/checking/checkingdb"
	"kontor.internal/services/backup/internal/snapshot"
)

// drill restores a company's newest snapshot into a scratch database, which is dropped whatever comes.
func (c *Checker) drill(ctx context.Context, h *held) error {
	if err := c.drop(ctx, h); err != nil { // What one that was killed has left.
		return err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
		defer cancel()
		if err := c.drop(clean, h); err != nil {
			c.Log.WarnContext(ctx, "a drill's database stays until it is swept", "company", h.of().Name(), "err", err)
		}
	}()
	return c.Engine.DrillNewest(ctx, h.of(), snapshot.Drill{
		Last:    h.Failures > 0,
		Scratch: func(ctx context.Context) (*tenancyv1.DatabaseLogin, error) { return c.scratch(ctx, h) },
	})
}

// scratch makes an empty database. Its number is written first, so that it can be asked for by its key however early the drill dies.
func (c *Checker) scratch(ctx context.Context, h *held) (_ *tenancyv1.DatabaseLogin, err error) {
	found, err := c.Directory.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: h.of().Name()})
	if err != nil {
		return nil, err
	}
	if state := found.GetCompany().GetState(); state != tenancyv1.CompanyState_COMPANY_STATE_READY {
		return nil, failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", state.String())
	}
	if h.Attempt, err = c.db().NextAttempt(ctx, checkingdb.NextAttemptParams{Company: h.Company, Claim: h.claim}); err != nil {
		return nil, constraints.Translate(err)
	}
	h.Standing, h.Target = true, ""
	made, err := c.create(ctx, h)
	if err != nil {
		if !unanswered(ctx, err) {
			err = errors.Join(err, c.noteDropped(ctx, h)) // Refused: there is none.
		}
		return nil, err
	}
	h.Target = made.GetTarget()
	err = c.db().SetTarget(ctx, checkingdb.SetTargetParams{Company: h.Company, Target: h.Target})
	return made.GetLogin(), constraints.Translate(err)
}

func (c *Checker) create(ctx context.Context, h *held) (*tenancyv1.CreateRestoreTargetResponse, error) {
	return c.Databases.CreateRestoreTarget(ctx, &tenancyv1.CreateRestoreTargetRequest{
		Company: h.of().Name(), Mode: tenancyv1.RestoreMode_RESTORE_MODE_BESIDE, Key: fmt.Sprintf("drill-%s-%d", h.Company, h.Attempt),
	})
}

// drop drops the drill's database, if one may stand.
func (c *Checker) drop(ctx context.Context, h *held) error {
	if !h.Standing {
		return nil
	}
	if err := gone(c.dropTarget(ctx, h)); err != nil {
		return err
	}
	return c.noteDropped(ctx, h)
}

func (c *Checker) noteDropped(ctx context.Context, h *held) error {
	h.Standing, h.Target = false, ""
	return constraints.Translate(c.db().NoteDropped(ctx, checkingdb.NoteDroppedParams{Company: h.Company, Attempt: h.Attempt}))
}

// unanswered says that it is unknown what tenancy did.
func unanswered(ctx context.Context, err error) bool {
	switch failure.From(err).Reason() {
	case commonv1.Reason_REASON_DEADLINE_EXCEEDED, commonv1.Reason_REASON_UNAVAILABLE:
		return true
	}
	return ctx.Err() != nil
}

func (c *Checker) dropTarget(ctx context.Context, h *held) error {
	if h.Target == "" { // It died between asking and writing down, or got no answer.
		made, err := c.create(ctx, h)
		if err != nil {
			return err
		}
		h.Target = made.GetTarget()
	}
	_, err := c.Databases.DropRestoreTarget(ctx, &tenancyv1.DropRestoreTargetRequest{Target: h.Target})
	return err
}

// gone takes it for dropped what is not there.
func gone(err error) error {
	if err != nil && failure.From(err).Reason() == commonv1.Reason_REASON_NOT_FOUND {
		return nil
	}
	return err
}

// sweep drops what drills that were killed have left.
func (c *Checker) sweep(ctx context.Context) error {
	left, err := c.db().Abandoned(ctx)
	if err != nil {
		return constraints.Translate(err)
	}
	for _, l := range left {
		h, err := c.take(ctx, check{Subscriber: l.Subscriber, Company: l.Company, What: ofRestore})
		if err != nil {
			return err
		}
		if h == nil {
			continue
		}
		if err := c.drop(ctx, h); err != nil {
			c.Log.WarnContext(ctx, "a drill's database stays until the lease has ended", "company", h.of().Name(), "err", err)
			continue
		}
		p := checkingdb.ReleaseParams{Company: l.Company, Kind: ofRestore, Claim: h.claim, Failures: h.Failures, DueTime: l.DueTime}
		if err := c.db().Release(ctx, p); err != nil {
			return constraints.Translate(err)
		}
	}
	return nil
}
