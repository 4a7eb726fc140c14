package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kontor.internal/client"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func TestTheBooksAreExportedInEachFormatAndDownloadedInParts(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "backup")
	p, kontor, company := trading(t, s, "Atvērtie Dati")
	session, err := kontor.SignIn(t.Context(), credentials(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	wait := func(o *commonv1.Operation, err error, into proto.Message) {
		t.Helper()
		var done *commonv1.Operation
		if err == nil {
			done, err = session.Wait(t.Context(), o.GetName(), nil)
		}
		if err == nil {
			err = done.GetResult().UnmarshalTo(into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var snapshot backupv1.Snapshot
	created, err := backupv1.NewSnapshotServiceClient(session.Conn()).CreateSnapshot(t.Context(),
		&backupv1.CreateSnapshotRequest{Parent: company, RequestId: client.RequestID()})
	wait(created.GetOperation(), err, &snapshot)

	for format, check := range map[backupv1.ExportFormat]func(t *testing.T, whole []byte){
		backupv1.ExportFormat_EXPORT_FORMAT_DUMP:  isArchive,
		backupv1.ExportFormat_EXPORT_FORMAT_CSV:   isZipOf(".csv"),
		backupv1.ExportFormat_EXPORT_FORMAT_EXCEL: isZipOf(".xlsx"),
	} {
		var answer backupv1.CreateExportResponse
		var made backupv1.Export
		err := p.Post(t.Context(), "/v1/"+company+"/exports", &backupv1.CreateExportRequest{
			Parent: company, Snapshot: snapshot.GetName(), Format: format, RequestId: client.RequestID(),
		}, &answer)
		wait(answer.GetOperation(), err, &made)
		whole, err := p.Download(t.Context(), made.GetName(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(whole); !bytes.Equal(sum[:], made.GetSha256()) {
			t.Errorf("%s is not what was recorded", format)
		}
		check(t, whole)

		part, err := p.Raw(t.Context(), http.MethodGet, "/v1/"+made.GetName()+":download", http.Header{"Range": {"bytes=10-19"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(part.Body)
		part.Body.Close()
		if err != nil || part.StatusCode != http.StatusPartialContent || !bytes.Equal(got, whole[10:20]) {
			t.Errorf("a range of %s: %s, %x, %v", format, part.Status, got, err)
		}
		if want := fmt.Sprintf("bytes 10-19/%d", len(whole)); part.Header.Get("Content-Range") != want {
			t.Errorf("the range is %s, want %s", part.Header.Get("Content-Range"), want)
		}
		if named := part.Header.Get("Content-Disposition"); !strings.Contains(named, made.GetFilename()) {
			t.Errorf("the file of %s is called %s, want %s", format, named, made.GetFilename())
		}
	}
	var list backupv1.ListExportsResponse
	if err := p.Get(t.Context(), "/v1/"+company+"/exports", &list); err != nil || len(list.GetExports()) != 3 {
		t.Errorf("the list has %d exports: %v", len(list.GetExports()), err)
	}
}

func isArchive(t *testing.T, whole []byte) {
	if !bytes.HasPrefix(whole, []byte("PGDMP")) {
		t.Errorf("a dump begins with %q", whole[:5])
	}
}

// isZipOf checks that a zip has a file of each table and says so.
func isZipOf(ending string) func(t *testing.T, whole []byte) {
	return func(t *testing.T, whole []byte) {
		t.Helper()
		reader, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		said, err := reader.Open("manifest.json")
		if err != nil {
			t.Fatal(err)
		}
		var manifest struct{ Files []struct{ Path string } }
		if err := json.NewDecoder(said).Decode(&manifest); err != nil {
			t.Fatal(err)
		}
		if len(manifest.Files) == 0 || len(reader.File) != len(manifest.Files)+1 {
			t.Errorf("%d files, of which the manifest names %d", len(reader.File), len(manifest.Files))
		}
		for _, f := range manifest.Files {
			there := slices.ContainsFunc(reader.File, func(z *zip.File) bool { return z.Name == f.Path })
			if !there || !strings.HasSuffix(f.Path, ending) {
				t.Errorf("%s is no %s in the zip", f.Path, ending)
			}
		}
	}
}
