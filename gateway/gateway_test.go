package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kontor.internal/gateway"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, servertest.IgnoreShared(),
		// NATS's own, which end a moment after the server says that it is shut down.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

const (
	contract = "/v1/subscribers/s/contracts/k:download"
	upload   = "/v1/subscribers/s/uploads/u"
)

func TestOnlyGoodTokensComeIn(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const path = "/v1/accounts/me"
	for name, test := range map[string]struct{ authorization, reason string }{
		"no token":             {"", "TOKEN_MISSING"},
		"another scheme":       {"Basic YTpi", "TOKEN_MISSING"},
		"rubbish":              {"Bearer rubbish", "TOKEN_INVALID"},
		"too long":             {"Bearer " + strings.Repeat("a", 5000), "TOKEN_INVALID"},
		"signed by a stranger": {"Bearer " + s.tokenBy(newKey(t), "s", time.Minute), "TOKEN_INVALID"},
		"over":                 {"Bearer " + s.token("s", -time.Minute), "TOKEN_EXPIRED"},
	} {
		got := s.want(http.StatusUnauthorized, test.reason, http.MethodGet, path, "", "Authorization", test.authorization)
		if got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", test.authorization)
		if _, err := identityv1.NewAccountServiceClient(s.grpc).GetAccount(ctx, &identityv1.GetAccountRequest{Name: "accounts/me"}); info(t, err) != test.reason {
			t.Errorf("%s over gRPC: %v", name, err)
		}
	}
	for _, scheme := range []string{"Bearer ", "bearer "} {
		if got := s.do(http.MethodGet, path, "", "Authorization", scheme+s.token("s", time.Minute)); got.code != http.StatusOK {
			t.Errorf("a good token: HTTP %d %s", got.code, got.body)
		}
	}
	// A public method serves those whose token has ended as it serves strangers.
	if got := s.do(http.MethodGet, "/.well-known/jwks.json", "", "Authorization", "Bearer rubbish"); got.code != http.StatusOK {
		t.Errorf("keys for somebody whose token has ended: HTTP %d", got.code)
	}
}

func TestARevokedSessionIsOutAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	bearer := "Bearer " + s.token("mine", time.Minute)
	if got := s.do(http.MethodGet, "/v1/accounts/me", "", "Authorization", bearer); got.code != http.StatusOK {
		t.Fatalf("before: HTTP %d %s", got.code, got.body)
	}
	s.revoke("mine")
	eventually(t, "the session is out", func() bool {
		return s.do(http.MethodGet, "/v1/accounts/me", "", "Authorization", bearer).code == http.StatusUnauthorized
	})
	s.want(http.StatusUnauthorized, "SESSION_REVOKED", http.MethodGet, "/v1/accounts/me", "", "Authorization", bearer)
	if got := s.do(http.MethodGet, "/v1/accounts/me", "", s.signedIn()...); got.code != http.StatusOK {
		t.Errorf("another session: HTTP %d", got.code)
	}
}

