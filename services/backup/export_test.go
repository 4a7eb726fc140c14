package backup_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/snapshot/pgtool"
)

const (
	asDump  = backupv1.ExportFormat_EXPORT_FORMAT_DUMP
	asExcel = backupv1.ExportFormat_EXPORT_FORMAT_EXCEL
	asCSV   = backupv1.ExportFormat_EXPORT_FORMAT_CSV
)

// odd are rows and names that are hard to hand out.
var odd = []string{
	`CREATE SCHEMA "../x"`,
	`CREATE TABLE "../x"."a/b ""c"".." (id integer PRIMARY KEY, "te,xt" text, raw bytea, amount numeric, far double precision, at timestamptz, yes boolean, list text[])`,
	`INSERT INTO "../x"."a/b ""c"".." VALUES
		(1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
		(2, '', '', 0, 0, 'epoch', false, '{}'),
		(3, '=1+1', '\x00ff0a0d', 99999999999999999999999999.99, 1e300, 'infinity', true, '{a,"b,c",NULL}'),
		(4, E'say "hi",\r\n\ttab\\', '\xdeadbeef', -0.000000000000000000001, 'NaN', '2026-11-23 14:00:00.123456+02', true, ARRAY['']),
		(5, '\.', '\x5c', 123456789012345, '-Infinity', now(), NULL, NULL),
		(6, '\N', '', 1234567890123456, 0.1, now(), NULL, NULL),
		(7, '007', '', 12.50, 1, now(), NULL, NULL),
		(8, E' \u0146 \u0001_x0041_ ', '', 1, 1, now(), NULL, NULL)`,
	`CREATE TABLE "../x"."A/B ""c"".." (id integer)`,
}

const oddTable = `a/b "c"..`

func (b *bundle) askExport(s *backupv1.Snapshot, format backupv1.ExportFormat) (*commonv1.Operation, error) {
	answer, err := b.exports.CreateExport(b.t.Context(), &backupv1.CreateExportRequest{Parent: b.company, Snapshot: s.GetName(), Format: format, RequestId: id.NewString()})
	return answer.GetOperation(), err
}

func (b *bundle) export(s *backupv1.Snapshot, format backupv1.ExportFormat) *backupv1.Export {
	b.t.Helper()
	o, err := b.askExport(s, format)
	require.NoError(b.t, err)
	return result(b, o, &backupv1.Export{})
}

func (b *bundle) fetch(name string, offset, length int64) (*commonv1.FileInfo, []byte, error) {
	b.t.Helper()
	stream, err := b.exports.DownloadExport(b.t.Context(), &backupv1.DownloadExportRequest{Name: name, Offset: offset, Length: length})
	require.NoError(b.t, err)
	var info *commonv1.FileInfo
	var data []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return info, data, nil
		}
		if err != nil {
			return info, data, err
		}
		if piece.GetInfo() != nil {
			info = piece.GetInfo()
		}
		data = append(data, piece.GetData()...)
	}
}

// whole fetches an export and checks it against what is said of it.
func (b *bundle) whole(e *backupv1.Export) []byte {
	b.t.Helper()
	info, data, err := b.fetch(e.GetName(), 0, 0)
	require.NoError(b.t, err)
	sum := sha256.Sum256(data)
	require.Equal(b.t, e.GetSha256(), sum[:])
	require.EqualValues(b.t, e.GetSizeBytes(), len(data))
	require.Equal(b.t, e.GetFilename(), info.GetFilename())
	return data
}

// shown is a query's first column.
func (b *bundle) shown(database, query string, args ...any) (all []string) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.tenancy.server.DSN(database))
	require.NoError(b.t, err)
	defer func() { require.NoError(b.t, conn.Close(b.t.Context())) }()
	rows, err := conn.Query(b.t.Context(), query, args...)
	require.NoError(b.t, err)
	all, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return all
}

