package snapshot

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
)

func copyProto(r snapshotdb.GetCopyRow) *backupv1.RestoredCopy {
	of := names.Company{Subscriber: r.Subscriber, ID: r.Company}
	return &backupv1.RestoredCopy{
		Name: of.RestoredCopy(r.ID), Snapshot: of.Snapshot(r.Snapshot), SnapshotTime: timestamppb.New(r.SnapshotTime), Target: r.Target,
		CreateTime: timestamppb.New(r.CreateTime), Creator: r.Creator,
	}
}

// findCopy reads a copy, also one that was dropped.
func (e *Engine) findCopy(ctx context.Context, of names.Company, restored uuid.UUID) (snapshotdb.GetCopyRow, error) {
	r, err := e.db().GetCopy(ctx, snapshotdb.GetCopyParams{ID: restored, Company: of.ID, Subscriber: of.Subscriber})
	return r, postgres.NotFound(err, of.RestoredCopy(restored))
}

// standing reads a copy that was not dropped.
func (e *Engine) standing(ctx context.Context, of names.Company, restored uuid.UUID) (snapshotdb.GetCopyRow, error) {
	r, err := e.findCopy(ctx, of, restored)
	if err == nil && r.State == dropped {
		err = failure.NotFound(of.RestoredCopy(restored))
	}
	return r, err
}

// ListRestoredCopies lists the copies beside a company.
func (s *Server) ListRestoredCopies(ctx context.Context, req *backupv1.ListRestoredCopiesRequest) (*backupv1.ListRestoredCopiesResponse, error) {
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	var after struct {
		ID *uuid.UUID `json:"i"`
	}
	page, err := s.engine.Pages.Start(backupv1.SnapshotService_ListRestoredCopies_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.engine.db().ListCopies(ctx, snapshotdb.ListCopiesParams{
		Company: of.ID, Subscriber: of.Subscriber, Before: after.ID, Most: page.Limit(),
	})
	if err != nil {
		return nil, constraints.Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(r snapshotdb.ListCopiesRow) any { return map[string]uuid.UUID{"i": r.ID} })
	if err != nil {
		return nil, err
	}
	answer := &backupv1.ListRestoredCopiesResponse{NextPageToken: next}
	for _, r := range shown {
		answer.RestoredCopies = append(answer.RestoredCopies, copyProto(snapshotdb.GetCopyRow(r)))
	}
	return answer, nil
}

// GetRestoredCopy answers one copy.
func (s *Server) GetRestoredCopy(ctx context.Context, req *backupv1.GetRestoredCopyRequest) (*backupv1.GetRestoredCopyResponse, error) {
	of, restored, err := names.ParseRestoredCopy(req.GetName())
	if err != nil {
		return nil, err
	}
	r, err := s.engine.standing(ctx, of, restored)
	if err != nil {
		return nil, err
	}
	return &backupv1.GetRestoredCopyResponse{RestoredCopy: copyProto(r)}, nil
}

// DeleteRestoredCopy drops a copy at tenancy, then forgets it.
func (s *Server) DeleteRestoredCopy(ctx context.Context, req *backupv1.DeleteRestoredCopyRequest) (*backupv1.DeleteRestoredCopyResponse, error) {
	of, restored, err := names.ParseRestoredCopy(req.GetName())
	if err != nil {
		return nil, err
	}
	r, err := s.engine.findCopy(ctx, of, restored)
	if err != nil {
		return nil, err
	}
	_, err = s.engine.Databases.DropRestoreTarget(ctx, &tenancyv1.DropRestoreTargetRequest{Target: r.Target})
	if err != nil && !has(err, commonv1.Reason_REASON_NOT_FOUND) {
		return nil, err
	}
	err = s.engine.db().SetRestoreState(ctx, snapshotdb.SetRestoreStateParams{ID: r.ID, State: dropped})
	return &backupv1.DeleteRestoredCopyResponse{}, constraints.Translate(err)
}