func TestWhatIsNotForOutsidersDoesNotExist(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.want(http.StatusNotFound, "METHOD_UNKNOWN", http.MethodGet, "/v1/nothing", "")
	s.want(http.StatusNotFound, "METHOD_UNKNOWN", http.MethodGet, "/", "")
	s.want(http.StatusMethodNotAllowed, "METHOD_UNKNOWN", http.MethodDelete, "/v1/accounts/me", "")
	s.want(http.StatusNotFound, "METHOD_UNKNOWN", http.MethodPost, "/kontor.identity.v1.DirectoryService/CheckSession", "{}")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.token("s", time.Minute))
	for _, method := range []string{
		identityv1.DirectoryService_CheckSession_FullMethodName, "/kontor.identity.v1.AccountService/No", "/no.Service/No", "/grpc.health.v1.Health/Check",
	} {
		err := s.grpc.Invoke(ctx, method, &identityv1.CheckSessionRequest{Session: "x"}, &identityv1.CheckSessionResponse{})
		if status.Code(err) != codes.Unimplemented || info(t, err) != "METHOD_UNKNOWN" {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestHeadersOfServicesCantBeForged(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	forged := []string{
		"X-Kontor-Address", "203.0.113.9", "X-Kontor-On-Behalf-Of", "accounts/other", "X-Forwarded-For", "203.0.113.9",
		"Grpc-Metadata-X-Kontor-Address", "203.0.113.9", "Accept-Language", "lv",
	}
	token := s.token("s", time.Minute)
	check := func(how string) {
		t.Helper()
		seen := s.identity.metadata()
		for key, want := range map[string]string{
			"x-kontor-address": "127.0.0.1", "x-kontor-on-behalf-of": me, "accept-language": "lv", "authorization": "Bearer " + token,
		} {
			if got := seen.Get(key); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", how, key, got, want)
			}
		}
		for _, key := range []string{"x-forwarded-for", "x-forwarded-host", "grpc-metadata-x-kontor-address"} {
			if got := seen.Get(key); len(got) > 0 {
				t.Errorf("%s: %s went through as %q", how, key, got)
			}
		}
	}
	if got := s.do(http.MethodGet, "/v1/accounts/me", "", append(forged, "Authorization", "Bearer "+token)...); got.code != http.StatusOK {
		t.Fatalf("HTTP %d %s", got.code, got.body)
	}
	check("REST")
	ctx := metadata.AppendToOutgoingContext(t.Context(), append(forged, "authorization", "Bearer "+token)...)
	if _, err := identityv1.NewAccountServiceClient(s.grpc).GetAccount(ctx, &identityv1.GetAccountRequest{Name: "accounts/me"}); err != nil {
		t.Fatal(err)
	}
	check("gRPC")
}

func TestALanguageThatNoHeaderMayCarryIsNone(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, language := range []string{"lv\xff", strings.Repeat("lv,", 200)} {
		got := s.do(http.MethodGet, "/v1/accounts/me", "", append(s.signedIn(), "Accept-Language", language)...)
		if got.code != http.StatusOK {
			t.Errorf("HTTP %d %s", got.code, got.body)
		}
	}
}

func TestBadBodiesAreRefusedWithTheirReason(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const path = "/v1/sessions:signIn"
	for name, test := range map[string]struct{ body, field string }{
		"half a JSON":          {`{"identifier": "a`, "body"},
		"no JSON":              {`%PDF-1.7`, "body"},
		"another type":         {`{"identifier": 7}`, "body"},
		"an unknown field":     {`{"name": "a"}`, "name"},
		"nesting without end":  {strings.Repeat(`{"identifier":`, 50_000), "body"},
		"text that is no UTF8": {"{\"identifier\": \"\xff\"}", "body"},
	} {
		got := s.want(http.StatusBadRequest, "INVALID_ARGUMENT", http.MethodPost, path, test.body)
		_, r := got.refusal(t)
		for _, d := range r.Details {
			if d.Reason != "" && d.Metadata["field"] != test.field {
				t.Errorf("%s: the field is %q", name, d.Metadata["field"])
			}
		}
		if bytes.Contains(got.body, []byte("proto:")) {
			t.Errorf("%s: a library's words got out: %s", name, got.body)
		}
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *gateway.Config) { cfg.MaxMessageBytes = 10_000 })
	large := `{"identifier": "` + strings.Repeat("a", 20_000) + `"}`
	got := s.want(http.StatusRequestEntityTooLarge, "MESSAGE_TOO_LARGE", http.MethodPost, "/v1/sessions:signIn", large)
	if !bytes.Contains(got.body, []byte("larger than 10000 bytes")) {
		t.Errorf("the limit is not said: %s", got.body)
	}
	// An upload's header opens no other path, and a body need not say its length.
	for path, method := range map[string]string{"/v1/sessions:signIn": http.MethodPost, "/v1/accounts/me": http.MethodPatch} {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://"+s.address+path, io.MultiReader(strings.NewReader(large)))
		must(t, err)
		request.Header.Set("Upload-Offset", "0")
		request.Header.Set("Authorization", "Bearer "+s.token("s", time.Minute))
		response, err := s.http.Do(request)
		must(t, err)
		raw, err := io.ReadAll(response.Body)
		must(t, errors.Join(err, response.Body.Close()))
		a := answer{code: response.StatusCode, body: raw}
		if reason, _ := a.refusal(t); reason != "MESSAGE_TOO_LARGE" {
			t.Errorf("%s %s: HTTP %d %s", method, path, a.code, raw)
		}
	}
	_, err := identityv1.NewSessionServiceClient(s.grpc).SignIn(t.Context(), &identityv1.SignInRequest{Identifier: strings.Repeat("a", 20_000)})
	if info(t, err) != "MESSAGE_TOO_LARGE" {
		t.Errorf("over gRPC: %v", err)
	}
	if response, err := s.http.Get("https://" + s.address + "/" + strings.Repeat("a", 100_000)); err == nil {
		if err := response.Body.Close(); err != nil || response.StatusCode < 400 {
			t.Errorf("a path without end: HTTP %d %v", response.StatusCode, err)
		}
	}
}

