package snapshot

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	"kontor.internal/services/backup/internal/vault"
	engine "kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// Forms of snapshots.
const (
	inRepository = backupv1.SnapshotForm_SNAPSHOT_FORM_IN_REPOSITORY
	archived     = backupv1.SnapshotForm_SNAPSHOT_FORM_ARCHIVE
)

// order says which snapshot to make. The same id ordered again gives the same snapshot.
type order struct {
	of      names.Company
	id      uuid.UUID
	origin  backupv1.SnapshotOrigin
	form    backupv1.SnapshotForm
	creator string
	// beside is true of an archive that a turn makes beside its snapshot in the repository: the schedule counts from that one.
	beside bool
	// progress hears how many bytes were copied, of how many; 0 when that is not known.
	progress func(ctx context.Context, done, total int64)
}

// folder is where archives lie in the object store, which others may share.
const folder = "snapshots/"

// attempt is one try at an order.
type attempt struct {
	order
	claim  uuid.UUID
	region string
	key    *string           // an archive's object
	begun  *repository.Begun // in a repository
	moment time.Time
}

func (a attempt) where() repository.Of { return repository.Of{Company: a.of, Region: a.region} }

// made is what an attempt came to.
type made struct {
	size, stored int64
	areas        []byte
	// Of an archive.
	sha256     []byte
	keyVersion uint32
	// In a repository.
	head       []byte
	rows, read int64
	whole      bool
	needs      []string
	rest       string
	documents  documented
}

// make makes a snapshot whole or leaves nothing.
func (e *Engine) make(ctx context.Context, o order) (*backupv1.Snapshot, error) {
	if done, err := e.find(ctx, o.of, o.id); err == nil {
		return toProto(done) // Made, but the attempt died before it could say so.
	} else if !has(err, commonv1.Reason_REASON_NOT_FOUND) {
		return nil, err
	}
	a, err := e.claim(ctx, o)
	if err != nil {
		return nil, e.unclaimed(ctx, o, err)
	}
	alive, stop := KeepAlive(ctx, func(ctx context.Context) (int64, error) {
		return e.db().KeepClaim(ctx, snapshotdb.KeepClaimParams{ID: a.id, Claim: a.claim})
	})
	defer stop()
	m, err := e.carryOut(alive, a)
	if err == nil {
		var s *backupv1.Snapshot
		if s, err = e.finish(alive, a, m); err == nil {
			return s, nil
		}
	}
	return nil, e.undo(alive, a, err)
}

// unclaimed notes a scheduled snapshot that could not even begin; one that another is under way for is no failure.
func (e *Engine) unclaimed(ctx context.Context, o order, failed error) error {
	scheduled := o.origin == backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_SCHEDULED
	if !scheduled || ctx.Err() != nil || has(failed, commonv1.Reason_REASON_SNAPSHOT_UNDER_WAY) {
		return failed
	}
	return errors.Join(failed, e.noteFailed(ctx, o.of, failed))
}

// claim writes the row that names the object before there is one. Of two at once, one gets it.
func (e *Engine) claim(ctx context.Context, o order) (attempt, error) {
	region, err := e.see(ctx, o.of)
	if err != nil {
		return attempt{}, err
	}
	a := attempt{order: o, claim: e.IDs(), region: region, moment: e.Clock.Now()}
	if o.form == archived {
		key := vault.Key(folder, region, o.of, o.id, a.claim)
		a.key = &key
	}
	var lost []*string
	err = postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		q := snapshotdb.New(tx)
		if gone, err := q.Destroyed(ctx, o.of.ID); err != nil {
			return err
		} else if gone {
			return failure.New(commonv1.Reason_REASON_COPIES_DESTROYED, "company", o.of.Name())
		}
		if lost, err = q.DropLost(ctx, snapshotdb.DropLostParams{ID: o.id, Company: o.of.ID}); err != nil {
			return err
		}
		err := q.ClaimSnapshot(ctx, snapshotdb.ClaimSnapshotParams{
			ID: o.id, Company: o.of.ID, Subscriber: o.of.Subscriber, Region: region, Origin: int32(o.origin), Creator: o.creator,
			Form: int32(o.form), Claim: a.claim, ObjectKey: a.key, CreateTime: a.moment,
		})
		if err != nil || o.form == archived {
			return constraints.Translate(err, "company", o.of.Name())
		}
		a.begun, err = e.Repositories.Begin(ctx, tx, a.where(), o.id)
		return err
	})
	if err != nil {
		return attempt{}, constraints.Translate(err)
	}
	for _, key := range lost {
		if err := e.remove(ctx, key); err != nil {
			e.Log.WarnContext(ctx, "a lost archive's object stays until it is swept", "key", key, "err", err)
		}
	}
	return a, nil
}

// closing bounds giving back a login; it ends by itself anyhow.
const closing = 10 * time.Second

