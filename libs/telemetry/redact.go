package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"
)

// hidden stands in the log where a secret would.
const hidden = "(hidden)"

// maxDepth is how far values within values are shown; it also ends cycles.
const maxDepth = 5

// Redactor is a slog handler that keeps secrets out of the log: values whose key names one, whatever their type; and
// bearer tokens, JSON web tokens and passwords within addresses anywhere in a text. It is a net below careful code, not
// a reason to log freely: a secret under an innocent name, in a shape of its own, passes.
type Redactor struct {
	next slog.Handler
	all  bool // inside a group whose name is that of a secret
	text *regexp.Regexp
}

// NewRedactor returns a handler that hides secrets and passes everything on to next.
func NewRedactor(next slog.Handler) *Redactor {
	return &Redactor{next: next, text: regexp.MustCompile(
		`(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}` + // an Authorization header
			`|\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*` + // a JSON web token
			`|://[^/\s:@]*:[^/\s@]+@`)} // user and password within an address
}

// Enabled asks the next handler.
func (r *Redactor) Enabled(ctx context.Context, level slog.Level) bool {
	return r.next.Enabled(ctx, level)
}

// Handle passes a record on without its secrets.
func (r *Redactor) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, r.clean(record.Message), record.PC)
	record.Attrs(func(attribute slog.Attr) bool {
		clean.AddAttrs(r.attribute(attribute))
		return true
	})
	return r.next.Handle(ctx, clean)
}

// WithAttrs passes attributes on without their secrets.
func (r *Redactor) WithAttrs(attributes []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attributes))
	for i, attribute := range attributes {
		clean[i] = r.attribute(attribute)
	}
	return &Redactor{next: r.next.WithAttrs(clean), all: r.all, text: r.text}
}

// WithGroup opens a group; one with a secret's name hides all that it holds.
func (r *Redactor) WithGroup(name string) slog.Handler {
	return &Redactor{next: r.next.WithGroup(name), all: r.all || isSecret(name), text: r.text}
}

func (r *Redactor) attribute(attribute slog.Attr) slog.Attr {
	if r.all || isSecret(attribute.Key) {
		return slog.String(attribute.Key, hidden)
	}
	return slog.Attr{Key: attribute.Key, Value: r.value(attribute.Value.Resolve(), 0)}
}

func (r *Redactor) value(value slog.Value, depth int) slog.Value {
	switch value.Kind() {
	case slog.KindString:
		return slog.StringValue(r.clean(value.String()))
	case slog.KindGroup:
		group := slices.Clone(value.Group())
		for i, attribute := range group {
			group[i] = r.attribute(attribute)
		}
		return slog.GroupValue(group...)
	case slog.KindAny:
		return r.any(value.Any(), depth)
	default:
		return value
	}
}

// any handles what slog can't look into: errors and texts are cleaned as texts, maps (such as headers) and structs entry
// by entry. A protobuf message or a run of bytes may hold anything, so only its name or length is shown.
func (r *Redactor) any(value any, depth int) slog.Value {
	reflected := reflect.ValueOf(value)
	if !reflected.IsValid() || reflected.Kind() == reflect.Pointer && reflected.IsNil() {
		return slog.AnyValue(nil)
	}
	switch value := value.(type) {
	case error:
		return slog.StringValue(r.clean(value.Error()))
	case proto.Message:
		return slog.StringValue("(" + string(value.ProtoReflect().Descriptor().FullName()) + ")")
	case fmt.Stringer:
		return slog.StringValue(r.clean(value.String()))
	case []byte:
		return slog.StringValue(fmt.Sprintf("(%d bytes)", len(value)))
	}
	if reflected.Kind() == reflect.Pointer {
		reflected = reflected.Elem()
	}
	switch {
	case depth > maxDepth:
		return slog.StringValue("(deeper)")
	case reflected.Kind() == reflect.Map:
		return r.entries(reflected, depth)
	case reflected.Kind() == reflect.Struct:
		return r.fields(reflected, depth)
	case reflected.Kind() == reflect.Slice || reflected.Kind() == reflect.Array:
		return r.items(reflected, depth)
	default:
		return slog.StringValue(r.clean(fmt.Sprint(value)))
	}
}

func (r *Redactor) entries(entries reflect.Value, depth int) slog.Value {
	group := make([]slog.Attr, 0, entries.Len())
	for iterator := entries.MapRange(); iterator.Next(); {
		group = append(group, r.entry(fmt.Sprint(iterator.Key().Interface()), iterator.Value(), depth))
	}
	slices.SortFunc(group, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	return slog.GroupValue(group...)
}

func (r *Redactor) fields(structure reflect.Value, depth int) slog.Value {
	var group []slog.Attr
	for i := range structure.NumField() {
		if declared := structure.Type().Field(i); declared.IsExported() {
			group = append(group, r.entry(declared.Name, structure.Field(i), depth))
		}
	}
	return slog.GroupValue(group...)
}

func (r *Redactor) entry(key string, value reflect.Value, depth int) slog.Attr {
	if isSecret(key) {
		return slog.String(key, hidden)
	}
	return slog.Attr{Key: key, Value: r.value(slog.AnyValue(value.Interface()).Resolve(), depth+1)}
}

func (r *Redactor) items(list reflect.Value, depth int) slog.Value {
	items := make([]string, list.Len())
	for i := range items {
		items[i] = r.value(slog.AnyValue(list.Index(i).Interface()).Resolve(), depth+1).String()
	}
	return slog.AnyValue(items)
}

func (r *Redactor) clean(text string) string {
	return r.text.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "://") {
			user, _, _ := strings.Cut(strings.TrimPrefix(found, "://"), ":")
			return "://" + user + ":" + hidden + "@"
		}
		return hidden
	})
}

// isSecret tells by its words whether a key names a secret: access_token, X-Api-Key, loginCode. Words that say something
// about a secret (token_id, code_count), and codes that are none (status_code), don't hide.
func isSecret(key string) bool {
	words := wordsOf(key)
	for i, word := range words {
		switch word {
		case "password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "tokens", "jwt", "authorization",
			"cookie", "credential", "credentials", "apikey", "otp", "totp", "pin", "dsn":
			return !isAbout(words[i+1:])
		case "key":
			if i > 0 && slices.Contains([]string{"api", "private", "access", "signing", "encryption", "page", "link"}, words[i-1]) {
				return !isAbout(words[i+1:])
			}
		case "code", "codes":
			if i == 0 || !isPlainCode(words[i-1]) {
				return !isAbout(words[i+1:])
			}
		}
	}
	return false
}

func isAbout(rest []string) bool {
	return len(rest) == 1 && slices.Contains([]string{
		"id", "kind", "type", "count", "length", "file", "expires", "expiry", "ttl", "issuer", "version",
	}, rest[0])
}

func isPlainCode(before string) bool {
	return slices.Contains([]string{
		"status", "grpc", "http", "exit", "error", "reason", "currency", "country", "language", "subscriber", "post", "sql",
		"response",
	}, before)
}

func wordsOf(key string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	lower := false
	for _, letter := range key {
		switch {
		case !unicode.IsLetter(letter) && !unicode.IsDigit(letter):
			end()
		case unicode.IsUpper(letter) && lower:
			end()
			word.WriteRune(unicode.ToLower(letter))
		default:
			word.WriteRune(unicode.ToLower(letter))
		}
		lower = unicode.IsLower(letter)
	}
	end()
	return words
}
