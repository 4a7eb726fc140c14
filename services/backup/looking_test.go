package backup_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

func (b *bundle) compareSnapshots(name, other string) (*commonv1.Operation, error) {
	b.t.Helper()
	answer, err := b.snapshots.CompareSnapshots(b.t.Context(), &backupv1.CompareSnapshotsRequest{Name: name, Other: other, RequestId: id.NewString()})
	return answer.GetOperation(), err
}

func (b *bundle) between(name, other string) *backupv1.Comparison {
	b.t.Helper()
	o, err := b.compareSnapshots(name, other)
	require.NoError(b.t, err)
	return result(b, o, &backupv1.Comparison{})
}

// told is a comparison in short.
func told(c *backupv1.Comparison) (lines []string) {
	for _, d := range c.GetTables() {
		line := fmt.Sprintf("%s.%s %s %d->%d +%d -%d ~%d", d.GetSchema(), d.GetTable(), strings.TrimPrefix(d.GetFate().String(), "TABLE_FATE_"),
			d.GetRowsInCopy(), d.GetRowsLive(), d.GetAdded(), d.GetRemoved(), d.GetChanged())
		for _, s := range d.GetSamples() {
			line += fmt.Sprintf(" %s %s", strings.TrimPrefix(s.GetFate().String(), "ROW_FATE_"), s.GetKey())
		}
		lines = append(lines, line)
	}
	return lines
}

func TestTwoSnapshotsAreComparedWithoutBeingRestored(t *testing.T) {
	b := setup(t)
	b.live(`CREATE TABLE books.rate (valid date, code text, closed boolean, PRIMARY KEY (code, valid, closed))`,
		`INSERT INTO books.rate VALUES ('2026-01-01', 'EUR "x"', false)`)
	first := b.snapshot()
	b.live("DROP TABLE books.voucher", "DELETE FROM books.partner WHERE id <= 2", "UPDATE books.partner SET name = 'X' WHERE id = 3",
		"INSERT INTO books.partner VALUES (1000, 'New')", "INSERT INTO books.note VALUES ('two')", "CREATE TABLE books.extra (id integer)",
		"DELETE FROM books.rate", "UPDATE books.partner SET name = 'Y' WHERE id BETWEEN 11 AND 24")
	second := b.snapshot()
	want := []string{
		`books.extra ADDED 0->0 +0 -0 ~0`,
		`books.note CHANGED 3->4 +1 -0 ~0 ADDED {"text": "two"}`,
		`books.partner CHANGED 300->299 +1 -2 ~15 REMOVED {"id": 1} REMOVED {"id": 2} CHANGED {"id": 3} CHANGED {"id": 11} CHANGED {"id": 12} CHANGED {"id": 13}` +
			` CHANGED {"id": 14} CHANGED {"id": 15} CHANGED {"id": 16} CHANGED {"id": 17} CHANGED {"id": 18} CHANGED {"id": 19} ADDED {"id": 1000}`,
		`books.rate CHANGED 1->0 +0 -1 ~0 REMOVED {"code": "EUR \"x\"", "valid": "2026-01-01", "closed": false}`,
		`books.voucher MISSING 3000->0 +0 -3000 ~0`,
	}
	for _, names := range [][2]string{{first.GetName(), second.GetName()}, {second.GetName(), first.GetName()}} {
		c := b.between(names[0], names[1]) // Whichever is earlier is `before`.
		require.Equal(t, want, told(c))
		require.EqualValues(t, 1, c.GetEqualTables())
		require.Equal(t, []string{first.GetName(), second.GetName()}, []string{c.GetBefore(), c.GetAfter()})
		require.False(t, c.GetTruncated())
		require.Empty(t, c.GetRestoredCopy())
	}
	require.Empty(t, b.between(first.GetName(), first.GetName()).GetTables())
	require.Zero(t, b.tenancy.made())
}

