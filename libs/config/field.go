package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"
)

// field is one setting of the struct, with the place its value goes to.
type field struct {
	key   Key
	value reflect.Value
}

// fieldsOf lists the settings of the struct that target points to and refuses a struct that is not fully described.
func fieldsOf(target any) ([]field, error) {
	pointer := reflect.ValueOf(target)
	if pointer.Kind() != reflect.Pointer || pointer.IsNil() || pointer.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: %T is not a pointer to a struct", target)
	}
	fields, err := walk(pointer.Elem(), "")
	if err != nil {
		return nil, err
	}
	taken := make(map[string]string)
	for _, field := range fields {
		names := []string{field.key.Name}
		if field.key.Secret {
			names = append(names, field.fileKey())
		}
		for _, name := range names {
			if other, found := taken[variable(name)]; found {
				return nil, fmt.Errorf("config: %s and %s are read from the same variable", other, name)
			}
			taken[variable(name)] = name
		}
	}
	return fields, nil
}

func walk(structure reflect.Value, prefix string) ([]field, error) {
	var fields []field
	for i := range structure.NumField() {
		declared := structure.Type().Field(i)
		if !declared.IsExported() {
			continue
		}
		name := declared.Tag.Get("koanf")
		value := structure.Field(i)
		if isSection(value) {
			if name == "" && !declared.Anonymous {
				return nil, fmt.Errorf("config: field %s.%s has no koanf tag", structure.Type(), declared.Name)
			}
			below, err := walk(value, join(prefix, name))
			if err != nil {
				return nil, err
			}
			fields = append(fields, below...)
			continue
		}
		made, err := newField(declared, value, prefix)
		if err != nil {
			return nil, fmt.Errorf("config: field %s.%s %w", structure.Type(), declared.Name, err)
		}
		fields = append(fields, made)
	}
	return fields, nil
}

// isSection reports whether a field is a nested struct and not a value such as a civil.Date.
func isSection(value reflect.Value) bool {
	_, isText := value.Addr().Interface().(encoding.TextUnmarshaler)
	return value.Kind() == reflect.Struct && !isText
}

func newField(declared reflect.StructField, value reflect.Value, prefix string) (field, error) {
	tag := declared.Tag
	made := field{value: value, key: Key{
		Name:     join(prefix, tag.Get("koanf")),
		Type:     typeName(value),
		Default:  tag.Get("default"),
		Required: tag.Get("required") == "true",
		Secret:   tag.Get("secret") == "true",
		Doc:      tag.Get("doc"),
	}}
	made.key.Variable = DefaultPrefix + variable(made.key.Name)
	switch {
	case tag.Get("koanf") == "":
		return field{}, errors.New("has no koanf tag")
	case made.key.Doc == "":
		return field{}, errors.New("has no doc tag")
	case made.key.Type == "":
		return field{}, fmt.Errorf("has the unsupported type %s", value.Type())
	case made.key.Secret && value.Kind() != reflect.String:
		return field{}, errors.New("is secret but no string")
	case made.key.Required && made.key.Default != "":
		return field{}, errors.New("is required and has a default")
	}
	return made, nil
}

func join(prefix, name string) string {
	if prefix == "" || name == "" {
		return prefix + name
	}
	return prefix + "." + name
}

func typeName(value reflect.Value) string {
	if _, isText := value.Addr().Interface().(encoding.TextUnmarshaler); isText {
		return "text"
	}
	switch value.Interface().(type) {
	case time.Duration:
		return "duration"
	case []string:
		return "list"
	case map[string]string:
		return "map"
	}
	switch value.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number"
	case reflect.Float32, reflect.Float64:
		return "number"
	default:
		return ""
	}
}

func (f field) fileKey() string { return f.key.Name + "_file" }

func (f field) isMap() bool { return f.value.Kind() == reflect.Map }

