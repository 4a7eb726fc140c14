package catcher_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"strings"
	"testing"
	"time"

	"kontor.internal/deploy/local/internal/catcher"
)

// office is a catcher that runs until the test ends.
type office struct {
	dir   string
	store *catcher.Store
	smtp  string
	http  string
}

func open(t *testing.T, dir string) office {
	t.Helper()
	store, err := catcher.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- catcher.ServeSMTP(ctx, listener, store) }()
	mux := http.NewServeMux()
	if err := catcher.Register(mux, store); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return office{dir: dir, store: store, smtp: listener.Addr().String(), http: server.URL}
}

const letter = "From: Kontor <no-reply@kontor.test>\r\nTo: a@example.com\r\nSubject: =?utf-8?q?L=C4=ABgums?=\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nFirst line\r\nsecond line\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>First</p>\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=c.pdf\r\n\r\n%PDF\r\n--b--\r\n"

func (o office) get(t *testing.T, path string, query url.Values, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.http+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if out != nil && answer.StatusCode == http.StatusOK {
		if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	return answer.StatusCode
}

func TestAMailIsCaughtWholeAndOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir)
	if err := smtp.SendMail(o.smtp, nil, "no-reply@kontor.test", []string{"A@Example.com"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	for _, o := range []office{o, open(t, dir)} {
		var list []catcher.Message
		o.get(t, "/inbox", url.Values{"to": {"a@example.COM"}}, &list)
		if len(list) != 1 {
			t.Fatalf("%d messages", len(list))
		}
		m := list[0]
		if m.Kind != "mail" || m.Subject != "Līgums" || m.Text != "First line\nsecond line" || !strings.HasPrefix(m.HTML, "<p>First</p>") {
			t.Errorf("message %+v", m)
		}
		if len(m.Attachments) != 1 || m.Attachments[0].Filename != "c.pdf" || m.Attachments[0].Content != nil {
			t.Errorf("attachments %+v", m.Attachments)
		}
		var whole catcher.Message
		o.get(t, "/inbox/"+m.ID, nil, &whole)
		if len(whole.Attachments) != 1 || string(whole.Attachments[0].Content) != "%PDF" {
			t.Errorf("whole %+v", whole)
		}
	}
}

func TestWhoWaitsIsToldAtOnce(t *testing.T) {
	o := open(t, t.TempDir())
	came := make(chan []catcher.Message, 1)
	go func() {
		var list []catcher.Message
		o.get(t, "/inbox", url.Values{"to": {"b@example.com"}, "wait": {"30s"}}, &list)
		came <- list
	}()
	if err := smtp.SendMail(o.smtp, nil, "x@kontor.test", []string{"other@example.com", "b@example.com"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	select {
	case list := <-came:
		if len(list) != 1 {
			t.Fatalf("%d messages", len(list))
		}
		var after []catcher.Message
		o.get(t, "/inbox", url.Values{"after": {list[0].ID}}, &after)
		if len(after) != 0 {
			t.Errorf("what was seen comes again: %v", after)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
}

func TestMailboxesThatRefuse(t *testing.T) {
	o := open(t, t.TempDir())
	for address, code := range map[string]string{"a@reject.test": "550", "a@defer.test": "450"} {
		err := smtp.SendMail(o.smtp, nil, "x@kontor.test", []string{address}, []byte(letter))
		if err == nil || !strings.HasPrefix(err.Error(), code) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := smtp.SendMail(o.smtp, nil, "x@kontor.test", []string{"a@example.com"}, []byte("no header at all")); err == nil {
		t.Error("what is no mail was taken")
	}
}

func TestAnSMSIsCaught(t *testing.T) {
	o := open(t, t.TempDir())
	for body, want := range map[string]int{
		`{"from":"Kontor","to":"+37120000000","text":"1234"}`: http.StatusOK,
		`{"from":"Kontor"}`: http.StatusBadRequest,
		`not json`:          http.StatusBadRequest,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.http+"/sms", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d", body, answer.StatusCode)
		}
	}
	list, _ := o.store.List(catcher.Query{To: "+37120000000"})
	if len(list) != 1 || list[0].Text != "1234" || list[0].Kind != "sms" {
		t.Errorf("list %+v", list)
	}
}

func TestThePageShowsHostileMailAsText(t *testing.T) {
	o := open(t, t.TempDir())
	if err := o.store.Add(catcher.Message{Kind: "mail", To: []string{"a@example.com"}, Subject: "<script>x</script>", Text: "<img src=x>"}); err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	mux := http.NewServeMux()
	if err := catcher.Register(mux, o.store); err != nil {
		t.Fatal(err)
	}
	mux.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if page := recorder.Body.String(); strings.Contains(page, "<script>") || strings.Contains(page, "<img") {
		t.Errorf("markup came in: %s", page)
	}
}