func TestASlowBodyIsCutOff(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *gateway.Config) { cfg.Deadline = 300 * time.Millisecond })
	conn := s.raw()
	_, err := fmt.Fprintf(conn, "POST /v1/sessions:signIn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	must(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	raw, err := io.ReadAll(response.Body)
	must(t, errors.Join(err, response.Body.Close()))
	if reason, _ := (answer{code: response.StatusCode, body: raw}).refusal(t); reason != "DEADLINE_EXCEEDED" {
		t.Errorf("HTTP %d %s", response.StatusCode, raw)
	}
}

func TestTooManyRequestsWait(t *testing.T) {
	t.Parallel()
	redis := servertest.Redis(t)
	s := start(t, func(cfg *gateway.Config) {
		cfg.RedisURL, cfg.SensitivePerMinute, cfg.AccountPerSecond, cfg.PublicPerSecond = "redis://"+redis, 3, 1000, 5
	})
	for range 3 {
		s.want(http.StatusUnauthorized, "SIGN_IN_REFUSED", http.MethodPost, "/v1/sessions:signIn", `{"identifier": "a", "password": "b"}`)
	}
	got := s.want(http.StatusTooManyRequests, "RATE_LIMITED", http.MethodPost, "/v1/sessions:signIn", `{"identifier": "a", "password": "b"}`)
	if after := got.header.Get("Retry-After"); after == "" || after == "0" {
		t.Errorf("Retry-After is %q", after)
	}
	_, err := identityv1.NewSessionServiceClient(s.grpc).SignIn(t.Context(), &identityv1.SignInRequest{Identifier: "a", Password: "b"})
	if info(t, err) != "RATE_LIMITED" {
		t.Errorf("gRPC is another way in: %v", err)
	}
	if got := s.do(http.MethodGet, "/v1/accounts/me", "", s.signedIn()...); got.code != http.StatusOK {
		t.Errorf("who is signed in waits with them: HTTP %d", got.code)
	}
	// Guessing tokens counts, too.
	limited := false
	for range 20 {
		limited = limited || s.do(http.MethodGet, "/v1/accounts/me", "", "Authorization", "Bearer guess").code == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("tokens may be guessed without end")
	}
}

func TestRefusalsSpeakTheCallersLanguageAndLeakNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	got := s.want(http.StatusUnauthorized, "TOKEN_MISSING", http.MethodGet, "/v1/accounts/me", "", "Accept-Language", "lv-LV,lv;q=0.9")
	if !bytes.Contains(got.body, []byte(`"locale":"lv"`)) && !bytes.Contains(got.body, []byte(`"locale": "lv"`)) {
		t.Errorf("not in Latvian: %s", got.body)
	}
	s.want(http.StatusNotFound, "NOT_FOUND", http.MethodGet, "/v1/accounts/none", "", s.signedIn()...)
	broken := s.want(http.StatusInternalServerError, "INTERNAL", http.MethodGet, "/v1/accounts/panic", "", s.signedIn()...)
	if bytes.Contains(broken.body, []byte("driver")) {
		t.Errorf("it says too much: %s", broken.body)
	}
	// A service that this installation does not have, and an operation of none.
	s.want(http.StatusServiceUnavailable, "UNAVAILABLE", http.MethodGet, "/v1/letters", "", s.signedIn()...)
	s.want(http.StatusNotFound, "NOT_FOUND", http.MethodGet, "/v1/subscribers/s/operations/backup-1", "", s.signedIn()...)
	s.want(http.StatusNotFound, "NOT_FOUND", http.MethodGet, "/v1/subscribers/s/operations/nobody-1", "", s.signedIn()...)
}

