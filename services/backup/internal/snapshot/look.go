package snapshot

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	engine "kontor.internal/snapshot"
)

// tableCursor is the last table shown.
type tableCursor struct {
	Schema string `json:"s"`
	Table  string `json:"t"`
}

func (c tableCursor) before(t engine.TableContents) bool {
	if c.Schema != t.Schema {
		return c.Schema < t.Schema
	}
	return c.Table < t.Name
}

// ListSnapshotTables lists the tables in a snapshot.
func (s *Server) ListSnapshotTables(ctx context.Context, req *backupv1.ListSnapshotTablesRequest) (*backupv1.ListSnapshotTablesResponse, error) {
	r, err := s.lyingIn(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	var after tableCursor
	page, err := s.engine.Pages.Start(backupv1.SnapshotService_ListSnapshotTables_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	tables, err := s.engine.tablesAfter(ctx, r, after, int(page.Limit()))
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, tables, func(t engine.TableContents) any { return tableCursor{t.Schema, t.Name} })
	if err != nil {
		return nil, err
	}
	answer := &backupv1.ListSnapshotTablesResponse{NextPageToken: next}
	for _, t := range shown {
		answer.Tables = append(answer.Tables, &backupv1.SnapshotTable{
			Schema: t.Schema, Table: t.Name, Columns: t.Columns, KeyColumns: int32(t.KeyColumns), Rows: t.Rows, SizeBytes: t.Bytes,
		})
	}
	return answer, nil
}

// tablesAfter are so many tables of a snapshot behind one, by schema and name.
func (e *Engine) tablesAfter(ctx context.Context, r row, after tableCursor, most int) ([]engine.TableContents, error) {
	repo, err := e.Repositories.Open(ctx, whereOf(r))
	if err != nil {
		return nil, damaged(err)
	}
	known := knownOf(r)
	contents, err := engine.Look(ctx, repo, known.Ref, &known.Head)
	if err != nil {
		return nil, damaged(err)
	}
	var found []engine.TableContents
	for _, t := range contents.Tables { // They stand by schema and name, in the order of bytes.
		if after.before(t) && len(found) < most {
			found = append(found, t)
		}
	}
	return found, nil
}

// rowCursor is how many rows were shown.
type rowCursor struct {
	Rows int64 `json:"r"`
}

const (
	// mostPage cuts a page of rows, in bytes; one row is always shown, if need be with shorter values.
	mostPage = 1 << 20
	// mostValue cuts a value.
	mostValue = 10_000
)

// ListSnapshotRows shows rows of a table. It stays possible for as long as the data is kept.
func (s *Server) ListSnapshotRows(ctx context.Context, req *backupv1.ListSnapshotRowsRequest) (*backupv1.ListSnapshotRowsResponse, error) {
	r, err := s.lyingIn(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.engine.require(ctx, companyOf(r), licensingv1.Action_ACTION_READ); err != nil {
		return nil, err
	}
	var after rowCursor
	page, err := s.engine.Pages.Start(backupv1.SnapshotService_ListSnapshotRows_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	table, err := s.engine.openTable(ctx, r, req)
	if err != nil {
		return nil, err
	}
	found := &rowPage{table: table, most: int(page.Size)}
	if err := found.read(ctx, after.Rows); err != nil {
		return nil, damaged(err)
	}
	answer := &backupv1.ListSnapshotRowsResponse{Rows: found.rows}
	if shown := after.Rows + int64(len(found.rows)); shown < table.Rows {
		if answer.NextPageToken, err = page.Next(rowCursor{shown}); err != nil {
			return nil, err
		}
	}
	if req.GetPageToken() == "" {
		err = s.engine.lookedInto(ctx, r, req)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (e *Engine) openTable(ctx context.Context, r row, req *backupv1.ListSnapshotRowsRequest) (*engine.OpenedTable, error) {
	repo, err := e.Repositories.Open(ctx, whereOf(r))
	if err != nil {
		return nil, damaged(err)
	}
	known := knownOf(r)
	table, err := engine.OpenTable(ctx, repo, known.Ref, &known.Head, req.GetSchema(), req.GetTable())
	if errors.Is(err, engine.ErrNoTable) {
		return nil, failure.NotFound(req.GetName() + "/tables/" + req.GetSchema() + "." + req.GetTable())
	}
	return table, damaged(err)
}

// rowPage is a page of rows that is being read.
type rowPage struct {
	table *engine.OpenedTable
	most  int
	bytes int
	rows  []*backupv1.SnapshotRow
}

// errFull ends the reading of a page.
var errFull = errors.New("snapshot: the page is full")

func (p *rowPage) read(ctx context.Context, begin int64) error {
	err := p.table.LinesFrom(ctx, begin, func(line []byte) error {
		row, bytes := rowProto(p.table, line)
		if len(p.rows) > 0 && p.bytes+bytes > mostPage {
			return errFull
		}
		p.rows, p.bytes = append(p.rows, row), p.bytes+bytes
		if len(p.rows) == p.most {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// rowProto is a row, and about how many bytes it takes in an answer.
func rowProto(t *engine.OpenedTable, line []byte) (*backupv1.SnapshotRow, int) {
	row, bytes := &backupv1.SnapshotRow{}, rowBytes
	if len(t.Columns) == 0 {
		return row, bytes
	}
	for _, v := range engine.Fields(line) {
		value := &backupv1.SnapshotValue{}
		if v != nil {
			text := strings.ToValidUTF8(cut(*v, min(mostValue, max(mostPage-bytes, 0))), "�")
			value.Text = &text
			bytes += len(text)
		}
		row.Values = append(row.Values, value)
		bytes += rowBytes
	}
	return row, bytes
}

// rowBytes are what a row or a value takes beside its text.
const rowBytes = 8

// lookedInto announces that rows are shown, before they are.
func (e *Engine) lookedInto(ctx context.Context, r row, req *backupv1.ListSnapshotRowsRequest) error {
	told, err := toProto(r)
	if err != nil {
		return err
	}
	return constraints.Translate(postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		return e.tell(ctx, tx, companyOf(r), "snapshot.looked_into",
			&backupv1.SnapshotLookedInto{Snapshot: told, Schema: req.GetSchema(), Table: req.GetTable()})
	}))
}