// closeDump gives back what OpenForDump lent.
func (e *Engine) closeDump(ctx context.Context, of names.Company, login *tenancyv1.DatabaseLogin) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	_, err := e.Databases.CloseDump(ctx, &tenancyv1.CloseDumpRequest{Company: of.Name(), User: login.GetUser()})
	if err != nil {
		e.Log.WarnContext(ctx, "a login for a dump was not given back; it ends by itself", "company", of.Name(), "error", err)
	}
}

// loginOf is what tenancy lent.
func loginOf(l *tenancyv1.DatabaseLogin) *pgtool.Login {
	return &pgtool.Login{Host: l.GetHost(), Port: int(l.GetPort()), Database: l.GetDatabase(), User: l.GetUser(), Password: l.GetPassword(), CA: l.GetCaPem()}
}

// carryOut stores all there is of the books, durable when it returns.
func (e *Engine) carryOut(ctx context.Context, a attempt) (m made, err error) {
	opened, err := e.Databases.OpenForDump(ctx, &tenancyv1.OpenForDumpRequest{Company: a.of.Name()})
	if err != nil {
		return m, err
	}
	defer e.closeDump(ctx, a.of, opened.GetLogin())
	if m.areas, err = areasJSON(opened.GetDataAreas()); err != nil {
		return m, err
	}
	login := loginOf(opened.GetLogin())
	store := func() error {
		if err := pgtool.Reach(ctx, login); err != nil {
			return err
		}
		if a.form == archived {
			return e.archive(ctx, a, login, &m)
		}
		return e.copy(ctx, a, login, &m)
	}
	if a.origin == backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_SCHEDULED {
		err = e.inSlot(ctx, net.JoinHostPort(login.Host, strconv.Itoa(login.Port)), store)
	} else {
		err = store()
	}
	return m, err
}

// copy adds the books to the company's repository.
func (e *Engine) copy(ctx context.Context, a attempt, login *pgtool.Login, m *made) error {
	repo, err := e.Repositories.OpenToWrite(ctx, a.where())
	if err != nil {
		return err
	}
	done, err := engine.Make(ctx, repo, engine.Order{
		Tools: e.Tools, Login: login, Ref: a.begun.Ref, Moment: a.moment, Previous: a.begun.Previous, Whole: a.begun.Whole,
		Cache: e.Repositories.CacheOf(a.where()), Progress: func(done, expected int64) { a.progress(ctx, done, expected) },
		Rest: true, Files: &documents{exchange: e.Documents, company: a.of.Name()},
	})
	if err != nil {
		e.suspect(ctx, a, err)
		return notMade(ctx, err)
	}
	m.size, m.stored, m.rows, m.read = done.Bytes, done.Added, done.Rows, done.Read
	m.head, m.needs = done.Head[:], done.Needs
	m.whole = a.begun.Whole || a.begun.Previous == nil
	if done.Rest != nil {
		m.rest = done.Rest.String()
	}
	m.documents = documentedBy(done)
	if done.FilesFailed != nil {
		e.Log.WarnContext(ctx, "documents were not copied; the next snapshot tries again", "company", a.of.Name(), "err", done.FilesFailed)
	}
	return nil
}

// notMade says why the books were not copied.
func notMade(ctx context.Context, err error) error {
	var refused *engine.RefusedError
	var long *engine.RowTooLongError
	var failed *pgtool.Error
	switch {
	case ctx.Err() != nil:
		return err
	case errors.As(err, &refused):
		return failure.New(commonv1.Reason_REASON_SNAPSHOT_REFUSED, "what", refused.What, "objects", strings.Join(refused.Objects, ", ")).Wrap(err)
	case errors.As(err, &long):
		return failure.New(commonv1.Reason_REASON_SNAPSHOT_REFUSED, "what", "a row too long", "objects", strconv.Itoa(long.Bytes)).Wrap(err)
	case errors.As(err, &failed):
		return failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_MADE, "detail", failed.Program).Wrap(err)
	}
	return failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_MADE, "detail", "copy").Wrap(err)
}

// archive writes the encrypted archive.
func (e *Engine) archive(ctx context.Context, a attempt, login *pgtool.Login, m *made) error {
	keys, err := e.Keys.GetOrMake(ctx, a.region, a.of.ID)
	if err != nil {
		return err
	}
	object := vault.Object{Key: *a.key, ID: archive.ID{Company: a.of.ID, Snapshot: a.id}, Region: a.region, Resource: *a.key}
	w, err := e.Vault().Write(ctx, object, keys, func(to io.Writer) error {
		err := e.Tools.Dump(ctx, login, &reporting{to: to, say: func(n int64) { a.progress(ctx, n, 0) }})
		if failed := (*pgtool.Error)(nil); errors.As(err, &failed) {
			return failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_MADE, "detail", failed.Program).Wrap(err)
		}
		return err
	})
	m.size, m.stored, m.sha256, m.keyVersion, m.whole = w.Size, w.Stored, w.SHA256, w.KeyVersion, true
	return err
}