func TestAServiceThatIsAwayIsSaidWithoutItsAddress(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *gateway.Config) {
		cfg.LicensingAddrs, cfg.Deadline = []string{"127.0.0.1:1"}, 300*time.Millisecond
	})
	for _, got := range []answer{
		s.do(http.MethodGet, "/v1/subscribers/s/contracts/k", "", s.signedIn()...),
	} {
		reason, _ := got.refusal(t)
		if reason != "DEADLINE_EXCEEDED" && reason != "UNAVAILABLE" || bytes.Contains(got.body, []byte("127.0.0.1")) {
			t.Errorf("HTTP %d %s", got.code, got.body)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), s.signedIn()...)
	_, err := licensingv1.NewContractServiceClient(s.grpc).GetContract(ctx, &licensingv1.GetContractRequest{Name: "subscribers/s/contracts/k"})
	if reason := info(t, err); reason != "DEADLINE_EXCEEDED" && reason != "UNAVAILABLE" || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("over gRPC: %v", err)
	}
}

func TestCallsOfAllKindsPassThrough(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), s.signedIn()...)

	one, err := identityv1.NewAccountServiceClient(s.grpc).GetAccount(ctx, &identityv1.GetAccountRequest{Name: "accounts/me"}, grpc.UseCompressor(gzip.Name))
	if err != nil || one.GetAccount().GetName() != "accounts/me" {
		t.Errorf("a unary call: %v %v", one, err)
	}

	down, err := licensingv1.NewContractServiceClient(s.grpc).DownloadContract(ctx, &licensingv1.DownloadContractRequest{Name: "subscribers/s/contracts/k"})
	must(t, err)
	var file []byte
	for {
		piece, err := down.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		file = append(file, piece.GetData()...)
	}
	if !bytes.Equal(file, s.licensing.file) {
		t.Errorf("a stream from the service brought %d bytes", len(file))
	}

	up, err := tenancyv1.NewUploadServiceClient(s.grpc).WriteUpload(ctx)
	must(t, err)
	must(t, up.Send(&tenancyv1.WriteUploadRequest{Name: "subscribers/s/uploads/u"}))
	must(t, up.Send(&tenancyv1.WriteUploadRequest{Data: []byte("abc")}))
	kept, err := up.CloseAndRecv()
	if err != nil || kept.GetUpload().GetReceivedBytes() != 3 {
		t.Errorf("a stream to the service: %v %v", kept, err)
	}

	const operation = "subscribers/s/operations/licensing-1"
	watch, err := commonv1.NewOperationServiceClient(s.grpc).WatchOperation(ctx, &commonv1.WatchOperationRequest{Name: operation})
	must(t, err)
	for range 2 {
		if got, err := watch.Recv(); err != nil || got.GetOperation().GetName() != operation {
			t.Fatalf("an operation is watched: %v %v", got, err)
		}
	}
	if _, err := watch.Recv(); info(t, err) != "SESSION_REVOKED" {
		t.Errorf("a stream that ends with an error: %v", err)
	}
}

func TestStreamsOverHTTPAreLinesOfJSON(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	got := s.do(http.MethodGet, "/v1/subscribers/s/operations/licensing-1:watch", "", s.signedIn()...)
	lines := strings.Split(strings.TrimSpace(string(got.body)), "\n")
	if got.code != http.StatusOK || len(lines) != 3 {
		t.Fatalf("HTTP %d %s", got.code, got.body)
	}
	var last struct {
		Error json.RawMessage `json:"error"`
	}
	must(t, json.Unmarshal([]byte(lines[2]), &last))
	if reason, _ := (answer{body: last.Error}).refusal(t); reason != "SESSION_REVOKED" {
		t.Errorf("the last line is %s", lines[2])
	}
}

func TestAnUploadGoesOnWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	file := random(t, int(s.uploads.announced))
	authorization := s.signedIn()
	conn := s.raw()
	_, err := fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: localhost\r\n%s: %s\r\nUpload-Offset: 0\r\nContent-Length: %d\r\n\r\n",
		upload, authorization[0], authorization[1], len(file))
	must(t, err)
	const sent = 1_000_001 // Not a whole number of pieces: the rest of one is kept, too.
	_, err = conn.Write(file[:sent])
	must(t, err)
	<-s.uploads.piece // Some of it has arrived; now the line goes dead.
	must(t, conn.NetConn().Close())
	eventually(t, "what arrived is kept", func() bool { return len(s.uploads.bytes()) == sent })

	head := s.do(http.MethodHead, upload, "", authorization...)
	if head.code != http.StatusOK || head.header.Get("Upload-Offset") != "1000001" || head.header.Get("Upload-Length") != "3145728" {
		t.Fatalf("HTTP %d %v", head.code, head.header)
	}
	rest := s.do(http.MethodPatch, upload, string(file[sent:]), append(authorization, "Upload-Offset", "1000001")...)
	if rest.code != http.StatusNoContent || rest.header.Get("Upload-Offset") != "3145728" {
		t.Fatalf("HTTP %d %s", rest.code, rest.body)
	}
	if !bytes.Equal(s.uploads.bytes(), file) {
		t.Error("another file arrived")
	}
	s.want(http.StatusConflict, "CONFLICT", http.MethodPatch, upload, "more", append(authorization, "Upload-Offset", "7")...)
	s.want(http.StatusBadRequest, "INVALID_ARGUMENT", http.MethodPatch, upload, "more", append(authorization, "Upload-Offset", "-1")...)
	s.want(http.StatusBadRequest, "INVALID_ARGUMENT", http.MethodPatch, upload, "more", authorization...)
	s.want(http.StatusUnauthorized, "TOKEN_MISSING", http.MethodPatch, upload, "more", "Upload-Offset", "0")
}

