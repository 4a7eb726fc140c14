package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
)

// Key describes one setting for people.
type Key struct {
	Name     string // dotted, as nested in the file: postgres.url
	Variable string // shared environment variable: KONTOR_POSTGRES_URL
	Type     string // text, whole number, number, true or false, duration, list, map
	Default  string // empty when there is none
	Required bool   // the program refuses to start without it
	Secret   bool   // never shown; may be given as <name>_file
	Doc      string // meaning, unit, limits
}

// Describe lists the settings of a configuration struct, or of a pointer to one, in the order of its fields. It panics
// on a struct that Load would refuse: such a struct is a mistake of the program, not of its user.
func Describe(cfg any) []Key {
	fields, err := fieldsOf(pointerTo(cfg))
	if err != nil {
		panic(err)
	}
	keys := make([]Key, len(fields))
	for i, field := range fields {
		keys[i] = field.key
	}
	return keys
}

func pointerTo(cfg any) any {
	value := reflect.ValueOf(cfg)
	if value.Kind() == reflect.Pointer {
		return cfg
	}
	pointer := reflect.New(value.Type())
	pointer.Elem().Set(value)
	return pointer.Interface()
}

// Markdown renders keys as a table for the documentation.
func Markdown(keys []Key) string {
	var page strings.Builder
	page.WriteString("| Key | Environment | Type | Default | Meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, key := range keys {
		value, meaning := "", key.Doc
		if key.Default != "" {
			value = "`" + key.Default + "`"
		}
		if key.Required {
			value = "required"
		}
		if key.Secret {
			meaning += fmt.Sprintf(" Secret; may be given as `%s_file`.", key.Name)
		}
		fmt.Fprintf(&page, "| `%s` | `%s` | %s | %s | %s |\n", key.Name, key.Variable, key.Type, value,
			strings.ReplaceAll(meaning, "|", `\|`))
	}
	return page.String()
}

// Redacted shows a configuration in logs and in text with every secret hidden.
type Redacted struct {
	fields []field
}

// Redact wraps a configuration struct, or a pointer to one, for showing. Like Describe it panics on a struct that Load
// would refuse.
func Redact(cfg any) Redacted {
	fields, err := fieldsOf(pointerTo(cfg))
	if err != nil {
		panic(err)
	}
	return Redacted{fields: fields}
}

// LogValue gives slog one attribute per key.
func (r Redacted) LogValue() slog.Value {
	attributes := make([]slog.Attr, len(r.fields))
	for i, field := range r.fields {
		attributes[i] = slog.Any(field.key.Name, field.shown())
	}
	return slog.GroupValue(attributes...)
}

// String lists "key=value" lines.
func (r Redacted) String() string {
	var text strings.Builder
	for _, field := range r.fields {
		fmt.Fprintf(&text, "%s=%v\n", field.key.Name, field.shown())
	}
	return text.String()
}

// GoString keeps the %#v verb from printing what is hidden.
func (r Redacted) GoString() string { return r.String() }

func (f field) shown() any {
	if !f.key.Secret {
		return f.value.Interface()
	}
	if f.value.IsZero() {
		return "(not set)"
	}
	return "(secret)"
}
