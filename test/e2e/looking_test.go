package e2e

import (
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func TestASnapshotIsComparedWithTheBooksAfterWorkAndLookedInto(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "backup")
	p, kontor, company := trading(t, s, "Redzīgie Grāmatveži")
	day := time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)
	program, err := bookkeeper.Open(t.Context(), kontor, bookkeeper.Start{Credentials: credentials(p), Company: company, Device: "pc-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := program.EnsureYear(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	session, err := kontor.SignIn(t.Context(), credentials(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	snapshots := backupv1.NewSnapshotServiceClient(session.Conn())
	wait := func(o *commonv1.Operation, err error, into proto.Message) {
		t.Helper()
		must(t, err)
		done, err := session.Wait(t.Context(), o.GetName(), nil)
		must(t, err)
		must(t, done.GetResult().UnmarshalTo(into))
	}

	var made backupv1.Snapshot
	created, err := snapshots.CreateSnapshot(t.Context(), &backupv1.CreateSnapshotRequest{Parent: company, RequestId: client.RequestID()})
	wait(created.GetOperation(), err, &made)
	const written = 5
	for n := range written {
		if _, err := program.WriteVoucher(t.Context(), bookkeeper.SampleVoucher(n, day)); err != nil {
			t.Fatal(err)
		}
	}
	if err := program.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	var found backupv1.Comparison
	compared, err := snapshots.CompareSnapshots(t.Context(), &backupv1.CompareSnapshotsRequest{Name: made.GetName(), RequestId: client.RequestID()})
	wait(compared.GetOperation(), err, &found)
	if found.GetBefore() != made.GetName() || found.GetAfter() == "" || found.GetEqualTables() == 0 {
		t.Fatalf("compared: %v", &found)
	}
	differ := map[string]*backupv1.TableDifference{}
	for _, d := range found.GetTables() {
		differ[d.GetTable()] = d
	}
	if d := differ["cash_vouchers"]; d.GetAdded() != written || d.GetRemoved() != 0 || len(d.GetSamples()) != written {
		t.Fatalf("the vouchers that were written: %v of %v", d, &found)
	}

	tables := map[string]*backupv1.SnapshotTable{}
	for token := ""; ; {
		page, err := snapshots.ListSnapshotTables(t.Context(), &backupv1.ListSnapshotTablesRequest{Name: found.GetAfter(), PageSize: 10, PageToken: token})
		must(t, err)
		for _, one := range page.GetTables() {
			tables[one.GetTable()] = one
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	vouchers := tables["cash_vouchers"]
	if vouchers.GetRows() != written || vouchers.GetKeyColumns() == 0 {
		t.Fatalf("tables: %v", tables)
	}
	seen := map[string]bool{}
	path, token := "/v1/"+found.GetAfter()+"/rows?schema="+vouchers.GetSchema()+"&table=cash_vouchers&pageSize=2", ""
	for range written { // Two a page, through the gateway's REST.
		var page struct {
			Rows []struct {
				Values []struct {
					Text *string `json:"text"`
				} `json:"values"`
			} `json:"rows"`
			NextPageToken string `json:"nextPageToken"`
		}
		must(t, p.Get(t.Context(), path+"&pageToken="+token, &page))
		for _, row := range page.Rows {
			if len(row.Values) != len(vouchers.GetColumns()) {
				t.Fatalf("a row of %d values", len(row.Values))
			}
			key := ""
			for _, v := range row.Values[:vouchers.GetKeyColumns()] {
				key += strconv.Quote(*v.Text)
			}
			seen[key] = true
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if len(seen) != written {
		t.Errorf("rows seen: %v", seen)
	}
}