func TestOfManyTablesThatDifferAThousandAreTold(t *testing.T) {
	b := setup(t)
	first := b.snapshot()
	b.live("DO $do$ BEGIN FOR n IN 1..1003 LOOP EXECUTE format('CREATE TABLE books.many_%s ()', n); END LOOP; END $do$")
	c := b.between(first.GetName(), b.snapshot().GetName())
	require.Len(t, c.GetTables(), 1000)
	require.True(t, c.GetTruncated())
	require.EqualValues(t, 4, c.GetEqualTables())
}

func TestASnapshotIsComparedWithTheBooksAsTheyAreNow(t *testing.T) {
	b := setup(t)
	first := b.snapshot()
	b.live("INSERT INTO books.note VALUES ('three')")
	opened, letGo := b.tenancy.held()
	other := b.create()
	<-opened // Another snapshot is under way: the comparison waits for it.
	o, err := b.compareSnapshots(first.GetName(), "")
	require.NoError(t, err)
	letGo()
	result(b, other, &backupv1.Snapshot{})
	c := result(b, o, &backupv1.Comparison{})
	require.Equal(t, []string{`books.note CHANGED 3->4 +1 -0 ~0 ADDED {"text": "three"}`}, told(c))
	require.Equal(t, first.GetName(), c.GetBefore())
	made := b.list()[0]
	require.Equal(t, made.GetName(), c.GetAfter())
	require.Equal(t, backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_ON_DEMAND, made.GetOrigin())
	require.Equal(t, b.owner, made.GetCreator())
	_, own, _ := strings.Cut(o.GetName(), "/operations/backup-")
	require.True(t, strings.HasSuffix(made.GetName(), own), "an operation that is begun again finds the snapshot that it made")
}

func TestWhatCantBeComparedIsSaidToBe(t *testing.T) {
	b := setup(t)
	s, archive := b.snapshot(), b.archive()
	_, err := b.compareSnapshots(s.GetName(), archive.GetName())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_FORM_UNFIT)
	_, err = b.compareSnapshots(archive.GetName(), "")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_FORM_UNFIT)

	mine := b.company
	b.company = b.tenancy.company(b.subscriber)
	foreign := b.snapshot()
	b.company = mine
	_, err = b.compareSnapshots(s.GetName(), foreign.GetName())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = b.compareSnapshots(s.GetName(), mine+foreign.GetName()[len(mine):])
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)

	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP)
	_, err = b.compareSnapshots(s.GetName(), "")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	require.Empty(t, b.between(s.GetName(), s.GetName()).GetTables())
	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP, licensingv1.Action_ACTION_READ)
	_, err = b.compareSnapshots(s.GetName(), s.GetName())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	b.licensing.refuse()

	b.spoilAll()
	_, err = b.snapshots.ListSnapshotRows(t.Context(), &backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "note"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_DAMAGED)
}

// spoilAll damages every pack.
func (b *bundle) spoilAll() {
	b.t.Helper()
	for _, file := range b.packs() {
		b.spoil(file, func(raw []byte) []byte {
			for i := 0; i < len(raw); i += 20 {
				raw[i] ^= 1
			}
			return raw
		})
	}
}

