package kit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Platform is the version of kontor_meta that this package lays under every data area.
var Platform = Version{Major: 1, Minor: 0, Patch: 0}

// languages are those that every text in a kit must be in.
var languages = []string{"en", "lv"}

// Kits come from the vendor, yet a mistake in publishing should not fill the memory.
const maxFileBytes = 4 << 20

// Kit is one release of a product, read and checked.
type Kit struct {
	Definition

	migrations []migration
	grants     *template.Template
	charts     map[string]chart
	notes      Text
}

// InvalidError says everything that is wrong with a kit.
type InvalidError struct {
	Problems []Problem
}

// Problem is one mistake in a kit.
type Problem struct {
	Path string // the file, or the key in kit.yaml, e.g. catalogues[2].sheets[0].table
	Text string
}

// Error lists the problems, one a line.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.Path + ": " + problem.Text
	}
	return "the kit is not valid:\n" + strings.Join(lines, "\n")
}

// Load reads the kit in a folder. Its error is an *InvalidError where the kit is at fault.
func Load(folder fs.FS) (*Kit, error) {
	k := &Kit{}
	c := &checker{}
	content, err := readFile(folder, "kit.yaml")
	if err != nil {
		return nil, &InvalidError{Problems: []Problem{{Path: "kit.yaml", Text: err.Error()}}}
	}
	if err := decode(content, &k.Definition); err != nil {
		return nil, &InvalidError{Problems: []Problem{{Path: "kit.yaml", Text: err.Error()}}}
	}
	c.definition(&k.Definition)
	k.migrations = c.migrations(folder)
	k.grants = c.grants(folder, &k.Definition)
	k.charts = c.charts(folder, k.Charts)
	k.notes = c.notes(folder)
	if len(c.problems) > 0 {
		return nil, &InvalidError{Problems: c.problems}
	}
	return k, nil
}

// Notes returns the release notes (Markdown) in a language, or in English where there are none in it.
func (k *Kit) Notes(language string) string { return k.notes.In(language) }

// String returns product and version.
func (k *Kit) String() string { return k.Product + " " + k.Version.String() }

func decode(content []byte, into *Definition) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the file is empty")
		}
		var wrong *yaml.TypeError
		if errors.As(err, &wrong) {
			return errors.New(plainYAML(strings.Join(wrong.Errors, "; ")))
		}
		return errors.New(plainYAML(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one document in the file")
	}
	return nil
}

// plainYAML leaves names of our Go types out of the parser's messages.
func plainYAML(text string) string {
	for _, name := range []string{
		"Definition", "Permission", "LocalUsers", "Charts", "Catalogue", "Sheet", "Column", "Table", "Rule", "Duty", "Step", "Export",
	} {
		text = strings.ReplaceAll(text, " not found in type kit."+name, " is not known here")
	}
	return text
}

func readFile(folder fs.FS, name string) ([]byte, error) {
	file, err := folder.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("there is no such file")
		}
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("is larger than %d MiB", maxFileBytes>>20)
	}
	return content, nil
}

// notes reads the release notes in every compulsory language.
func (c *checker) notes(folder fs.FS) Text {
	notes := Text{}
	for _, language := range languages {
		name := "notes/" + language + ".md"
		content, err := readFile(folder, name)
		switch {
		case err != nil:
			c.add(name, "%v", err)
		case strings.TrimSpace(string(content)) == "":
			c.add(name, "is empty")
		}
		notes[language] = string(content)
	}
	return notes
}