func TestADownloadComesWholeOrInParts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	file := s.licensing.file
	sum := sha256.Sum256(file)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	whole := s.do(http.MethodGet, contract, "", s.signedIn()...)
	if whole.code != http.StatusOK || !bytes.Equal(whole.body, file) || whole.header.Get("ETag") != etag ||
		whole.header.Get("Content-Type") != "application/pdf" || whole.header.Get("Content-Disposition") != "attachment; filename*=utf-8''l%C4%ABgums%201.pdf" {
		t.Errorf("the whole: HTTP %d, %d bytes, %v", whole.code, len(whole.body), whole.header)
	}
	for ranges, test := range map[string]struct {
		ifRange, content string
		code             int
		want             []byte
	}{
		"bytes=1000-":       {"", "bytes 1000-1048575/1048576", http.StatusPartialContent, file[1000:]},
		"bytes=10-19":       {etag, "bytes 10-19/1048576", http.StatusPartialContent, file[10:20]},
		"bytes=0-0":         {"", "bytes 0-0/1048576", http.StatusPartialContent, file[:1]},
		"bytes=7-999999999": {"", "bytes 7-1048575/1048576", http.StatusPartialContent, file[7:]},
		"bytes=11-19":       {`"another"`, "", http.StatusOK, file},
	} {
		headers := append(s.signedIn(), "Range", ranges)
		if test.ifRange != "" {
			headers = append(headers, "If-Range", test.ifRange)
		}
		got := s.do(http.MethodGet, contract, "", headers...)
		if got.code != test.code || got.header.Get("Content-Range") != test.content || !bytes.Equal(got.body, test.want) {
			t.Errorf("%s: HTTP %d, %d bytes, %v", ranges, got.code, len(got.body), got.header)
		}
	}
	for _, behind := range []string{"bytes=1048576-", "bytes=2000000-2000001"} {
		got := s.want(http.StatusRequestedRangeNotSatisfiable, "INVALID_ARGUMENT", http.MethodGet, contract, "", append(s.signedIn(), "Range", behind)...)
		if got.header.Get("Content-Range") != "bytes */1048576" {
			t.Errorf("%s: %v", behind, got.header)
		}
	}
	s.want(http.StatusBadRequest, "INVALID_ARGUMENT", http.MethodGet, contract, "", append(s.signedIn(), "Range", "bytes=5-4")...)
	if head := s.do(http.MethodHead, contract, "", s.signedIn()...); head.code != http.StatusOK || head.header.Get("Content-Length") != "1048576" {
		t.Errorf("HEAD: HTTP %d %v", head.code, head.header)
	}
	s.want(http.StatusUnauthorized, "TOKEN_MISSING", http.MethodGet, contract, "")
}

func TestHalfAFileIsNotTakenForAWholeOne(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.licensing.breakAfter = 300_000
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+contract, nil)
	must(t, err)
	request.Header.Set("Authorization", s.signedIn()[1])
	response, err := s.http.Do(request)
	must(t, err)
	if raw, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("%d bytes ended as if they were all", len(raw))
	}
	must(t, response.Body.Close())
}

