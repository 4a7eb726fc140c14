// Package export makes files of snapshots in open formats, keeps them encrypted for a week, and hands them out.
package export

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/export/exportdb"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot"
	"kontor.internal/services/backup/internal/vault"
)

const (
	dump  = backupv1.ExportFormat_EXPORT_FORMAT_DUMP
	excel = backupv1.ExportFormat_EXPORT_FORMAT_EXCEL
	csv   = backupv1.ExportFormat_EXPORT_FORMAT_CSV
)

// kept is for how long an export is kept, by business time.
const kept = 7 * 24 * time.Hour

// folder is where exports lie in the object store, which others share.
const folder = "exports/"

// kindCreate is the operation's.
const kindCreate = "create_export"

// Exports are those of all companies. They are made of what the engine keeps.
type Exports struct{ *snapshot.Engine }

// New returns exports.
func New(e *snapshot.Engine) *Exports { return &Exports{e} }

// Works are what operations do.
func (e *Exports) Works() map[string]operation.Work {
	return map[string]operation.Work{kindCreate: e.workCreate}
}

// row is a finished export that has not ended.
type row = exportdb.GetExportRow

func (e *Exports) db() *exportdb.Queries { return exportdb.New(e.DB) }

// constraints: none of an export's speaks to a person.
var constraints = postgres.Constraints{}

func companyOf(r row) names.Company { return names.Company{Subscriber: r.Subscriber, ID: r.Company} }

func (e *Exports) find(ctx context.Context, of names.Company, export uuid.UUID) (row, error) {
	r, err := e.db().GetExport(ctx, exportdb.GetExportParams{ID: export, Company: of.ID, Subscriber: of.Subscriber, Now: e.Clock.Now()})
	return r, postgres.NotFound(err, of.Export(export))
}

func toProto(r row) *backupv1.Export {
	of := companyOf(r)
	return &backupv1.Export{
		Name: of.Export(r.ID), Snapshot: of.Snapshot(r.Snapshot), SnapshotTime: timestamppb.New(r.SnapshotTime),
		Format: backupv1.ExportFormat(r.Format), Filename: filename(r), SizeBytes: r.SizeBytes, Sha256: r.Sha256, Tables: r.Tables, Rows: r.Rows,
		CreateTime: timestamppb.New(r.CreateTime), ExpireTime: timestamppb.New(r.ExpireTime), Creator: r.Creator,
	}
}

func filename(r row) string {
	if backupv1.ExportFormat(r.Format) == dump {
		return snapshot.Filename(r.SnapshotTime, ".dump")
	}
	return snapshot.Filename(r.SnapshotTime, ".zip")
}

func contentType(r row) string {
	if backupv1.ExportFormat(r.Format) == dump {
		return "application/octet-stream"
	}
	return "application/zip"
}

// objectOf is where an export's bytes lie.
func objectOf(of names.Company, export uuid.UUID, region, key string) vault.Object {
	return vault.Object{Key: key, ID: archive.ID{Company: of.ID, Snapshot: export}, Region: region, Resource: of.Export(export)}
}
