package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/kits/samplegen"
	"kontor.internal/libs/id"
	"kontor.internal/libs/servers/servertest"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// olderCopy is a copy by a release that is not the newest.
func olderCopy(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(booksCopy(t, 3))
	must(t, err)
	return content
}

// booksCopy is a file with a copy by release 1.minor.0 of the books.
func booksCopy(t *testing.T, minor int) string {
	t.Helper()
	server, err := pgx.Connect(t.Context(), servertest.Postgres(t))
	must(t, err)
	defer server.Close(context.Background())
	name := fmt.Sprintf("books_1_%d", minor) // One test each makes it.
	_, err = server.Exec(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	at, err := url.Parse(servertest.Postgres(t))
	must(t, err)
	at.Path = "/" + name
	conn, err := pgx.Connect(t.Context(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	set, err := kits.Load()
	if err != nil {
		t.Fatal(err)
	}
	k := set.Get("books", kit.Version{Major: 1, Minor: minor})
	if _, err := k.Apply(t.Context(), conn, kit.Install{}); err != nil {
		t.Fatal(err)
	}
	if _, err := samplegen.Fill(t.Context(), conn, k, samplegen.Options{}); err != nil {
		t.Fatal(err)
	}
	var bin string
	if err := conn.QueryRow(t.Context(), "SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&bin); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "books.dump")
	if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_dump"), "-Fc", "-f", file, at.String()).CombinedOutput(); err != nil {
		t.Fatalf("pg_dump: %v: %s", err, out)
	}
	return file
}

// announce announces a file over REST.
func announce(t *testing.T, p *harness.Person, subscriber string, content []byte) *tenancyv1.Upload {
	t.Helper()
	sum := sha256.Sum256(content)
	var answer tenancyv1.CreateUploadResponse
	err := p.Post(t.Context(), "/v1/"+subscriber+"/uploads", &tenancyv1.CreateUploadRequest{
		Filename: "books.dump", SizeBytes: int64(len(content)), Sha256: sum[:], RequestId: id.NewString(),
	}, &answer)
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetUpload()
}

// appendBytes sends bytes to an upload's own address.
func appendBytes(t *testing.T, p *harness.Person, upload, offset string, content []byte) (code int, err error) {
	t.Helper()
	answer, err := p.Raw(t.Context(), http.MethodPatch, "/v1/"+upload,
		http.Header{"Upload-Offset": {offset}, "Content-Type": {"application/offset+octet-stream"}}, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return answer.StatusCode, nil
	}
	return answer.StatusCode, harness.ReadError(answer)
}

func TestCopiesThatAreNoneAreRefusedAndSayWhy(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy")
	p := s.NewPerson(t, "Kopiju nesēja")
	mine := subscriberOf(t, p).GetName()
	older := olderCopy(t)
	for name, c := range map[string]struct {
		content []byte
		reason  string
		says    []string
	}{
		"a text called dump":         {[]byte("DROP TABLE subscriber;\n"), "COPY_KIND_UNKNOWN", []string{"text file"}},
		"a truncated copy":           {older[:len(older)/2], "COPY_DAMAGED", nil},
		"a copy by an older release": {older, "COPY_RELEASE_OLDER", []string{"1.3.0", "1.4.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := announce(t, p, mine, c.content)
			half := len(c.content) / 2
			for _, from := range []int{0, half} {
				until := half
				if from > 0 {
					until = len(c.content)
				}
				if code, err := appendBytes(t, p, u.GetName(), strconv.Itoa(from), c.content[from:until]); err != nil {
					t.Fatal(code, err)
				}
			}
			err := p.Post(t.Context(), "/v1/"+u.GetName()+":complete", &tenancyv1.CompleteUploadRequest{}, nil)
			harness.WantReason(t, err, c.reason)
			for _, word := range c.says {
				if !strings.Contains(fmt.Sprint(err), word) {
					t.Errorf("%v does not say %q", err, word)
				}
			}
		})
	}
}

func TestMalformedUploadsAreRefused(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy")
	p, stranger := s.NewPerson(t, "Nesēja"), s.NewPerson(t, "Svešiniece")
	u := announce(t, p, subscriberOf(t, p).GetName(), []byte("abc")).GetName()
	for name, c := range map[string]struct {
		who             *harness.Person
		offset, content string
		reason          string
	}{
		"an offset that is no number":  {p, "x", "abc", "INVALID_ARGUMENT"},
		"a negative offset":            {p, "-1", "abc", "INVALID_ARGUMENT"},
		"an offset ahead of the bytes": {p, "2", "c", "UPLOAD_OFFSET_MISMATCH"},
		"somebody else's upload":       {stranger, "0", "abc", "PERMISSION_DENIED"},
	} {
		_, err := appendBytes(t, c.who, u, c.offset, []byte(c.content))
		if harness.Reason(err) != c.reason {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
	}
	harness.WantReason(t, p.Post(t.Context(), "/v1/"+u+":complete", &tenancyv1.CompleteUploadRequest{}, nil), "UPLOAD_INCOMPLETE")
	_, err := appendBytes(t, p, u, "0", []byte("abcd"))
	harness.WantReason(t, err, "UPLOAD_TOO_LARGE")
}
