package snapshot

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/operation"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/backup/internal/names"
	engine "kontor.internal/snapshot"
)

// CompareSnapshots begins a comparison of two snapshots, or of one with the books as they are now.
func (s *Server) CompareSnapshots(ctx context.Context, req *backupv1.CompareSnapshotsRequest) (*backupv1.CompareSnapshotsResponse, error) {
	one, err := s.lyingIn(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.engine.require(ctx, companyOf(one), licensingv1.Action_ACTION_READ); err != nil { // Samples of rows are shown.
		return nil, err
	}
	if req.GetOther() == "" {
		err = s.engine.mayCompareNow(ctx, one)
	} else {
		_, err = s.other(ctx, one, req.GetOther())
	}
	if err != nil {
		return nil, err
	}
	return start(ctx, s.engine, companyOf(one), kindCompareSnapshots, req, func(o *commonv1.Operation) *backupv1.CompareSnapshotsResponse {
		return &backupv1.CompareSnapshotsResponse{Operation: o}
	})
}

func unfit() error {
	return failure.New(commonv1.Reason_REASON_SNAPSHOT_FORM_UNFIT, "need", strings.TrimPrefix(inRepository.String(), "SNAPSHOT_FORM_"))
}

// lyingIn finds a snapshot that lies in a repository.
func (s *Server) lyingIn(ctx context.Context, name string) (row, error) {
	r, err := s.named(ctx, name)
	if err == nil && backupv1.SnapshotForm(r.Form) != inRepository {
		err = unfit()
	}
	return r, err
}

// other finds a snapshot that lies in the same repository as one.
func (s *Server) other(ctx context.Context, one row, name string) (row, error) {
	of, _, err := names.ParseSnapshot(name)
	if err == nil && of != companyOf(one) {
		err = failure.NotFound(name)
	}
	if err != nil {
		return row{}, err
	}
	r, err := s.lyingIn(ctx, name)
	if err == nil && r.Region != one.Region {
		err = unfit()
	}
	return r, err
}

// mayCompareNow says whether a snapshot can be made to be compared with one: it goes where the company is.
func (e *Engine) mayCompareNow(ctx context.Context, one row) error {
	if err := e.require(ctx, companyOf(one), licensingv1.Action_ACTION_BACKUP); err != nil {
		return err
	}
	region, err := e.see(ctx, companyOf(one))
	if err == nil && region != one.Region {
		err = unfit()
	}
	return err
}

func (e *Engine) workCompareSnapshots(ctx context.Context, run *operation.Run) (proto.Message, error) {
	var req backupv1.CompareSnapshotsRequest
	if err := run.Input(&req); err != nil {
		return nil, err
	}
	s := NewServer(e)
	one, err := s.lyingIn(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	var other row
	if req.GetOther() == "" {
		other, err = e.asItIsNow(ctx, run, one)
	} else {
		other, err = s.other(ctx, one, req.GetOther())
	}
	if err != nil {
		return nil, err
	}
	if other.Sequence < one.Sequence {
		one, other = other, one
	}
	run.Progress(ctx, 0, 0, "compare", "Comparing tables")
	return message(e.between(ctx, one, other))
}

// asItIsNow makes a snapshot of the books. Its id is the operation's, so that an operation that is begun again finds the one it made.
func (e *Engine) asItIsNow(ctx context.Context, run *operation.Run, one row) (row, error) {
	own, err := OperationID(run.Name)
	if err != nil {
		return row{}, err
	}
	err = e.makeInTurn(ctx, order{
		of: companyOf(one), id: own, origin: backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_ON_DEMAND, form: inRepository, creator: caller.From(ctx).OnBehalfOf,
		progress: func(ctx context.Context, n, total int64) {
			run.Progress(ctx, n, total, "snapshot_now", "Copying the books as they are now")
		},
	})
	if err != nil {
		return row{}, err
	}
	made, err := e.find(ctx, companyOf(one), own)
	if err == nil && made.Region != one.Region {
		err = unfit()
	}
	return made, err
}

// makeInTurn makes a snapshot. It waits for one that is under way.
func (e *Engine) makeInTurn(ctx context.Context, o order) error {
	for {
		_, err := e.make(ctx, o)
		if !has(err, commonv1.Reason_REASON_SNAPSHOT_UNDER_WAY) {
			return err
		}
		if err := wait(ctx, patience); err != nil {
			return err
		}
	}
}

// between tells how two snapshots of a repository differ.
func (e *Engine) between(ctx context.Context, before, after row) (*backupv1.Comparison, error) {
	repo, err := e.Repositories.Open(ctx, whereOf(before))
	if err != nil {
		return nil, damaged(err)
	}
	was, is := knownOf(before), knownOf(after)
	contents, err := engine.Look(ctx, repo, was.Ref, &was.Head)
	if err != nil {
		return nil, damaged(err)
	}
	found, err := engine.Compare(ctx, repo, engine.CompareOrder{
		Before: was.Ref, BeforeHead: &was.Head, After: is.Ref, AfterHead: &is.Head, Samples: mostSamples,
	})
	if err != nil {
		return nil, damaged(err)
	}
	c := &backupv1.Comparison{
		CompareTime: timestamppb.New(e.Clock.Now()), Before: companyOf(before).Snapshot(before.ID), After: companyOf(after).Snapshot(after.ID),
		EqualTables: int32(len(contents.Tables)), Truncated: len(found) > mostTables,
	}
	slices.SortFunc(found, func(a, b engine.Difference) int { return strings.Compare(a.Schema+"."+a.Name, b.Schema+"."+b.Name) })
	for _, d := range found {
		if d.Fate != engine.FateAdded {
			c.EqualTables--
		}
		if len(c.Tables) < mostTables {
			c.Tables = append(c.Tables, differenceProto(d, tableOf(contents, d)))
		}
	}
	return c, nil
}

func tableOf(c *engine.Contents, d engine.Difference) engine.TableContents {
	for _, t := range c.Tables {
		if t.Schema == d.Schema && t.Name == d.Name {
			return t
		}
	}
	return engine.TableContents{}
}

func differenceProto(d engine.Difference, t engine.TableContents) *backupv1.TableDifference {
	p := &backupv1.TableDifference{
		Schema: d.Schema, Table: d.Name, RowsInCopy: d.RowsBefore, RowsLive: d.RowsAfter, Added: d.Added, Removed: d.Removed, Changed: d.Changed,
		Fate: map[engine.Fate]backupv1.TableFate{
			engine.FateChanged: backupv1.TableFate_TABLE_FATE_CHANGED, engine.FateAdded: backupv1.TableFate_TABLE_FATE_ADDED,
			engine.FateRemoved: backupv1.TableFate_TABLE_FATE_MISSING,
		}[d.Fate],
	}
	for _, s := range d.Samples {
		line, fate := s.After, backupv1.RowFate_ROW_FATE_CHANGED
		switch s.Fate {
		case engine.FateAdded:
			fate = backupv1.RowFate_ROW_FATE_ADDED
		case engine.FateRemoved:
			line, fate = s.Before, backupv1.RowFate_ROW_FATE_REMOVED
		}
		p.Samples = append(p.Samples, &backupv1.RowDifference{Key: cut(keyJSON(t, line), mostKey), Fate: fate})
	}
	return p
}

// keyJSON is a row's key, or the whole row of a table without one, in the form in which PostgreSQL writes jsonb. Of a row without a key no
// types are known: its values are strings.
func keyJSON(t engine.TableContents, line string) string {
	type member struct{ name, value string }
	var all []member
	for i, v := range engine.Fields([]byte(line)) {
		if i == len(t.Columns) || (t.KeyColumns > 0 && i == t.KeyColumns) {
			break
		}
		kind := ""
		if i < len(t.KeyTypes) {
			kind = t.KeyTypes[i]
		}
		all = append(all, member{t.Columns[i], valueJSON(kind, v)})
	}
	slices.SortFunc(all, func(a, b member) int { // As jsonb sorts its members.
		if len(a.name) != len(b.name) {
			return len(a.name) - len(b.name)
		}
		return strings.Compare(a.name, b.name)
	})
	parts := make([]string, len(all))
	for i, m := range all {
		parts[i] = quoteJSON(m.name) + ": " + m.value
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

var (
	numeric  = regexp.MustCompile(`^(smallint|integer|bigint|oid|real|double precision|numeric(\(.*\))?)$`)
	jsNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

func valueJSON(kind string, v *string) string {
	switch {
	case v == nil:
		return "null"
	case numeric.MatchString(kind) && jsNumber.MatchString(*v):
		return *v
	case kind == "boolean":
		return strconv.FormatBool(*v == "t")
	}
	return quoteJSON(*v)
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)

// quoteJSON writes a string as PostgreSQL does; of control characters without a short form it makes blanks.
func quoteJSON(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, escapes.Replace(s)) + `"`
}

// cut shortens a text to so many bytes at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
