package export

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/export/exportdb"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot"
	"kontor.internal/services/backup/internal/vault"
	engine "kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// attempt is one try at an export.
type attempt struct {
	of      names.Company
	id      uuid.UUID
	claim   uuid.UUID
	format  backupv1.ExportFormat
	from    snapshot.Stored
	creator string
	run     *operation.Run
}

func (a attempt) object() vault.Object {
	return objectOf(a.of, a.id, a.from.Region, vault.Key(folder, a.from.Region, a.of, a.id, a.claim))
}

// made is what an attempt came to.
type made struct {
	vault.Written
	tables int32
	rows   int64
}

func (e *Exports) workCreate(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var req backupv1.CreateExportRequest
	if err := run.Input(&req); err != nil {
		return nil, err
	}
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	own, err := snapshot.OperationID(run.Name)
	if err != nil {
		return nil, err
	}
	if done, err := e.find(ctx, of, own); err == nil {
		return toProto(done), nil // Made, but the attempt died before it could say so.
	} else if failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
		return nil, err
	}
	from, err := e.source(ctx, &req)
	if err != nil {
		return nil, err
	}
	return e.make(ctx, attempt{
		of: of, id: own, claim: e.IDs(), format: req.GetFormat(), from: from, creator: caller.From(ctx).OnBehalfOf, run: run,
	})
}

// make makes an export whole or leaves nothing.
func (e *Exports) make(ctx context.Context, a attempt) (proto.Message, error) {
	if err := e.claim(ctx, a); err != nil {
		return nil, err
	}
	alive, stop := snapshot.KeepAlive(ctx, func(ctx context.Context) (int64, error) {
		return e.db().KeepClaim(ctx, exportdb.KeepClaimParams{ID: a.id, Claim: a.claim})
	})
	defer stop()
	m, err := e.carryOut(alive, a)
	if err == nil {
		var done *backupv1.Export
		if done, err = e.finish(alive, a, m); err == nil {
			return done, nil
		}
	}
	return nil, e.undo(alive, a, err)
}

// claim writes the row that names the object before there is one, in the place of an attempt's before.
func (e *Exports) claim(ctx context.Context, a attempt) error {
	now := e.Clock.Now()
	var lost []string
	err := postgres.InTx(ctx, e.DB, func(tx pgx.Tx) (err error) {
		q := exportdb.New(tx)
		if lost, err = q.DropLost(ctx, a.id); err != nil {
			return err
		}
		return q.ClaimExport(ctx, exportdb.ClaimExportParams{
			ID: a.id, Company: a.of.ID, Subscriber: a.of.Subscriber, Region: a.from.Region, Snapshot: a.from.ID, SnapshotTime: a.from.CreateTime,
			Format: int32(a.format), Creator: a.creator, Claim: a.claim, ObjectKey: a.object().Key, CreateTime: now, ExpireTime: now.Add(kept),
		})
	})
	for _, key := range lost {
		if err := e.Vault().Remove(ctx, key); err != nil {
			e.Log.WarnContext(ctx, "a lost export's object stays until it is swept", "key", key, "err", err)
		}
	}
	return constraints.Translate(err)
}

// carryOut stores the file, durable when it returns.
func (e *Exports) carryOut(ctx context.Context, a attempt) (made, error) {
	if snapshot.IsArchive(a.from) {
		return e.copyArchive(ctx, a)
	}
	repo, known, err := e.OpenRepository(ctx, a.from)
	if err != nil {
		return made{}, e.NoteDamage(ctx, a.from, err)
	}
	contents, err := engine.Look(ctx, repo, known.Ref, &known.Head)
	if err != nil {
		return made{}, e.NoteDamage(ctx, a.from, err)
	}
	m := made{tables: int32(len(contents.Tables))}
	for _, t := range contents.Tables {
		m.rows += t.Rows
	}
	if a.format == dump {
		m.Written, err = e.dump(ctx, a)
	} else {
		m.Written, err = e.tables(ctx, a, repo, known, contents)
	}
	return m, err
}

// write stores what fill writes. The keys are there already, or nothing could be read: none are made for a company whose keys were destroyed.
func (e *Exports) write(ctx context.Context, a attempt, fill func(to io.Writer) error) (vault.Written, error) {
	keys, err := e.Keys.Get(ctx, a.from.Region, a.of.ID)
	if err != nil {
		return vault.Written{}, e.NoteDamage(ctx, a.from, err)
	}
	return e.Vault().Write(ctx, a.object(), keys, fill)
}

