package keeping

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/backup/internal/keeping/keepingdb"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
)

// keyCopiesEnd is how long after keys are destroyed the last copy of the key store ends: whoever runs Kontor keeps none longer.
const keyCopiesEnd = 30 * 24 * time.Hour

func certificate(d keepingdb.Destruction) *backupv1.DestructionCertificate {
	told := &backupv1.DestructionCertificate{
		Name: "destructionCertificates/" + d.ID.String(), Company: names.Company{Subscriber: d.Subscriber, ID: d.Company}.Name(), Regions: d.Regions,
		Snapshots: d.Snapshots, Reason: d.Reason, Creator: d.Creator, DestroyTime: timestamppb.New(*d.DestroyTime), FinalTime: timestamppb.New(*d.FinalTime),
	}
	if d.LastTime != nil {
		told.LastSnapshotTime = timestamppb.New(*d.LastTime)
	}
	return told
}

// DestroyCompanyKeys destroys a company's keys for good.
func (s *Server) DestroyCompanyKeys(ctx context.Context, req *backupv1.DestroyCompanyKeysRequest) (*backupv1.DestroyCompanyKeysResponse, error) {
	of, err := s.k.known(ctx, req.GetCompany())
	if err != nil {
		return nil, err
	}
	reads, err := s.k.mayRead(ctx, of)
	if err != nil {
		return nil, err
	}
	if reads {
		return nil, failure.New(commonv1.Reason_REASON_COMPANY_STILL_LICENSED, "company", of.Name())
	}
	done, err := s.k.destroy(ctx, of, req.GetReason(), caller.From(ctx).Account)
	return &backupv1.DestroyCompanyKeysResponse{Certificate: done}, err
}

// mayRead says whether the licence lets a company's subscriber read its data.
func (k *Keeper) mayRead(ctx context.Context, of names.Company) (bool, error) {
	decision, err := k.Rights.Decide(ctx, rights.Question{Subscriber: of.SubscriberName(), Action: licensingv1.Action_ACTION_READ})
	return decision.GetAllowed(), err
}

// destroy destroys a company's keys. Killed anywhere, it is gone on with when it is called again; a certificate is there only
// when all keys are gone. From its beginning on nothing is copied any more: a copy would make keys anew.
func (k *Keeper) destroy(ctx context.Context, of names.Company, reason, creator string) (*backupv1.DestructionCertificate, error) {
	d, err := k.begin(ctx, of, reason, creator)
	if err != nil {
		return nil, err
	}
	if d.DestroyTime != nil {
		return certificate(d), nil
	}
	busy, err := k.db().UnderWay(ctx, of.ID) // It began before the destruction did.
	if err != nil {
		return nil, constraints.Translate(err)
	}
	if busy {
		return nil, failure.New(commonv1.Reason_REASON_SNAPSHOT_UNDER_WAY, "company", of.Name())
	}
	for _, region := range d.Regions {
		if err := k.Keys.Destroy(ctx, region, of.ID); err != nil {
			return nil, err
		}
	}
	return k.finish(ctx, of)
}

// begin writes down that a company's keys are being destroyed, unless a hold stands.
func (k *Keeper) begin(ctx context.Context, of names.Company, reason, creator string) (d keepingdb.Destruction, err error) {
	err = postgres.InTx(ctx, k.DB, func(tx pgx.Tx) error {
		q := keepingdb.New(tx)
		if _, err := q.LockCompany(ctx, of.ID); err != nil {
			return err
		}
		held, err := q.Held(ctx, of.ID)
		if err != nil {
			return err
		}
		if held {
			return failure.New(commonv1.Reason_REASON_LEGAL_HOLD_STANDS, "company", of.Name())
		}
		regions, err := q.Regions(ctx, of.ID)
		if err != nil {
			return err
		}
		err = q.BeginDestruction(ctx, keepingdb.BeginDestructionParams{
			ID: k.IDs(), Company: of.ID, Regions: regions, Reason: reason, Creator: creator, BeginTime: k.Clock.Now(),
		})
		if err != nil {
			return err
		}
		if err := q.MarkDestroyed(ctx, of.ID); err != nil {
			return err
		}
		d, err = q.GetDestruction(ctx, of.ID)
		return err
	})
	return d, constraints.Translate(err)
}

// finish makes the certificate, and forgets the snapshots that nobody can read any more.
func (k *Keeper) finish(ctx context.Context, of names.Company) (told *backupv1.DestructionCertificate, err error) {
	err = postgres.InTx(ctx, k.DB, func(tx pgx.Tx) error {
		q, now := keepingdb.New(tx), k.Clock.Now()
		final := now.Add(keyCopiesEnd)
		ended, err := q.EndDestruction(ctx, keepingdb.EndDestructionParams{Company: of.ID, DestroyTime: &now, FinalTime: &final})
		if err != nil {
			return err
		}
		d, err := q.GetDestruction(ctx, of.ID)
		if err != nil {
			return err
		}
		if told = certificate(d); ended == 0 {
			return nil
		}
		if err := q.ForgetSnapshots(ctx, of.ID); err != nil {
			return err
		}
		return k.tell(ctx, tx, of, "keys.destroyed", &backupv1.CompanyKeysDestroyed{Certificate: told})
	})
	return told, constraints.Translate(err)
}