func TestTheTablesOfASnapshotAreListedInPages(t *testing.T) {
	b := setup(t)
	b.live(`CREATE TABLE books."Odd table" (a text, b integer PRIMARY KEY)`)
	s := b.snapshot()
	var all []string
	req := &backupv1.ListSnapshotTablesRequest{Name: s.GetName(), PageSize: 2}
	for pages := 1; ; pages++ {
		page, err := b.snapshots.ListSnapshotTables(t.Context(), req)
		require.NoError(t, err)
		for _, one := range page.GetTables() {
			all = append(all, fmt.Sprint(one.GetSchema(), " ", one.GetTable(), " ", one.GetColumns(), one.GetKeyColumns(), " ", one.GetRows(), " ", one.GetSizeBytes() > 0))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			require.Equal(t, 3, pages)
			break
		}
	}
	require.Equal(t, []string{
		"books Odd table [b a] 1 0 false", "books note [text] 0 3 true", "books partner [id name] 1 300 true",
		"books voucher [id partner amount at scan] 1 3000 true", "kontor_meta release [area version] 1 1 true",
	}, all)
	_, err := b.snapshots.ListSnapshotTables(t.Context(), &backupv1.ListSnapshotTablesRequest{Name: b.archive().GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_FORM_UNFIT)
}

// rows pages through a table, and gives how many rows each page had.
func (b *bundle) pageOfRows(req *backupv1.ListSnapshotRowsRequest) (all []*backupv1.SnapshotRow, pages []int) {
	b.t.Helper()
	for {
		page, err := b.snapshots.ListSnapshotRows(b.t.Context(), req)
		require.NoError(b.t, err)
		all, pages = append(all, page.GetRows()...), append(pages, len(page.GetRows()))
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, pages
		}
	}
}

func TestTheRowsOfASnapshotAreShownInPagesAndThatIsAnnounced(t *testing.T) {
	b := setup(t)
	b.live("CREATE TABLE books.bare ()", "INSERT INTO books.bare DEFAULT VALUES", "CREATE TABLE books.empty (id integer)",
		"CREATE TABLE books.wide (id integer PRIMARY KEY, words text)", "INSERT INTO books.wide SELECT n, repeat('ņ', 7000) FROM generate_series(1, 250) n",
		"INSERT INTO books.wide VALUES (900, NULL), (901, ''), (902, E'a\\tb\\n\\\\N')")
	s := b.snapshot()
	looked := b.Events("kontor.backup.snapshot.looked_into")
	all, pages := b.pageOfRows(&backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "partner", PageSize: 120})
	require.Equal(t, []int{120, 120, 60}, pages)
	for i, row := range all {
		require.Equal(t, fmt.Sprint(i+1), row.GetValues()[0].GetText())
		require.Equal(t, fmt.Sprint("Partneris Ņ ", i+1), row.GetValues()[1].GetText())
	}
	var event backupv1.SnapshotLookedInto
	require.NoError(t, servicetest.Next(t, looked).Decode(&event))
	require.Equal(t, []string{s.GetName(), "books", "partner"}, []string{event.GetSnapshot().GetName(), event.GetSchema(), event.GetTable()})

	all, pages = b.pageOfRows(&backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "wide", PageSize: 1000})
	require.Equal(t, []int{104, 104, 45}, pages) // Of 1 MiB each.
	require.Len(t, all[0].GetValues()[1].GetText(), 10000)
	require.True(t, utf8.ValidString(all[0].GetValues()[1].GetText()))
	require.Nil(t, all[250].GetValues()[1].Text)
	require.NotNil(t, all[251].GetValues()[1].Text)
	require.Equal(t, "a\tb\n\\N", all[252].GetValues()[1].GetText())
	require.NoError(t, servicetest.Next(t, looked).Decode(&event))
	require.Equal(t, "wide", event.GetTable(), "only a first page is announced")

	all, _ = b.pageOfRows(&backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "bare"})
	require.Len(t, all, 1)
	require.Empty(t, all[0].GetValues())
	all, _ = b.pageOfRows(&backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "empty"})
	require.Empty(t, all)

	_, err := b.snapshots.ListSnapshotRows(t.Context(), &backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "none"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	page, err := b.snapshots.ListSnapshotRows(t.Context(), &backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "partner"})
	require.NoError(t, err)
	_, err = b.snapshots.ListSnapshotRows(t.Context(), &backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "wide", PageToken: page.GetNextPageToken()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PAGE_TOKEN_INVALID)
	b.licensing.refuse(licensingv1.Action_ACTION_READ)
	_, err = b.snapshots.ListSnapshotRows(t.Context(), &backupv1.ListSnapshotRowsRequest{Name: s.GetName(), Schema: "books", Table: "partner"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
}
