package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"kontor.internal/client"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/test/harness"
)

// Documents that were exchanged are in the company's next snapshot, and are read out of it byte for byte.
func TestDocumentsAreInTheSnapshotsOfBothCompanies(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "backup")
	c := connected(t, s)
	contents := map[string][]byte{}
	for n := range 3 {
		id := fmt.Sprintf("S-%d", n)
		contents[id] = written(t, id)
		_, err := c.sender.SendDocument(t.Context(), c.message(id, contents[id]))
		must(t, err)
	}
	session, err := c.kontor.SignIn(t.Context(), credentials(c.owner))
	must(t, err)
	t.Cleanup(session.Close)
	for _, company := range []string{c.from, c.to} {
		var made backupv1.Snapshot
		eventually(t, time.Minute, "documents that were taken in are copied", func() bool {
			created, err := backupv1.NewSnapshotServiceClient(session.Conn()).CreateSnapshot(t.Context(),
				&backupv1.CreateSnapshotRequest{Parent: company, RequestId: client.RequestID()})
			must(t, err)
			done, err := session.Wait(t.Context(), created.GetOperation().GetName(), nil)
			must(t, err)
			must(t, done.GetResult().UnmarshalTo(&made))
			return made.GetDocuments() == int64(len(contents))
		})
		var listed backupv1.ListSnapshotDocumentsResponse
		must(t, c.owner.Get(t.Context(), "/v1/"+made.GetName()+"/documents", &listed))
		if len(listed.GetDocuments()) != len(contents) {
			t.Fatalf("%s has %v", company, &listed)
		}
		for _, d := range listed.GetDocuments() {
			whole, err := c.owner.Download(t.Context(), d.GetName(), 100)
			must(t, err)
			if want := contents[d.GetDocument().GetMessageId()]; !bytes.Equal(whole, want) || d.GetDocument().GetType() != exchangev1.DocumentType_DOCUMENT_TYPE_INVOICE {
				t.Errorf("%v is not what was sent", d)
			}
		}
		denied(t, s, made.GetName()+"/documents")
	}
}

// denied says that somebody else can't read a path.
func denied(t *testing.T, s *harness.Suite, path string) {
	t.Helper()
	stranger := s.NewPerson(t, "Svešs")
	answer, err := stranger.Raw(t.Context(), http.MethodGet, "/v1/"+path, nil, nil)
	must(t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger's answer from %s is %s", path, answer.Status)
	}
}