// rows are a database's tables, each row as text.
func (b *bundle) rows(database string) map[string][]string {
	b.t.Helper()
	all := map[string][]string{}
	for _, table := range b.shown(database, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`) {
		all[table] = b.shown(database, `SELECT t::text FROM `+table+` t ORDER BY 1`)
	}
	return all
}

// empty makes a database for a test.
func (b *bundle) empty() string {
	b.t.Helper()
	database := random("db_")
	require.NoError(b.t, b.tenancy.exec(b.t.Context(), "", "CREATE DATABASE "+database))
	b.t.Cleanup(func() {
		_ = b.tenancy.exec(context.Background(), "", "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)")
	})
	return database
}

func TestADumpOfEitherFormIsRestoredByPgRestoreWithEqualRows(t *testing.T) {
	for name, form := range map[string]backupv1.SnapshotForm{"in a repository": inRepository, "an archive": archived} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.live(odd...)
			s := b.snapshot()
			if form == archived {
				s = b.archive()
			}
			want := b.rows(b.tenancy.database(b.company))
			b.live(`UPDATE books.note SET text = 'later'`)
			e := b.export(s, asDump)
			require.Regexp(t, `^books-\d{8}-\d{6}\.dump$`, e.GetFilename())
			require.Equal(t, s.GetName(), e.GetSnapshot())
			require.Equal(t, b.owner, e.GetCreator())
			require.Zero(t, b.tenancy.standing(), "the scratch database is dropped")
			tools, err := pgtool.Find(t.Context(), "")
			require.NoError(t, err)
			fresh := b.empty()
			login, err := b.tenancy.login(t.Context(), fresh, random("own_"), "SUPERUSER")
			require.NoError(t, err)
			require.NoError(t, tools.Restore(t.Context(), &pgtool.Login{
				Host: login.GetHost(), Port: int(login.GetPort()), Database: fresh, User: login.GetUser(), Password: login.GetPassword(), CA: login.GetCaPem(),
			}, bytes.NewReader(b.whole(e))))
			require.Equal(t, want, b.rows(fresh))
			if form == inRepository {
				require.EqualValues(t, 6, e.GetTables())
				require.EqualValues(t, 3304+8, e.GetRows())
			}
		})
	}
}

// about is what the manifest of a zip says.
type about struct {
	Company, Title, Snapshot, Format string
	Moment                           time.Time
	Files                            []struct {
		Path, Schema, Table, SHA256 string
		Columns                     []string
		KeyColumns                  []string `json:"key_columns"`
		Rows, Bytes                 int64
	}
}

// unzip reads a zip, its manifest apart, and checks the manifest.
func (b *bundle) unzip(raw []byte) (about, map[string][]byte) {
	b.t.Helper()
	reader, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(b.t, err)
	files := map[string][]byte{}
	for _, f := range reader.File {
		from, err := f.Open()
		require.NoError(b.t, err)
		files[f.Name], err = io.ReadAll(from)
		require.NoError(b.t, err)
	}
	var m about
	require.NoError(b.t, json.Unmarshal(files["manifest.json"], &m))
	delete(files, "manifest.json")
	require.Len(b.t, m.Files, len(files))
	for _, f := range m.Files {
		sum := sha256.Sum256(files[f.Path])
		require.Equal(b.t, hex.EncodeToString(sum[:]), f.SHA256)
		require.EqualValues(b.t, len(files[f.Path]), f.Bytes)
	}
	return m, files
}

// TestTheCSVFilesAreReadByPostgreSQLWithEqualRows copies each file into an empty table of the same form.
func TestTheCSVFilesAreReadByPostgreSQLWithEqualRows(t *testing.T) {
	b := setup(t)
	b.live(odd...)
	s := b.snapshot()
	e := b.export(s, asCSV)
	require.EqualValues(t, []int64{6, 3304 + 8}, []int64{int64(e.GetTables()), e.GetRows()})
	require.Regexp(t, `^books-\d{8}-\d{6}\.zip$`, e.GetFilename())
	m, files := b.unzip(b.whole(e))
	require.Equal(t, "CSV", m.Format)
	require.Equal(t, s.GetName(), m.Snapshot)
	require.Equal(t, "SIA Varavīksne", m.Title)
	require.True(t, m.Moment.Equal(s.GetCreateTime().AsTime()))

	database := b.tenancy.database(b.company)
	want := b.rows(database)
	require.Len(t, m.Files, len(want))
	b.live("ALTER TABLE books.voucher DROP CONSTRAINT voucher_partner_fkey")
	conn, err := pgx.Connect(t.Context(), b.tenancy.server.DSN(database))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, f := range m.Files {
		require.NotContains(t, f.Path, "..")
		require.Equal(t, 1, strings.Count(f.Path, "/"))
		table := pgx.Identifier{f.Schema, f.Table}.Sanitize()
		var columns []string
		for _, c := range f.Columns {
			columns = append(columns, pgx.Identifier{c}.Sanitize())
		}
		_, err := conn.Exec(t.Context(), "TRUNCATE "+table)
		require.NoError(t, err)
		tag, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(files[f.Path]), "COPY "+table+" ("+strings.Join(columns, ", ")+") FROM STDIN WITH (FORMAT csv, HEADER match)")
		require.NoError(t, err, f.Path)
		require.Equal(t, f.Rows, tag.RowsAffected())
		if f.Table == oddTable {
			require.Equal(t, []string{"id"}, f.KeyColumns)
			read, err := csv.NewReader(bytes.NewReader(files[f.Path])).ReadAll()
			require.NoError(t, err)
			require.Len(t, read, 9)
		}
	}
	require.Equal(t, want, b.rows(database))
}

func TestTheWorkbooksShowTheRows(t *testing.T) {
	b := setup(t)
	b.live(odd...)
	m, files := b.unzip(b.whole(b.export(b.snapshot(), asExcel)))
	require.Len(t, m.Files, 6)
	for _, f := range m.Files {
		book, err := excelize.OpenReader(bytes.NewReader(files[f.Path]))
		require.NoError(t, err)
		rows, err := book.GetRows("Sheet1", excelize.Options{RawCellValue: true})
		require.NoError(t, err)
		require.Equal(t, f.Columns, rows[0])
		require.EqualValues(t, f.Rows, len(rows)-1)
		if f.Table != oddTable {
			continue
		}
		got := map[string]string{}
		for n, row := range rows[1:] {
			for i, v := range row {
				got[fmt.Sprintf("%d %s", n+1, f.Columns[i])] = v
			}
		}
		for at, want := range map[string]string{
			"2 te,xt": "", "3 te,xt": "=1+1", "4 te,xt": "say \"hi\",\r\n\ttab\\", "5 te,xt": `\.`, "6 te,xt": `\N`, "7 te,xt": "007", "8 te,xt": " ņ \x01_x0041_ ",
			"3 raw": `\x00ff0a0d`, "3 amount": "99999999999999999999999999.99", "5 amount": "123456789012345", "6 amount": "1234567890123456", "7 amount": "12.50",
			"3 far": "1e+300", "4 far": "NaN", "3 list": `{a,"b,c",NULL}`, "3 at": "infinity",
		} {
			require.Equal(t, want, got[at], at)
		}
		for at, want := range map[string]excelize.CellType{
			"B4": excelize.CellTypeInlineString, "B8": excelize.CellTypeInlineString, "D4": excelize.CellTypeInlineString, "D6": excelize.CellTypeUnset,
			"D7": excelize.CellTypeInlineString, "D8": excelize.CellTypeUnset, "A2": excelize.CellTypeUnset,
		} {
			kind, err := book.GetCellType("Sheet1", at)
			require.NoError(t, err)
			require.Equal(t, want, kind, at)
		}
		formula, err := book.GetCellFormula("Sheet1", "B4")
		require.NoError(t, err)
		require.Empty(t, formula)
		require.NoError(t, book.Close())
	}
}

func TestAnExportIsEncryptedHandedOutInPartsAndAnnounced(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	told := b.Events("kontor.backup.export.>")
	e := b.export(s, asCSV)
	require.Equal(t, "kontor.backup.export.created", servicetest.Next(t, told).Envelope.GetType())
	whole := b.whole(e)
	var down backupv1.ExportDownloaded
	got := servicetest.Next(t, told)
	require.Equal(t, "kontor.backup.export.downloaded", got.Envelope.GetType())
	require.NoError(t, got.Decode(&down))
	require.Equal(t, e.GetName(), down.GetExport().GetName())
	_, part, err := b.fetch(e.GetName(), 1000, 500)
	require.NoError(t, err)
	require.Equal(t, whole[1000:1500], part)
	_, rest, err := b.fetch(e.GetName(), 1000, 0)
	require.NoError(t, err)
	require.Equal(t, whole[1000:], rest)
	_, none, err := b.fetch(e.GetName(), e.GetSizeBytes(), 0)
	require.NoError(t, err)
	require.Empty(t, none)
	_, _, err = b.fetch(e.GetName(), e.GetSizeBytes()+1, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	stored := b.storedIn("/exports")
	require.Len(t, stored, 1)
	for _, part := range []string{"eu-north", b.company[len(b.company)-36:], e.GetName()[len(e.GetName())-36:] + "."} {
		require.Contains(t, stored[0], part)
	}
	b.spoil(stored[0], func(raw []byte) []byte {
		require.NotContains(t, string(raw), "manifest")
		raw[len(raw)-1] ^= 1
		return raw
	})
	_, _, err = b.fetch(e.GetName(), 0, 0)
	require.Error(t, err, "what is not authentic is not handed out")
}

func TestExportsGoOnAfterTheLicenceForAsLongAsTheDataIsKept(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP, licensingv1.Action_ACTION_WRITE)
	e := b.export(s, asDump)
	b.whole(e)
	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP, licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_EXPORT)
	_, err := b.askExport(s, asCSV)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	_, _, err = b.fetch(e.GetName(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
}

func TestAnArchiveIsExportedAsItIsOnly(t *testing.T) {
	b := setup(t)
	s := b.archive()
	for _, format := range []backupv1.ExportFormat{asCSV, asExcel} {
		_, err := b.askExport(s, format)
		servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_FORM_UNFIT)
	}
	_, whole, err := b.download(t, s, 0, 0)
	require.NoError(t, err)
	require.Equal(t, whole, b.whole(b.export(s, asDump)))
}

func TestOfADamagedSnapshotNothingIsExportedAndItIsMarked(t *testing.T) {
	for name, c := range map[string]struct {
		form   backupv1.SnapshotForm
		format backupv1.ExportFormat
	}{"dump": {inRepository, asDump}, "csv": {inRepository, asCSV}, "excel": {inRepository, asExcel}, "dump of an archive": {archived, asDump}} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			s, folder := b.snapshot(), b.packs()
			if c.form == archived {
				s = b.archive()
				folder = b.storedIn("/snapshots")
			}
			for _, file := range folder {
				b.spoil(file, func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw })
			}
			o, err := b.askExport(s, c.format)
			require.NoError(t, err)
			b.fails(o, commonv1.Reason_REASON_SNAPSHOT_DAMAGED)
			got, err := b.snapshots.GetSnapshot(t.Context(), &backupv1.GetSnapshotRequest{Name: s.GetName()})
			require.NoError(t, err)
			require.Equal(t, backupv1.VerifyState_VERIFY_STATE_DAMAGED, got.GetSnapshot().GetVerifyState())
			require.Equal(t, "altered", got.GetSnapshot().GetVerifyFailure())
			b.nothingLeft()
		})
	}
}

// nothingLeft checks that no export, object, row or scratch database is there.
func (b *bundle) nothingLeft() {
	b.t.Helper()
	require.Empty(b.t, b.storedIn("/exports"))
	require.Zero(b.t, b.tenancy.standing())
	var rows int
	require.NoError(b.t, b.DB.QueryRow(b.t.Context(), `SELECT (SELECT count(*) FROM export) + (SELECT count(*) FROM scratch)`).Scan(&rows))
	require.Zero(b.t, rows)
}

// heldTargets lets CreateRestoreTarget wait, its database made, until it is let go.
func (d *tenancy) heldTargets() (made <-chan context.Context, letGo func()) {
	begun, hold := make(chan context.Context, 10), make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holdTarget = func(ctx context.Context) { begun <- ctx; <-hold }
	return begun, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.holdTarget = nil
		close(hold)
	}
}

func TestACancelledExportLeavesNothing(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	filling, letGo := b.tenancy.heldTargets()
	o, err := b.askExport(s, asDump)
	require.NoError(t, err)
	asked := <-filling
	_, err = b.operations.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: o.GetName()})
	require.NoError(t, err)
	<-asked.Done() // Whoever asked has heard it.
	letGo()
	require.Equal(t, commonv1.Operation_STATE_CANCELLED, b.ends(o).GetState())
	b.nothingLeft()
}

func TestAnExportThatTenancyRefusesLeavesNothing(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	b.tenancy.refuseWith("CreateRestoreTarget", failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "maintenance"))
	o, err := b.askExport(s, asDump)
	require.NoError(t, err)
	b.fails(o, commonv1.Reason_REASON_COMPANY_NOT_READY)
	b.nothingLeft()
}

// TestWhatAKilledExportLeftIsSwept plays a service that died after it wrote the file, with its scratch database half filled, and
// one that died before it wrote down the database that it had asked for.
func TestWhatAKilledExportLeftIsSwept(t *testing.T) {
	b := setup(t)
	e := b.export(b.snapshot(), asCSV)
	require.Len(t, b.storedIn("/exports"), 1)
	company, subscriber := uuid.MustParse(b.company[len(b.company)-36:]), uuid.MustParse(b.subscriber[len(b.subscriber)-36:])
	for _, writtenDown := range []bool{true, false} {
		owner := uuid.New()
		var attempt int64
		require.NoError(t, b.DB.QueryRow(t.Context(), `INSERT INTO scratch (owner, company, subscriber, lease_time)
			VALUES ($1, $2, $3, clock_timestamp() + interval '1 hour') RETURNING attempt`, owner, company, subscriber).Scan(&attempt))
		made, err := b.tenancy.CreateRestoreTarget(t.Context(), &tenancyv1.CreateRestoreTargetRequest{Company: b.company, Key: fmt.Sprintf("%s-%d", owner, attempt)})
		require.NoError(t, err)
		if writtenDown {
			_, err = b.DB.Exec(t.Context(), `UPDATE scratch SET target = $2 WHERE attempt = $1`, attempt, made.GetTarget())
			require.NoError(t, err)
		}
	}
	require.Equal(t, 2, b.tenancy.standing())
	_, err := b.DB.Exec(t.Context(), `UPDATE scratch SET lease_time = clock_timestamp() - interval '1 second'`)
	require.NoError(t, err)
	_, err = b.DB.Exec(t.Context(), `UPDATE export SET ready = false, lease_time = clock_timestamp() - interval '1 second'`)
	require.NoError(t, err)
	servicetest.Eventually(t, "it is swept", func() bool { return len(b.storedIn("/exports")) == 0 && b.tenancy.standing() == 0 })
	_, err = b.exports.GetExport(t.Context(), &backupv1.GetExportRequest{Name: e.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestAnExportEndsAfterSevenDaysOrWhenItIsDeleted(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	first, second := b.export(s, asCSV), b.export(s, asCSV)
	require.Equal(t, 7*24*time.Hour, first.GetExpireTime().AsTime().Sub(first.GetCreateTime().AsTime()))
	for range 2 {
		_, err := b.exports.DeleteExport(t.Context(), &backupv1.DeleteExportRequest{Name: second.GetName()})
		require.NoError(t, err)
	}
	require.Len(t, b.storedIn("/exports"), 1)
	_, _, err := b.fetch(second.GetName(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP)
	b.Advance(7*24*time.Hour - time.Minute)
	b.whole(first)
	b.Advance(2 * time.Minute)
	_, _, err = b.fetch(first.GetName(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	servicetest.Eventually(t, "the object is taken away", func() bool { return len(b.storedIn("/exports")) == 0 })
	list, err := b.exports.ListExports(t.Context(), &backupv1.ListExportsRequest{Parent: b.company})
	require.NoError(t, err)
	require.Empty(t, list.GetExports())
}

func TestARepeatedRequestMakesOneExport(t *testing.T) {
	b := setup(t)
	req := &backupv1.CreateExportRequest{Parent: b.company, Snapshot: b.snapshot().GetName(), Format: asCSV, RequestId: id.NewString()}
	first, err := b.exports.CreateExport(t.Context(), req)
	require.NoError(t, err)
	second, err := b.exports.CreateExport(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, first.GetOperation().GetName(), second.GetOperation().GetName())
	result(b, first.GetOperation(), &backupv1.Export{})
	require.Len(t, b.storedIn("/exports"), 1)
	req.Format = asExcel
	_, err = b.exports.CreateExport(t.Context(), req)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
}

func TestAStrangerSeesNoExport(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	e := b.export(s, asCSV)
	stranger := backupv1.NewExportServiceClient(b.As(b.NewAccount("svesais@testapiemers.lv")))
	_, err := stranger.GetExport(t.Context(), &backupv1.GetExportRequest{Name: e.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = stranger.ListExports(t.Context(), &backupv1.ListExportsRequest{Parent: b.company})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = stranger.DeleteExport(t.Context(), &backupv1.DeleteExportRequest{Name: e.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	stream, err := stranger.DownloadExport(t.Context(), &backupv1.DownloadExportRequest{Name: e.GetName()})
	require.NoError(t, err)
	_, err = stream.Recv()
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	other := b.tenancy.company(b.subscriber) // Another company's name before an id finds nothing, nor is it exported into another company.
	_, err = b.exports.GetExport(t.Context(), &backupv1.GetExportRequest{Name: other + e.GetName()[len(b.company):]})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, _, err = b.fetch(other+e.GetName()[len(b.company):], 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = b.exports.CreateExport(t.Context(), &backupv1.CreateExportRequest{Parent: other, Snapshot: s.GetName(), Format: asCSV, RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = b.exports.DeleteExport(t.Context(), &backupv1.DeleteExportRequest{Name: other + e.GetName()[len(b.company):]})
	require.NoError(t, err)
	b.whole(e)
}

func TestExportsAreListedInPagesNewestFirst(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	var want []string
	for range 3 {
		want = append([]string{b.export(s, asCSV).GetName()}, want...)
	}
	var paged []string
	req := &backupv1.ListExportsRequest{Parent: b.company, PageSize: 2}
	for {
		page, err := b.exports.ListExports(t.Context(), req)
		require.NoError(t, err)
		for _, e := range page.GetExports() {
			paged = append(paged, e.GetName())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	require.Equal(t, want, paged)
}
