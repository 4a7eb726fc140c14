package invitation

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"text/template"
	"time"
	"unicode"

	"kontor.internal/libs/locale"
)

// Letters are the letter's texts, one file a language: the subject, an empty line, the body.
//
//go:embed letters/*.txt
var letterFiles embed.FS

// Facts are what the letter says.
type Facts struct {
	// Inviter is who invites; Subscriber is whereto, with its Code; Person is who is invited.
	Inviter, Subscriber, Code, Person string
	// Access says whether it comes with accepting.
	Access bool
	// Message is the author's own words; may be empty.
	Message string
	// Until is the last moment at which the link works.
	Until time.Time
	// Language wanted, BCP 47.
	Language string
}

// Letter is what is sent, without its link.
type Letter struct {
	Subject, Body string
	// Language it is in.
	Language string
}

// Letters writes letters. Safe for concurrent use.
type Letters struct {
	templates map[locale.Language]*template.Template
}

// LoadLetters reads the texts that are built in.
func LoadLetters() (*Letters, error) {
	files, err := fs.Glob(letterFiles, "letters/*.txt")
	if err != nil {
		return nil, err
	}
	l := &Letters{templates: map[locale.Language]*template.Template{}}
	for _, file := range files {
		raw, err := letterFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		code := strings.TrimSuffix(path.Base(file), ".txt")
		in, ok := locale.Parse(code)
		if !ok {
			return nil, fmt.Errorf("invitation: %s is no language of letters", code)
		}
		if l.templates[in], err = template.New(code).Option("missingkey=error").Parse(string(raw)); err != nil {
			return nil, fmt.Errorf("invitation: %w", err)
		}
	}
	return l, nil
}

// Write writes the letter in the language wanted, or in English where that has none.
func (l *Letters) Write(f Facts) (Letter, error) {
	in := locale.Match(f.Language)
	if l.templates[in] == nil {
		in = locale.English
	}
	values := map[string]any{
		"Inviter": oneLine(f.Inviter), "Subscriber": oneLine(f.Subscriber), "Code": f.Code, "Person": oneLine(f.Person),
		"Access": f.Access, "Message": f.Message, "Until": in.DateTime(f.Until, time.UTC) + " (UTC)",
	}
	var out strings.Builder
	if err := l.templates[in].Execute(&out, values); err != nil {
		return Letter{}, fmt.Errorf("invitation: letter: %w", err)
	}
	subject, body, _ := strings.Cut(out.String(), "\n\n")
	return Letter{Subject: subject, Body: strings.TrimSpace(body), Language: string(in)}, nil
}

// oneLine keeps what came from elsewhere from breaking out of the subject.
func oneLine(value string) string {
	return strings.Join(strings.FieldsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}
