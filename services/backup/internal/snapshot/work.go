package snapshot

import (
	"context"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/operation"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/names"
)

// Kinds of operations.
const (
	kindCreate  = "create_snapshot"
	kindVerify  = "verify_snapshot"
	kindRestore = "restore_snapshot"
	kindCompare = "compare_restored_copy"

	kindCompareSnapshots = "compare_snapshots"
)

// Works are what operations do.
func (e *Engine) Works() map[string]operation.Work {
	return map[string]operation.Work{
		kindCreate: e.workCreate, kindVerify: e.workVerify, kindRestore: e.workRestore, kindCompare: e.workCompare,
		kindCompareSnapshots: e.workCompareSnapshots,
	}
}

func (e *Engine) workCreate(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var req backupv1.CreateSnapshotRequest
	if err := run.Input(&req); err != nil {
		return nil, err
	}
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	own, err := OperationID(run.Name)
	if err != nil {
		return nil, err
	}
	return message(e.make(ctx, order{
		of: of, id: own, origin: backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_ON_DEMAND, form: formOf(&req), creator: caller.From(ctx).OnBehalfOf,
		progress: func(ctx context.Context, n, total int64) { run.Progress(ctx, n, total, "copy", "Copying the books") },
	}))
}

func formOf(req *backupv1.CreateSnapshotRequest) backupv1.SnapshotForm {
	if req.GetForm() == backupv1.SnapshotForm_SNAPSHOT_FORM_UNSPECIFIED {
		return inRepository
	}
	return req.GetForm()
}

// message keeps a nil pointer from becoming a message.
func message[M proto.Message](m M, err error) (proto.Message, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (e *Engine) workVerify(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var req backupv1.VerifySnapshotRequest
	if err := run.Input(&req); err != nil {
		return nil, err
	}
	r, err := NewServer(e).named(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return message(e.verify(ctx, r, func(n int64) { run.Progress(ctx, n, r.SizeBytes, "read", "Reading the snapshot back") }))
}

func (e *Engine) workRestore(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var req backupv1.RestoreSnapshotRequest
	if err := run.Input(&req); err != nil {
		return nil, err
	}
	from, err := NewServer(e).named(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	own, err := OperationID(run.Name)
	if err != nil {
		return nil, err
	}
	r := newRestoring(own, from, req.GetMode(), caller.From(ctx).OnBehalfOf)
	r.progress = run.Progress
	return e.restore(ctx, r)
}

func (e *Engine) workCompare(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var req backupv1.CompareRestoredCopyRequest
	if err := run.Input(&req); err != nil {
		return nil, err
	}
	of, restored, err := names.ParseRestoredCopy(req.GetName())
	if err != nil {
		return nil, err
	}
	r, err := e.standing(ctx, of, restored)
	if err != nil {
		return nil, err
	}
	return message(e.compare(ctx, of, restored, r.Target, func(n, total int64) {
		run.Progress(ctx, n, total, "compare", "Comparing tables")
	}))
}