// clearDestroyed deletes what is left of a company whose keys are destroyed. It says whether they are, or are being.
func (k *Keeper) clearDestroyed(ctx context.Context, of names.Company) (bool, error) {
	d, err := k.db().GetDestruction(ctx, of.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, constraints.Translate(err)
	}
	if d.DestroyTime == nil { // Whoever began it was killed.
		_, err := k.destroy(ctx, of, d.Reason, d.Creator)
		return true, err
	}
	if d.Cleared {
		return true, nil
	}
	for _, region := range d.Regions {
		if err := k.Repositories.DeleteAll(ctx, of, region); err != nil {
			return true, err
		}
	}
	return true, constraints.Translate(k.db().NoteCleared(ctx, of.ID))
}

// lookDue asks of companies whether their subscribers may still read their data. Of those that have not for long enough the
// keys are destroyed (H9).
func (k *Keeper) lookDue(ctx context.Context) error {
	now := k.Clock.Now()
	due, err := k.db().Unlooked(ctx, keepingdb.UnlookedParams{Now: now, Most: atOnce})
	if err != nil {
		return constraints.Translate(err)
	}
	for _, c := range due {
		of := names.Company{Subscriber: c.Subscriber, ID: c.ID}
		reads, err := k.mayRead(ctx, of)
		since, next := c.UnreadSince, now.Add(24*time.Hour)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // The others are not kept waiting.
			k.Log.WarnContext(ctx, "it is not known whether a company has left", "company", of.Name(), "err", err)
			next = now.Add(again)
		case reads:
			since = nil
		case since == nil:
			since = &now
		case !now.Before(since.Add(k.KeptAfterLeaving)):
			if _, err := k.destroy(ctx, of, "left", ""); err != nil {
				k.Log.WarnContext(ctx, "the keys of a company that left stay for now", "company", of.Name(), "err", err)
			}
		}
		note := keepingdb.NoteLookedParams{Company: c.ID, LookTime: next, UnreadSince: since}
		if err := k.db().NoteLooked(ctx, note); err != nil {
			return constraints.Translate(err)
		}
	}
	return nil
}

// RenewCompanyKey gives a company's data key a new version in every region.
func (s *Server) RenewCompanyKey(ctx context.Context, req *backupv1.RenewCompanyKeyRequest) (*backupv1.RenewCompanyKeyResponse, error) {
	of, err := s.k.known(ctx, req.GetCompany())
	if err != nil {
		return nil, err
	}
	return idempotency.Create(ctx, s.k.DB, req, func(ctx context.Context, tx pgx.Tx) (*backupv1.RenewCompanyKeyResponse, error) {
		q := keepingdb.New(tx)
		if _, err := q.LockCompany(ctx, of.ID); err != nil { // Of two at once one comes after the other.
			return nil, constraints.Translate(err)
		}
		regions, err := q.Regions(ctx, of.ID)
		if err != nil {
			return nil, constraints.Translate(err)
		}
		var version uint32
		for _, region := range regions {
			renewed, err := s.k.Keys.Renew(ctx, region, of.ID)
			if errors.Is(err, keys.ErrGone) {
				continue
			}
			if err != nil {
				return nil, err
			}
			version = max(version, renewed.Current)
		}
		if version == 0 {
			return nil, failure.NotFound(req.GetCompany())
		}
		err = s.k.tell(ctx, tx, of, "keys.renewed", &backupv1.CompanyKeyRenewed{Company: of.Name(), Version: int32(version)})
		return &backupv1.RenewCompanyKeyResponse{Version: int32(version)}, err
	})
}

// rewrapAll wraps all keys anew that an earlier key-encryption key has wrapped.
func (k *Keeper) rewrapAll(ctx context.Context) error {
	var after keepingdb.AllKeysParams
	for {
		some, err := k.db().AllKeys(ctx, after)
		if err != nil || len(some) == 0 {
			return constraints.Translate(err)
		}
		for _, one := range some {
			err := postgres.InTx(ctx, k.DB, func(tx pgx.Tx) error {
				if _, err := keepingdb.New(tx).LockCompany(ctx, one.Company); err != nil {
					return err
				}
				_, err := k.Keys.Rewrap(ctx, one.Region, one.Company)
				return err
			})
			if err != nil && !errors.Is(err, keys.ErrGone) {
				return constraints.Translate(err)
			}
			after = keepingdb.AllKeysParams(one)
		}
	}
}
