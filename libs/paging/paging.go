// Package paging makes page tokens (AIP-158) that hold on to the list they were made for. A token carries the cursor,
// the sort key of the last row shown, signed together with the method and the filter: it can't be forged, and used with
// another filter it is refused. It is signed, not encrypted, so a cursor holds only what its page showed anyway.
//
// A list handler reads:
//
//	var after cursor                                          // its zero value is the beginning
//	page, err := s.pages.Start(method, req, &after)
//	rows, err := s.store.List(ctx, tx, after.ID, page.Limit())
//	shown, next, err := paging.Finish(page, rows, func(r Row) any { return cursor{ID: r.ID} })
package paging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

const (
	// DefaultSize is the number of entries a page has when the request does not say.
	DefaultSize = 50
	// MaxSize is the most entries a page has; a larger wish is cut to it, as AIP-158 says.
	MaxSize = 1000

	version     = 1
	minKeyBytes = 32
	maxToken    = 4096
)

var (
	// ErrBadToken is the cause of a refused token: malformed, forged, or made for another list.
	ErrBadToken = errors.New("paging: bad page token")
	// ErrBadSize is the cause of a refused page size: it is negative.
	ErrBadSize = errors.New("paging: bad page size")
)

// Size turns a request's page_size into the number of entries to return. A negative one is REASON_INVALID_ARGUMENT.
func Size(requested int32) (int32, error) {
	switch {
	case requested < 0:
		return 0, failure.Invalid("page_size", "must not be negative").Wrap(ErrBadSize)
	case requested == 0:
		return DefaultSize, nil
	default:
		return min(requested, MaxSize), nil
	}
}

// Codec signs and checks tokens. All copies of a service share its keys. Safe for use by several goroutines.
type Codec struct {
	keys [][]byte // the first signs, all are accepted
}

// NewCodec returns a codec that signs with key and also accepts tokens signed with earlier ones. Keys have 32 bytes or
// more.
func NewCodec(key []byte, earlier ...[]byte) (*Codec, error) {
	keys := append([][]byte{key}, earlier...)
	for _, key := range keys {
		if len(key) < minKeyBytes {
			return nil, fmt.Errorf("paging: a key of %d bytes; %d or more are needed", len(key), minKeyBytes)
		}
	}
	return &Codec{keys: keys}, nil
}

// Scope is the identity of one list: its method and everything that decides which entries it has, and in what order.
type Scope [sha256.Size]byte

// ScopeOf returns the scope of a method with its filter's parts.
func ScopeOf(method string, parts ...string) Scope {
	hash := sha256.New()
	for _, part := range append([]string{method}, parts...) {
		// Lengths keep ("ab", "c") apart from ("a", "bc").
		_, _ = hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash never fails
		_, _ = hash.Write([]byte(part))
	}
	return Scope(hash.Sum(nil))
}

// Encode returns the token of a cursor, which is written as JSON.
func (c *Codec) Encode(scope Scope, cursor any) (string, error) {
	content, err := json.Marshal(cursor)
	if err != nil {
		return "", fmt.Errorf("paging: cursor: %w", err)
	}
	token := append([]byte{version}, sign(c.keys[0], scope, content)...)
	text := base64.RawURLEncoding.EncodeToString(append(token, content...))
	if len(text) > maxToken {
		return "", fmt.Errorf("paging: a token of %d characters; %d are the limit", len(text), maxToken)
	}
	return text, nil
}

// Decode reads a token into the cursor. An empty token is the first page and leaves the cursor as it is. A token that
// is not this scope's is REASON_PAGE_TOKEN_INVALID.
func (c *Codec) Decode(scope Scope, token string, cursor any) error {
	if token == "" {
		return nil
	}
	content, err := c.open(scope, token)
	if err == nil {
		err = json.Unmarshal(content, cursor)
	}
	if err != nil {
		return failure.New(commonv1.Reason_REASON_PAGE_TOKEN_INVALID).Wrap(fmt.Errorf("%w: %w", ErrBadToken, err))
	}
	return nil
}

func (c *Codec) open(scope Scope, token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, errors.New("too long")
	}
	// Strict: the same bytes have one spelling.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, err
	}
	if len(raw) < 1+sha256.Size || raw[0] != version {
		return nil, errors.New("unknown version or cut short")
	}
	signature, content := raw[1:1+sha256.Size], raw[1+sha256.Size:]
	for _, key := range c.keys {
		if hmac.Equal(signature, sign(key, scope, content)) {
			return content, nil
		}
	}
	return nil, errors.New("signature does not match")
}

func sign(key []byte, scope Scope, content []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("kontor page token\x00")) // keeps the key's other uses, if any, apart
	_, _ = mac.Write([]byte{version})
	_, _ = mac.Write(scope[:])
	_, _ = mac.Write(content)
	return mac.Sum(nil)
}

// Request is what every list request has.
type Request interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// Page is the part of a list that one request asks for.
type Page struct {
	Size int32 // entries to return

	codec *Codec
	scope Scope
}

// Start checks a list request's page_size and page_token and reads the cursor. The token is bound to the method, to
// every other field of the request, and to the extra parts, which name what else decides the entries, such as the caller.
func (c *Codec) Start(method string, req Request, cursor any, extra ...string) (Page, error) {
	size, err := Size(req.GetPageSize())
	if err != nil {
		return Page{}, err
	}
	filter, err := filterOf(req)
	if err != nil {
		return Page{}, err
	}
	page := Page{Size: size, codec: c, scope: ScopeOf(method, append([]string{filter}, extra...)...)}
	return page, c.Decode(page.scope, req.GetPageToken(), cursor)
}

// filterOf returns the request's content without its place in the list. The page's size may change from page to page.
func filterOf(req Request) (string, error) {
	filter := proto.Clone(req).ProtoReflect()
	for _, name := range []protoreflect.Name{"page_size", "page_token"} {
		if field := filter.Descriptor().Fields().ByName(name); field != nil {
			filter.Clear(field)
		}
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter.Interface())
	if err != nil {
		return "", fmt.Errorf("paging: request: %w", err)
	}
	return string(content), nil
}

// Limit is the number of rows to ask of the store: one more than the page has, which tells whether another follows.
func (p Page) Limit() int32 { return p.Size + 1 }

// Next is the token of the page behind a cursor, for a list whose pages are not cut by their number of entries alone.
func (p Page) Next(cursor any) (string, error) { return p.codec.Encode(p.scope, cursor) }

// Finish cuts rows, read with Limit, to the page and returns the next page's token, empty after the last page.
func Finish[T any](p Page, rows []T, cursorOf func(T) any) (shown []T, next string, err error) {
	if len(rows) <= int(p.Size) {
		return rows, "", nil
	}
	shown = rows[:p.Size]
	next, err = p.codec.Encode(p.scope, cursorOf(shown[len(shown)-1]))
	return shown, next, err
}
