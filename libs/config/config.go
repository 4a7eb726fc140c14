// Package config loads a program's settings into a struct, from a YAML file and from the environment.
//
// Every field carries its key and its meaning:
//
//	type Config struct {
//		service.Config                                   // embedded: its keys stand at this level
//		Postgres struct {
//			URL string `koanf:"url" doc:"Database to connect to." secret:"true" required:"true"`
//		} `koanf:"postgres"`
//		Grace time.Duration `koanf:"grace" doc:"How long a shutdown may take." default:"10s"`
//	}
//
// The key postgres.url is read, in rising order of precedence, from the default tag, from the file (postgres: {url: …}),
// from KONTOR_POSTGRES_URL, and from KONTOR_<SERVICE>_POSTGRES_URL, which lets several services share one environment.
// A variable that is set but empty counts as not set. A secret may stand in a file of its own: <key>_file names it, in
// YAML or in the environment (KONTOR_POSTGRES_URL_FILE); a trailing line break is dropped.
//
// Fields are strings, bools, integers, floats, time.Duration ("90s"), []string (a comma-separated text, or a YAML list),
// map[string]string ("a=b,c=d", or a YAML map), types that implement encoding.TextUnmarshaler, and nested structs.
package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// DefaultPrefix begins the name of every environment variable that is meant for Kontor.
const DefaultPrefix = "KONTOR_"

// Options says where settings are read from. Nothing is read that is not named here.
type Options struct {
	// File is the path of a YAML file; empty means none. A named file must exist.
	File string
	// Environ holds variables as NAME=value, as os.Environ returns them; nil means none.
	Environ []string
	// Prefix replaces DefaultPrefix when not empty.
	Prefix string
	// Service is the program's name, such as "licensing"; its own variables (KONTOR_LICENSING_…) win over shared ones.
	Service string
	// Others names what else reads the same environment: other services ("identity") or single variables ("config" for
	// KONTOR_CONFIG). A prefixed variable that is no key of this program is ignored when it belongs to one of them
	// (KONTOR_IDENTITY_…) and refused otherwise, so that a mistyped name does not pass unseen.
	Others []string
}

// Load fills the struct that target points to. The error names everything that is wrong at once: unknown keys in the
// file, unknown variables, values that don't parse, required keys that are missing. Values of secrets are never quoted.
func Load(target any, options Options) error {
	fields, err := fieldsOf(target)
	if err != nil {
		return err
	}
	layers := koanf.New(".")
	if options.File != "" {
		if err := loadFile(layers, options.File); err != nil {
			return err
		}
	}
	problems := unknownInFile(layers, fields)
	problems = append(problems, loadEnvironment(layers, fields, options)...)
	for _, field := range fields {
		if err := field.load(layers); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("config: %w", errors.Join(problems...))
}

func loadFile(layers *koanf.Koanf, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := layers.Load(rawbytes.Provider(content), yaml.Parser()); err != nil {
		return fmt.Errorf("config: %s: %w", path, err)
	}
	return nil
}

func unknownInFile(layers *koanf.Koanf, fields []field) []error {
	var problems []error
	for key, value := range layers.All() {
		known := slices.ContainsFunc(fields, func(f field) bool { return f.owns(key, value) })
		if !known {
			problems = append(problems, fmt.Errorf("%s: unknown key in the file", key))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// owns reports whether a key found in the file is this field's: the key itself, its secret's file, an entry of its map,
// or a section above it that was left empty.
func (f field) owns(key string, value any) bool {
	empty, isMap := value.(map[string]any)
	section := value == nil || isMap && len(empty) == 0
	return key == f.key.Name ||
		f.key.Secret && key == f.fileKey() ||
		f.isMap() && strings.HasPrefix(key, f.key.Name+".") ||
		section && strings.HasPrefix(f.key.Name, key+".")
}

func loadEnvironment(layers *koanf.Koanf, fields []field, options Options) []error {
	prefix := options.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	keys := make(map[string]string) // variable's name without prefix → key
	for _, field := range fields {
		keys[variable(field.key.Name)] = field.key.Name
		if field.key.Secret {
			keys[variable(field.fileKey())] = field.fileKey()
		}
	}
	shared, own := make(map[string]any), make(map[string]any)
	var problems []error
	for _, entry := range options.Environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours || value == "" {
			continue
		}
		if key, found := keys[rest]; found {
			shared[key] = value
		} else if key, found := keys[strings.TrimPrefix(rest, variable(options.Service)+"_")]; found && options.Service != "" {
			own[key] = value
		} else if !belongsToOthers(rest, options.Others) {
			problems = append(problems, fmt.Errorf("%s: unknown variable in the environment", name))
		}
	}
	for _, layer := range []map[string]any{shared, own} {
		problems = append(problems, merge(layers, fields, layer)...)
	}
	return problems
}

// merge lays a layer over those below. A secret given as a value replaces one given as a file below it, and the other
// way round; both in one layer are reported when the field is loaded.
func merge(layers *koanf.Koanf, fields []field, layer map[string]any) []error {
	for _, field := range fields {
		_, value := layer[field.key.Name]
		_, file := layer[field.fileKey()]
		if field.key.Secret && (value || file) {
			layers.Delete(field.key.Name)
			layers.Delete(field.fileKey())
		}
		if field.isMap() && value {
			layers.Delete(field.key.Name) // replaced as a whole, not merged entry by entry
		}
	}
	if err := layers.Load(confmap.Provider(layer, "."), nil); err != nil {
		return []error{err}
	}
	return nil
}

func belongsToOthers(rest string, others []string) bool {
	return slices.ContainsFunc(others, func(other string) bool {
		name := variable(other)
		return rest == name || strings.HasPrefix(rest, name+"_")
	})
}

func variable(key string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}
