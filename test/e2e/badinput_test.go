package e2e

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/id"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/test/harness"
)

// tooMuch is more than the gateway takes in one message: 4 MiB.
const tooMuch = 5 << 20

// refusal sends bytes as they are and gives the reason of the answer.
func refusal(t *testing.T, c *harness.Client, method, path string, body io.Reader) (code int, err error) {
	t.Helper()
	answer, err := c.Raw(t.Context(), method, path, http.Header{"Content-Type": {"application/json"}}, body)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, harness.ReadError(answer)
}

func TestBadInputIsRefusedWithItsReasonOverREST(t *testing.T) {
	t.Parallel()
	s := suite(t)
	tests := map[string]struct {
		method, path, body string
		code               int
		reason             string
	}{
		"a path that nothing answers":     {http.MethodGet, "/v1/nothing", "", http.StatusNotFound, "METHOD_UNKNOWN"},
		"a method that a path has not":    {http.MethodDelete, "/v1/subscribers", "", http.StatusMethodNotAllowed, "METHOD_UNKNOWN"},
		"a method for services only":      {http.MethodPost, "/kontor.identity.v1.DirectoryService/GetAccountLink", "{}", http.StatusNotFound, "METHOD_UNKNOWN"},
		"no token":                        {http.MethodGet, "/v1/accounts/me", "", http.StatusUnauthorized, "TOKEN_MISSING"},
		"half a JSON":                     {http.MethodPost, "/v1/accounts:register", `{"email": "a@exa`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"another type":                    {http.MethodPost, "/v1/accounts:register", `{"email": 7}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"a field that is not there":       {http.MethodPost, "/v1/accounts:register", `{"mail": "a@example.org"}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"no JSON at all":                  {http.MethodPost, "/v1/accounts:register", "%PDF-1.7", http.StatusBadRequest, "INVALID_ARGUMENT"},
		"nesting without end":             {http.MethodPost, "/v1/accounts:register", strings.Repeat(`{"email":`, 100_000), http.StatusBadRequest, "INVALID_ARGUMENT"},
		"no e-mail":                       {http.MethodPost, "/v1/accounts:register", `{"email": "nobody", "requestId": "` + id.NewString() + `"}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"no request id":                   {http.MethodPost, "/v1/accounts:register", `{"email": "a@example.org"}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"a line end in the name":          {http.MethodPost, "/v1/accounts:register", `{"email": "a@example.org", "fullName": "A\r\nBcc: b@example.org", "requestId": "` + id.NewString() + `"}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"a message that is too large":     {http.MethodPost, "/v1/accounts:register", `{"email": "` + strings.Repeat("a", tooMuch) + `"}`, http.StatusRequestEntityTooLarge, "MESSAGE_TOO_LARGE"},
		"a link that nobody was sent":     {http.MethodPost, "/v1/accounts:checkLink", `{"token": "QUJD"}`, http.StatusBadRequest, "LINK_INVALID"},
		"a refresh token of one's making": {http.MethodPost, "/v1/sessions:refresh", `{"refreshToken": "QUJD"}`, http.StatusUnauthorized, "REFRESH_TOKEN_INVALID"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, err := refusal(t, s.Visitor(), test.method, test.path, strings.NewReader(test.body))
			if code != test.code || harness.Reason(err) != test.reason {
				t.Errorf("got HTTP %d, %v; want %d, %s", code, err, test.code, test.reason)
			}
		})
	}
}

func TestABodyThatDoesNotSayItsLengthIsCutOffAtTheLimit(t *testing.T) {
	t.Parallel()
	s := suite(t)
	body := io.MultiReader(strings.NewReader(`{"email": "`), bytes.NewReader(bytes.Repeat([]byte("a"), tooMuch)), strings.NewReader(`"}`))
	_, err := refusal(t, s.Visitor(), http.MethodPost, "/v1/accounts:register", body)
	harness.WantReason(t, err, "MESSAGE_TOO_LARGE")
}

func TestTokensThatAreNotOursAreRefused(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Žetons")
	for name, token := range map[string]string{
		"rubbish":             "rubbish",
		"a changed signature": p.Token[:len(p.Token)-4] + "AAAA",
		"no signature":        "eyJhbGciOiJub25lIn0." + strings.Split(p.Token, ".")[1] + ".",
	} {
		t.Run(name, func(t *testing.T) {
			harness.WantReason(t, s.Visitor().With(token).Get(t.Context(), "/v1/accounts/me", nil), "TOKEN_INVALID")
		})
	}
}

func TestSomebodyElsesAccountDoesNotExist(t *testing.T) {
	t.Parallel()
	s := suite(t)
	me, other := s.NewPerson(t, "Es"), s.NewPerson(t, "Cits")
	theirs := "/v1/" + other.Account.GetName()
	harness.WantReason(t, me.Get(t.Context(), theirs, nil), "NOT_FOUND")
	harness.WantReason(t, me.Get(t.Context(), theirs+"/sessions", nil), "NOT_FOUND")
	harness.WantReason(t, me.Patch(t.Context(), theirs, map[string]string{"fullName": "Mans"}, nil), "NOT_FOUND")
	harness.WantReason(t, me.Get(t.Context(), "/v1/accounts/"+id.NewString(), nil), "NOT_FOUND") // Nobody's looks the same.
}

func TestBadInputIsRefusedWithItsReasonOverGRPC(t *testing.T) {
	t.Parallel()
	s := suite(t)
	conn, err := s.Visitor().GRPC()
	if err != nil {
		t.Fatal(err)
	}
	call := func(method string) error {
		return conn.Invoke(t.Context(), method, &identityv1.GetAccountRequest{Name: "accounts/me"}, &identityv1.GetAccountResponse{})
	}
	for name, method := range map[string]string{
		"no such service":            "/kontor.identity.v1.NoService/Get",
		"no such method":             "/kontor.identity.v1.AccountService/GetNothing",
		"a method for services only": "/kontor.identity.v1.DirectoryService/BatchGetAccounts",
	} {
		t.Run(name, func(t *testing.T) {
			err := call(method)
			harness.WantReason(t, err, "METHOD_UNKNOWN")
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("its code is %s", status.Code(err))
			}
		})
	}
	harness.WantReason(t, call("/kontor.identity.v1.AccountService/GetAccount"), "TOKEN_MISSING")

	_, err = identityv1.NewAccountServiceClient(conn).RegisterAccount(t.Context(), &identityv1.RegisterAccountRequest{
		Email: "a@example.org", FullName: strings.Repeat("a", tooMuch), RequestId: id.NewString(),
	})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message that is too large: %v", err)
	}
}

func TestHeadersOfServicesCantBeForgedFromOutside(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p, other := s.NewPerson(t, "Viltnieks"), s.NewPerson(t, "Upuris")
	conn, err := p.GRPC()
	if err != nil {
		t.Fatal(err)
	}
	forged := metadata.Pairs(
		"x-kontor-address", "203.0.113.9", "x-kontor-account", other.Account.GetName(), "x-kontor-service", "tenancy",
		"x-kontor-on-behalf-of", other.Account.GetName(), "x-forwarded-for", "203.0.113.9",
	)
	ctx := metadata.NewOutgoingContext(t.Context(), forged)
	me, err := identityv1.NewAccountServiceClient(conn).GetAccount(ctx, &identityv1.GetAccountRequest{Name: "accounts/me"})
	if err != nil {
		t.Fatal(err)
	}
	if me.GetAccount().GetName() != p.Account.GetName() {
		t.Errorf("the forged headers made the caller %s", me.GetAccount().GetName())
	}
	_, err = identityv1.NewDirectoryServiceClient(conn).BatchGetAccounts(ctx, &identityv1.BatchGetAccountsRequest{Names: []string{other.Account.GetName()}})
	harness.WantReason(t, err, "METHOD_UNKNOWN")

	// The address that a session keeps is the real one.
	header := http.Header{
		"X-Kontor-Address": {"203.0.113.9"}, "Grpc-Metadata-X-Kontor-Address": {"203.0.113.9"}, "X-Forwarded-For": {"203.0.113.9"},
		"Content-Type": {"application/json"},
	}
	body := strings.NewReader(`{"identifier": "` + p.Email + `", "password": "` + harness.Password + `"}`)
	answer, err := p.Raw(t.Context(), http.MethodPost, "/v1/sessions:signIn", header, body)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(harness.ReadError(answer))
	}
	var sessions identityv1.ListSessionsResponse
	if err := p.Get(t.Context(), "/v1/accounts/me/sessions", &sessions); err != nil {
		t.Fatal(err)
	}
	if len(sessions.GetSessions()) != 2 {
		t.Fatalf("%d sessions, want 2", len(sessions.GetSessions()))
	}
	for _, session := range sessions.GetSessions() {
		if session.GetAddress() != p.Address() {
			t.Errorf("a session began at %s, want %s", session.GetAddress(), p.Address())
		}
	}
}

func TestTooManyRequestsFromOneAddressWaitAndOthersDoNot(t *testing.T) {
	t.Parallel()
	s := suite(t)
	flood := s.Visitor()
	var err error
	for range 200 { // The limit is 60 a minute.
		if err = flood.Post(t.Context(), "/v1/accounts:checkLink", &identityv1.CheckLinkRequest{Token: "QUJD"}, nil); harness.Reason(err) == "RATE_LIMITED" {
			break
		}
	}
	harness.WantReason(t, err, "RATE_LIMITED")
	if limited, ok := harness.Refused(err); !ok || limited.RetryAfter <= 0 {
		t.Errorf("the refusal does not say when to try again: %v", err)
	}
	harness.WantReason(t, s.Visitor().Post(t.Context(), "/v1/accounts:checkLink", &identityv1.CheckLinkRequest{Token: "QUJD"}, nil), "LINK_INVALID")
}