// finish makes the snapshot one that can be restored, and tells.
func (e *Engine) finish(ctx context.Context, a attempt, m made) (s *backupv1.Snapshot, err error) {
	err = postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		q := snapshotdb.New(tx)
		p := snapshotdb.FinishSnapshotParams{
			ID: a.id, Claim: a.claim, SizeBytes: m.size, StoredBytes: m.stored, DataAreas: m.areas, CreateTime: a.moment, Whole: m.whole,
			Sha256: notNil(m.sha256), KeyVersion: int32(m.keyVersion), Head: notNil(m.head), Rows: m.rows, ReadBytes: m.read,
			Documents: m.documents.count, DocumentBytes: m.documents.bytes, DocumentsAdded: m.documents.added, DocumentsLost: m.documents.lost, DocumentsTime: m.documents.time,
			DocumentsFailure: m.documents.failure,
		}
		if a.begun != nil {
			p.Sequence = int64(a.begun.Ref.Sequence)
			if err := e.Repositories.Commit(ctx, tx, a.where(), a.begun, m.needs); err != nil {
				return err
			}
		}
		rows, err := q.FinishSnapshot(ctx, p)
		if err != nil {
			return err
		}
		if rows == 0 {
			return errTaken
		}
		done, err := q.GetSnapshot(ctx, snapshotdb.GetSnapshotParams{ID: a.id, Company: a.of.ID, Subscriber: a.of.Subscriber})
		if err != nil {
			return err
		}
		if s, err = toProto(done); err != nil {
			return err
		}
		return e.succeeded(ctx, tx, a, s, m)
	})
	if errors.Is(err, repository.ErrOutlived) {
		err = failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_MADE, "detail", "overtaken").Wrap(err)
	}
	return s, constraints.Translate(err)
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (e *Engine) succeeded(ctx context.Context, tx pgx.Tx, a attempt, s *backupv1.Snapshot, m made) error {
	q := snapshotdb.New(tx)
	before, err := q.LockCompany(ctx, a.of.ID)
	if err != nil {
		return err
	}
	if !a.beside {
		err = q.NoteSuccess(ctx, snapshotdb.NoteSuccessParams{
			ID: a.of.ID, Snapshot: a.id, Rest: m.rest, DocumentsPlace: cmp.Or(m.documents.place, before.DocumentsPlace), LastTime: a.moment, NextTime: e.Rules.Next(a.of.ID, a.moment),
		})
	}
	if err != nil {
		return err
	}
	if err := e.tell(ctx, tx, a.of, "snapshot.created", &backupv1.SnapshotCreated{Snapshot: s}); err != nil || !before.Late {
		return err
	}
	return e.tell(ctx, tx, a.of, "company.recovered", &backupv1.CompanyRecovered{Company: a.of.Name(), Snapshot: s})
}

// undo leaves nothing of an attempt. What was cancelled, or stopped with the
// service, is no failure of the company's.
func (e *Engine) undo(ctx context.Context, a attempt, failed error) error {
	if ctx.Err() != nil {
		failed = errors.Join(context.Cause(ctx), failed)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	err := e.remove(clean, a.key) // What is left in a repository goes with its collections.
	err = errors.Join(err, postgres.InTx(clean, e.DB, func(tx pgx.Tx) error {
		q := snapshotdb.New(tx)
		if err := q.DropClaim(clean, snapshotdb.DropClaimParams{ID: a.id, Claim: a.claim}); err != nil || ctx.Err() != nil || errors.Is(failed, errTaken) || errors.Is(failed, errBusy) {
			return err
		}
		return e.failed(clean, tx, a.of, a.origin, failed)
	}))
	if err != nil {
		e.Log.WarnContext(ctx, "what is left of a snapshot stays until it is swept", "snapshot", a.of.Snapshot(a.id), "err", err)
	}
	return failed
}

// failed notes that a company has no new snapshot, and when it is tried again.
func (e *Engine) failed(ctx context.Context, tx pgx.Tx, of names.Company, origin backupv1.SnapshotOrigin, why error) error {
	q := snapshotdb.New(tx)
	c, err := q.LockCompany(ctx, of.ID)
	if err != nil {
		return err
	}
	reason := reasonName(why)
	next := c.NextTime
	if origin == backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_SCHEDULED {
		next = e.Rules.Retry(e.Clock.Now(), int(c.Failures)+1)
	}
	if err := q.NoteFailure(ctx, snapshotdb.NoteFailureParams{ID: of.ID, FailureReason: reason, NextTime: next}); err != nil {
		return err
	}
	return e.tell(ctx, tx, of, "snapshot.failed", &backupv1.SnapshotFailed{Company: of.Name(), Origin: origin, Reason: reason})
}

// reporting tells how much went through.
type reporting struct {
	to   io.Writer
	say  func(done int64)
	done int64
}

func (r *reporting) Write(p []byte) (int, error) {
	n, err := r.to.Write(p)
	r.done += int64(n)
	r.say(r.done)
	return n, err
}
