package keeping

import (
	"context"

	"github.com/google/uuid"

	"kontor.internal/libs/paging"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/keeping/keepingdb"
)

// ListDestructionCertificates lists certificates, newest first.
func (s *Server) ListDestructionCertificates(ctx context.Context, req *backupv1.ListDestructionCertificatesRequest) (*backupv1.ListDestructionCertificatesResponse, error) {
	var after struct {
		ID *uuid.UUID `json:"i"`
	}
	page, err := s.k.Pages.Start(backupv1.KeepingService_ListDestructionCertificates_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.k.db().ListDestructions(ctx, keepingdb.ListDestructionsParams{Before: after.ID, Most: page.Limit()})
	if err != nil {
		return nil, constraints.Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(d keepingdb.Destruction) any { return map[string]uuid.UUID{"i": d.ID} })
	if err != nil {
		return nil, err
	}
	answer := &backupv1.ListDestructionCertificatesResponse{NextPageToken: next}
	for _, d := range shown {
		answer.Certificates = append(answer.Certificates, certificate(d))
	}
	return answer, nil
}

// ListBackupSchedules lists how all companies' snapshots are doing, the oldest copies first.
func (s *Server) ListBackupSchedules(ctx context.Context, req *backupv1.ListBackupSchedulesRequest) (*backupv1.ListBackupSchedulesResponse, error) {
	var after struct {
		At *ScheduleCursor `json:"a"`
	}
	page, err := s.k.Pages.Start(backupv1.KeepingService_ListBackupSchedules_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	found, places, err := s.k.Schedules.All(ctx, req.GetLateOnly(), after.At, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, places, func(at ScheduleCursor) any { return map[string]ScheduleCursor{"a": at} })
	if err != nil {
		return nil, err
	}
	return &backupv1.ListBackupSchedulesResponse{BackupSchedules: found[:len(shown)], NextPageToken: next}, nil
}