// copyArchive hands an ARCHIVE on as it is.
func (e *Exports) copyArchive(ctx context.Context, a attempt) (m made, err error) {
	from, err := e.OpenArchive(ctx, a.from, 0)
	if err != nil {
		return m, e.NoteDamage(ctx, a.from, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	read := &reading{from: from, say: func(n int64) { a.run.Progress(ctx, n, a.from.SizeBytes, "copy", "Copying the archive") }}
	m.Written, err = e.write(ctx, a, func(to io.Writer) error {
		_, err := io.Copy(to, read)
		return err
	})
	if read.failed == nil && err == nil && string(m.SHA256) != string(a.from.Sha256) {
		read.failed = archive.ErrAltered
	}
	if read.failed != nil && ctx.Err() == nil {
		err = e.NoteDamage(ctx, a.from, read.failed)
	}
	return m, err
}

// reading tells how much was read, and keeps why no more could be, apart from what befalls the writing.
type reading struct {
	from   io.Reader
	say    func(done int64)
	done   int64
	failed error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.done += int64(n)
	r.say(r.done)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

// dump restores the snapshot for a while and has pg_dump write it.
func (e *Exports) dump(ctx context.Context, a attempt) (w vault.Written, err error) {
	order := snapshot.ScratchOrder{From: a.from, Owner: a.id, Progress: func(done int64) {
		a.run.Progress(ctx, done, a.from.SizeBytes, "fill", "Filling a database")
	}}
	err = e.InScratch(ctx, order, func(ctx context.Context, login *pgtool.Login) error {
		w, err = e.write(ctx, a, func(to io.Writer) error {
			out := &writing{to: to, say: func(n int64) { a.run.Progress(ctx, n, 0, "dump", "Writing the file") }}
			err := e.Tools.Dump(ctx, login, out)
			if failed := (*pgtool.Error)(nil); errors.As(err, &failed) {
				return failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_RESTORED, "detail", failed.Program).Wrap(err)
			}
			return err
		})
		return err
	})
	return w, err
}

// writing tells how much was written.
type writing struct {
	to   io.Writer
	say  func(done int64)
	done int64
}

func (w *writing) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.done += int64(n)
	w.say(w.done)
	return n, err
}

// tables writes each table as a file into a zip.
func (e *Exports) tables(ctx context.Context, a attempt, repo engine.Repository, known engine.Known, contents *engine.Contents) (vault.Written, error) {
	company, err := e.Directory.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: a.of.Name()})
	if err != nil {
		return vault.Written{}, err
	}
	about := manifest{
		Company: a.of.Name(), Title: company.GetCompany().GetTitle(), Snapshot: a.of.Snapshot(a.from.ID), Moment: a.from.CreateTime.UTC(),
		Format: formatNames[a.format],
	}
	source := source{
		tables: contents.Tables,
		lines: func(t engine.TableContents, each func(line []byte) error) error {
			return e.lines(ctx, a, t, func(each func(line []byte) error) error {
				return engine.Lines(ctx, repo, known.Ref, &known.Head, t.Schema, t.Name, each)
			}, each)
		},
		progress: func(done, total int64) { a.run.Progress(ctx, done, total, "write", "Writing tables") },
	}
	return e.write(ctx, a, func(to io.Writer) error { return bundle(to, about, source, options[a.format]) })
}

// lines tells what is wrong with the snapshot from what is wrong with the writing.
func (e *Exports) lines(ctx context.Context, a attempt, t engine.TableContents, read func(each func(line []byte) error) error, each func(line []byte) error) error {
	var written error
	var rows int64
	err := read(func(line []byte) error {
		rows++
		written = each(line)
		return written
	})
	switch {
	case written != nil || ctx.Err() != nil:
		return err
	case err == nil && rows != t.Rows:
		err = engine.ErrDamaged
	}
	return e.NoteDamage(ctx, a.from, err)
}

// finish makes the export one that is handed out, and tells.
func (e *Exports) finish(ctx context.Context, a attempt, m made) (done *backupv1.Export, err error) {
	now := e.Clock.Now()
	err = postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		q := exportdb.New(tx)
		rows, err := q.FinishExport(ctx, exportdb.FinishExportParams{
			ID: a.id, Claim: a.claim, KeyVersion: int32(m.KeyVersion), SizeBytes: m.Size, StoredBytes: m.Stored, Sha256: m.SHA256,
			Tables: m.tables, Rows: m.rows, CreateTime: now, ExpireTime: now.Add(kept),
		})
		if err != nil {
			return err
		}
		if rows == 0 {
			return snapshot.ErrTaken
		}
		r, err := q.GetExport(ctx, exportdb.GetExportParams{ID: a.id, Company: a.of.ID, Subscriber: a.of.Subscriber, Now: now})
		if err != nil {
			return err
		}
		done = toProto(r)
		return e.Tell(ctx, tx, a.of, "export.created", &backupv1.ExportCreated{Export: done})
	})
	return done, constraints.Translate(err)
}

// cleaning bounds what is undone after a failure or a cancel.
const cleaning = 30 * time.Second

// undo leaves nothing of an attempt.
func (e *Exports) undo(ctx context.Context, a attempt, failed error) error {
	if ctx.Err() != nil {
		failed = errors.Join(context.Cause(ctx), failed)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	if err := e.takeAway(clean, exportdb.EndedExportsRow{ID: a.id, Claim: a.claim, ObjectKey: a.object().Key}); err != nil {
		e.Log.WarnContext(ctx, "what is left of an export stays until it is swept", "export", a.of.Export(a.id), "err", err)
	}
	return failed
}
