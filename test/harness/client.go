package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/mtls"
)

// callTime bounds one call; the gateway's own limit is 30 s.
const callTime = 45 * time.Second

// Client is one visitor of the gateway, at a network address of its own, so
// that the limits for one address count it alone. It speaks REST and gRPC.
type Client struct {
	// Token is the access token that it shows; empty shows none.
	Token string
	// Language of the answers; empty is English.
	Language string

	suite  *Suite
	base   string // REST's address; empty is the gateway's own
	dialer *net.Dialer
	http   *http.Client
}

// Visitor is a new client that is not signed in.
func (s *Suite) Visitor() *Client {
	n := s.sources.Add(1)
	c := &Client{suite: s, dialer: &net.Dialer{
		Timeout: 10 * time.Second,
		// All of 127.0.0.0/8 is this machine.
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 64+byte(n>>16), byte(n>>8), byte(n))},
	}}
	transport := &http.Transport{DialContext: c.dialer.DialContext, ForceAttemptHTTP2: true}
	transport.TLSClientConfig, _ = mtls.TrustConfig(s.State().CA) // Read before, by the suite that is ready.
	c.http = &http.Client{Transport: transport, Timeout: callTime}
	s.onClose(transport.CloseIdleConnections)
	return c
}

// With is the same visitor with another access token.
func (c *Client) With(token string) *Client {
	other := *c
	other.Token = token
	return &other
}

// By is the same visitor by another way to the gateway, e.g. a Proxy's address:
// `https://host:port`.
func (c *Client) By(base string) *Client {
	other := *c
	other.base = base
	return &other
}

// Address is where the visitor comes from.
func (c *Client) Address() string { return c.dialer.LocalAddr.(*net.TCPAddr).IP.String() }

// Get, Post and Patch call a REST method. Requests and answers are proto
// messages, or anything that encoding/json takes. A refusal is an *APIError.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post calls a REST method, see Get.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

// Patch calls a REST method, see Get.
func (c *Client) Patch(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPatch, path, in, out)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return err
	}
	answer, err := c.Raw(ctx, method, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return parseError(answer.StatusCode, raw)
	}
	return decode(raw, out)
}

// Raw sends a request as it is and gives the answer as it is.
func (c *Client) Raw(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	base := c.base
	if base == "" {
		base = c.suite.State().HTTP
	}
	request, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	request.Header.Set("Accept-Language", "en")
	if c.Language != "" {
		request.Header.Set("Accept-Language", c.Language)
	}
	return c.http.Do(request)
}

func encode(in any) ([]byte, error) {
	switch in := in.(type) {
	case nil:
		return nil, nil
	case proto.Message:
		return protojson.Marshal(in)
	default:
		return json.Marshal(in)
	}
}

func decode(raw []byte, out any) error {
	switch out := out.(type) {
	case nil:
		return nil
	case proto.Message:
		return protojson.Unmarshal(raw, out)
	default:
		return json.Unmarshal(raw, out)
	}
}

// GRPC is a connection to the gateway's native gRPC. It is closed with the suite.
func (c *Client) GRPC() (*grpc.ClientConn, error) {
	state := c.suite.State()
	trust, err := mtls.TrustConfig(state.CA)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+state.GRPC,
		grpc.WithTransportCredentials(credentials.NewTLS(trust)),
		grpc.WithPerRPCCredentials(bearer{c}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return c.dialer.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		return nil, err
	}
	c.suite.onClose(func() { _ = conn.Close() })
	return conn, nil
}

// bearer shows the client's access token with every call.
type bearer struct{ client *Client }

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if b.client.Token == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + b.client.Token}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// APIError is a refusal over REST: google.rpc.Status in JSON.
type APIError struct {
	// HTTP is the status of the answer, Code the gRPC code.
	HTTP, Code int
	// Message is for people.
	Message string
	// Reason is for programs, e.g. `PASSWORD_REFUSED`; Values are what the message names.
	Reason string
	Values map[string]string
	// Violations of single fields.
	Violations []Violation
	// RetryAfter is when to try again; 0 says nothing.
	RetryAfter time.Duration
}

// Violation is what is wrong with a field.
type Violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
	Reason      string `json:"reason"`
}

// Error tells all that a reader of a failed test wants.
func (e *APIError) Error() string {
	text := fmt.Sprintf("HTTP %d, %s: %s", e.HTTP, e.Reason, e.Message)
	for _, v := range e.Violations {
		text += fmt.Sprintf("; %s: %s", v.Field, v.Description)
	}
	return text
}

func parseError(status int, raw []byte) error {
	var body struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Details []struct {
			Type       string            `json:"@type"`
			Reason     string            `json:"reason"`
			Metadata   map[string]string `json:"metadata"`
			Violations []Violation       `json:"fieldViolations"`
			RetryDelay string            `json:"retryDelay"`
		} `json:"details"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return fmt.Errorf("HTTP %d and no google.rpc.Status: %.200q", status, raw)
	}
	e := &APIError{HTTP: status, Code: body.Code, Message: body.Message}
	for _, d := range body.Details {
		switch {
		case strings.HasSuffix(d.Type, "ErrorInfo"):
			e.Reason, e.Values = d.Reason, d.Metadata
		case strings.HasSuffix(d.Type, "BadRequest"):
			e.Violations = d.Violations
		case strings.HasSuffix(d.Type, "RetryInfo"):
			e.RetryAfter, _ = time.ParseDuration(d.RetryDelay)
		}
	}
	return e
}

// Refused gives the refusal that an error is, if it is one.
func Refused(err error) (*APIError, bool) {
	var refusal *APIError
	ok := errors.As(err, &refusal)
	return refusal, ok
}

// ReadError reads the refusal from an answer of Raw; nil when it is none.
func ReadError(answer *http.Response) error {
	if answer.StatusCode < http.StatusMultipleChoices {
		return nil
	}
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return parseError(answer.StatusCode, raw)
}