func TestABrowsersRefreshTokenStaysInItsCookie(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var err error
	s.http.Jar, err = cookiejar.New(nil)
	must(t, err)
	mode := []string{"Kontor-Session", "cookie", "Origin", "https://" + s.address}
	const right = `{"identifier": "a", "password": "right"}`

	got := s.do(http.MethodPost, "/v1/sessions:signIn", right, mode...)
	if got.code != http.StatusOK || bytes.Contains(got.body, []byte("refresh-1")) || !bytes.Contains(got.body, []byte("access")) {
		t.Fatalf("HTTP %d %s", got.code, got.body)
	}
	for _, cookie := range got.header.Values("Set-Cookie") {
		for _, attribute := range []string{"Secure", "HttpOnly", "SameSite=Strict"} {
			if !strings.Contains(cookie, attribute) {
				t.Errorf("%q is not %s", cookie, attribute)
			}
		}
	}
	for path, want := range map[string]int{"/v1/sessions:refresh": 1, "/v1/sessions:signOut": 1, "/v1/accounts/me": 0} {
		if n := len(s.http.Jar.Cookies(&url.URL{Scheme: "https", Host: s.address, Path: path})); n != want {
			t.Errorf("%s gets %d cookies", path, n)
		}
	}
	for range 2 { // Each refresh puts the next token into the cookie.
		if got := s.do(http.MethodPost, "/v1/sessions:refresh", "{}", mode...); got.code != http.StatusOK || bytes.Contains(got.body, []byte("refresh-")) {
			t.Fatalf("refresh: HTTP %d %s", got.code, got.body)
		}
	}
	for _, origin := range []string{"https://evil.example", "http://" + s.address, "null"} {
		s.want(http.StatusForbidden, "CROSS_SITE_REQUEST", http.MethodPost, "/v1/sessions:refresh", "{}", "Kontor-Session", "cookie", "Origin", origin)
	}
	s.want(http.StatusForbidden, "CROSS_SITE_REQUEST", http.MethodPost, "/v1/sessions:refresh", "{}", "Kontor-Session", "cookie", "Sec-Fetch-Site", "same-site")
	if got := s.do(http.MethodPost, "/v1/sessions:signOut", "{}", mode...); got.code != http.StatusOK {
		t.Errorf("sign-out: HTTP %d %s", got.code, got.body)
	}
	s.want(http.StatusUnauthorized, "TOKEN_MISSING", http.MethodPost, "/v1/sessions:refresh", "{}", mode...)
	if got := s.do(http.MethodPost, "/v1/sessions:signOut", "{}", append(mode, s.signedIn()...)...); got.code != http.StatusOK {
		t.Errorf("sign-out by access token alone: HTTP %d %s", got.code, got.body)
	}
	s.identity.mu.Lock()
	defer s.identity.mu.Unlock()
	if fmt.Sprint(s.identity.refreshed) != "[refresh-1 refresh-2]" || fmt.Sprint(s.identity.ended) != "[refresh-3 ]" {
		t.Errorf("identity got %q and %q", s.identity.refreshed, s.identity.ended)
	}
}

func TestAProgramGetsItsRefreshTokenInTheBody(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	got := s.do(http.MethodPost, "/v1/sessions:signIn", `{"identifier": "a", "password": "right"}`)
	if got.code != http.StatusOK || !bytes.Contains(got.body, []byte("refresh-1")) || got.header.Get("Set-Cookie") != "" {
		t.Errorf("HTTP %d %s %v", got.code, got.body, got.header)
	}
}

func TestTheContractAndTheKeysArePublic(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var description struct {
		Paths map[string]any `json:"paths"`
	}
	openapi := s.do(http.MethodGet, "/openapi.json", "")
	must(t, json.Unmarshal(openapi.body, &description))
	if openapi.code != http.StatusOK || len(description.Paths) < 40 {
		t.Errorf("HTTP %d, %d paths", openapi.code, len(description.Paths))
	}
	var keys struct {
		Keys []map[string]string `json:"keys"`
	}
	jwks := s.do(http.MethodGet, "/.well-known/jwks.json", "")
	must(t, json.Unmarshal(jwks.body, &keys))
	if jwks.code != http.StatusOK || len(keys.Keys) != 1 || keys.Keys[0]["kid"] != "test" || keys.Keys[0]["d"] != "" {
		t.Errorf("HTTP %d %s", jwks.code, jwks.body)
	}
}

// info gives the reason of a gRPC refusal and checks that there is exactly one.
func info(t *testing.T, err error) string {
	t.Helper()
	var reasons []string
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok && i.GetDomain() == failure.Domain {
			reasons = append(reasons, i.GetReason())
		}
	}
	if len(reasons) != 1 {
		t.Errorf("%v has the reasons %q", err, reasons)
		return ""
	}
	return reasons[0]
}
