package letter

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"path"
	"strings"
	"text/template"

	"kontor.internal/libs/locale"
)

//go:embed texts/*.json
var textFiles embed.FS

//go:embed layout.html
var layout string

// fallback is the language that has every letter.
const fallback = locale.Language("en")

// Facts are what a letter can say. A kind uses some of them.
type Facts struct {
	// Name of the reader.
	Name string
	// Recipient is the reader's e-mail.
	Recipient string
	// Link to follow.
	Link string
	// Until when the link works, or when the thing happened, as a text.
	Until string
	// Subscriber is its title.
	Subscriber string
	// InvitationSubject and InvitationBody are what the inviter saw.
	InvitationSubject, InvitationBody string
	// LocalUser is the user's name in the local program.
	LocalUser string
	// Connection is its resource name, Company whose documents it carries; Sender says that the reader sends.
	Connection, Company string
	Sender              bool
	// Activation says that the link sets the first password.
	Activation bool
	// Number of the contract.
	Number string
	// End of the trial, Days left of it, KeptUntil when data are deleted, as texts.
	End, Days, KeptUntil string
}

// Mail is a composed letter.
type Mail struct {
	Subject string
	Text    string
	HTML    string
}

// wording is one kind of letter in one language.
type wording struct {
	Subject    string   `json:"subject"`
	Paragraphs []string `json:"paragraphs"`
	Button     string   `json:"button"`
}

// compiled is a wording ready to be filled.
type compiled struct {
	subject, button *template.Template
	paragraphs      []*template.Template
}

// Composer fills letters. It is safe for concurrent use.
type Composer struct {
	letters map[locale.Language]map[string]compiled
	layout  *htmltemplate.Template
}

// NewComposer reads the built-in wordings.
func NewComposer() (*Composer, error) {
	page, err := htmltemplate.New("layout").Parse(layout)
	if err != nil {
		return nil, fmt.Errorf("letter: layout: %w", err)
	}
	c := &Composer{letters: map[locale.Language]map[string]compiled{}, layout: page}
	entries, err := textFiles.ReadDir("texts")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if err := c.read(entry.Name()); err != nil {
			return nil, fmt.Errorf("letter: %s: %w", entry.Name(), err)
		}
	}
	return c, nil
}

func (c *Composer) read(file string) error {
	language, ok := locale.Parse(strings.TrimSuffix(file, path.Ext(file)))
	if !ok {
		return fmt.Errorf("is not called like a language")
	}
	raw, err := textFiles.ReadFile(path.Join("texts", file))
	if err != nil {
		return err
	}
	var wordings map[string]wording
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wordings); err != nil {
		return err
	}
	c.letters[language] = map[string]compiled{}
	for kind, w := range wordings {
		if c.letters[language][kind], err = compile(w); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func compile(w wording) (c compiled, err error) {
	parse := func(text string) *template.Template {
		t, parseErr := template.New("").Option("missingkey=error").Parse(text)
		if parseErr != nil && err == nil {
			err = parseErr
		}
		return t
	}
	c.subject, c.button = parse(w.Subject), parse(w.Button)
	for _, p := range w.Paragraphs {
		c.paragraphs = append(c.paragraphs, parse(p))
	}
	return c, err
}

// Has says whether a language has a letter of its own.
func (c *Composer) Has(language locale.Language, kind string) bool {
	_, ok := c.letters[language][kind]
	return ok
}

// Compose fills a kind of letter in a language, in English where that language
// lacks it. Facts come from outside: they can't bring HTML or header lines.
func (c *Composer) Compose(kind string, language locale.Language, facts Facts) (Mail, error) {
	if !c.Has(language, kind) {
		language = fallback
	}
	w, ok := c.letters[language][kind]
	if !ok {
		return Mail{}, fmt.Errorf("letter: there is no letter %q", kind)
	}
	var mail Mail
	var err error
	if mail.Subject, err = fill(w.subject, facts); err != nil {
		return Mail{}, err
	}
	mail.Subject = oneLine(mail.Subject)
	button, err := fill(w.button, facts)
	if err != nil {
		return Mail{}, err
	}
	var paragraphs []string
	for _, p := range w.paragraphs {
		text, err := fill(p, facts)
		if err != nil {
			return Mail{}, err
		}
		if text = strings.TrimSpace(text); text != "" {
			paragraphs = append(paragraphs, text)
		}
	}
	mail.Text = plain(paragraphs, button, facts.Link)
	mail.HTML, err = c.page(language, mail.Subject, paragraphs, button, facts.Link)
	return mail, err
}

func fill(t *template.Template, facts Facts) (string, error) {
	var b strings.Builder
	if err := t.Execute(&b, facts); err != nil {
		return "", fmt.Errorf("letter: %w", err)
	}
	return b.String(), nil
}

func plain(paragraphs []string, button, link string) string {
	text := strings.Join(paragraphs, "\n\n") + "\n"
	if link != "" {
		text += "\n" + button + ":\n" + link + "\n"
	}
	return text
}

func (c *Composer) page(language locale.Language, subject string, paragraphs []string, button, link string) (string, error) {
	var b bytes.Buffer
	err := c.layout.Execute(&b, map[string]any{
		"Language": string(language), "Direction": string(language.Direction()), "Subject": subject,
		"Paragraphs": paragraphs, "Button": button, "Link": link,
	})
	if err != nil {
		return "", fmt.Errorf("letter: layout: %w", err)
	}
	return b.String(), nil
}

// oneLine keeps header lines out of a header.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