// load sets the field from the merged layers, from its secret's file, or from its default.
func (f field) load(layers *koanf.Koanf) error {
	raw := layers.Get(f.key.Name)
	if f.key.Secret {
		secret, err := f.readSecretFile(layers)
		if err != nil {
			return err
		}
		if secret != "" {
			raw = secret
		}
	}
	if raw == nil && f.key.Default != "" {
		raw = f.key.Default
	}
	if raw != nil {
		if err := f.set(raw); err != nil {
			return f.describe(raw, err)
		}
	}
	if f.key.Required && f.value.IsZero() {
		return fmt.Errorf("%s: required (%s)", f.key.Name, f.key.Doc)
	}
	return nil
}

func (f field) readSecretFile(layers *koanf.Koanf) (string, error) {
	path := layers.String(f.fileKey())
	if path == "" {
		return "", nil
	}
	if layers.Exists(f.key.Name) {
		return "", fmt.Errorf("%s: given both as a value and as %s", f.key.Name, f.fileKey())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.fileKey(), err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

// describe names the key of a value that did not parse; the value itself only where it is no secret.
func (f field) describe(raw any, err error) error {
	if f.key.Secret {
		return fmt.Errorf("%s: not a valid %s", f.key.Name, f.key.Type)
	}
	return fmt.Errorf("%s: %v is not a valid %s: %w", f.key.Name, raw, f.key.Type, err)
}

func (f field) set(raw any) error {
	switch target := f.value.Addr().Interface().(type) {
	case *[]string:
		return setList(target, raw)
	case *map[string]string:
		return setMap(target, raw)
	}
	text, err := scalar(raw)
	if err != nil {
		return err
	}
	switch target := f.value.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return target.UnmarshalText([]byte(text))
	case *time.Duration:
		*target, err = time.ParseDuration(text)
		return err
	}
	return setBasic(f.value, text)
}

func setBasic(value reflect.Value, text string) error {
	switch {
	case value.Kind() == reflect.String:
		value.SetString(text)
	case value.Kind() == reflect.Bool:
		parsed, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		value.SetBool(parsed)
	case value.CanInt():
		parsed, err := strconv.ParseInt(text, 10, value.Type().Bits())
		if err != nil {
			return err
		}
		value.SetInt(parsed)
	case value.CanUint():
		parsed, err := strconv.ParseUint(text, 10, value.Type().Bits())
		if err != nil {
			return err
		}
		value.SetUint(parsed)
	default:
		parsed, err := strconv.ParseFloat(text, value.Type().Bits())
		if err != nil {
			return err
		}
		value.SetFloat(parsed)
	}
	return nil
}

// scalar returns the text of a single YAML value.
func scalar(raw any) (string, error) {
	switch value := raw.(type) {
	case string:
		return value, nil
	case float64: // as it was written, without an exponent
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	case time.Time: // YAML reads an unquoted date as a timestamp
		return value.Format(time.DateOnly), nil
	case []any, map[string]any:
		return "", errors.New("expected a single value")
	default:
		return fmt.Sprint(value), nil
	}
}

func setList(target *[]string, raw any) error {
	var list []string
	switch value := raw.(type) {
	case []any:
		for _, item := range value {
			text, err := scalar(item)
			if err != nil {
				return err
			}
			list = append(list, text)
		}
	default:
		text, err := scalar(value)
		if err != nil {
			return err
		}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	*target = list
	return nil
}

func setMap(target *map[string]string, raw any) error {
	entries := make(map[string]string)
	switch value := raw.(type) {
	case map[string]any:
		for name, item := range value {
			text, err := scalar(item)
			if err != nil {
				return err
			}
			entries[name] = text
		}
	default:
		var list []string
		if err := setList(&list, raw); err != nil {
			return err
		}
		for _, entry := range list {
			name, item, found := strings.Cut(entry, "=")
			if !found {
				return errors.New("expected name=value")
			}
			entries[strings.TrimSpace(name)] = strings.TrimSpace(item)
		}
	}
	*target = entries
	return nil
}
