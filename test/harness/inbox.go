package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// Mail is one caught mail or SMS.
type Mail struct {
	ID          string       `json:"id"`
	Kind        string       `json:"kind"`
	From        string       `json:"from"`
	To          []string     `json:"to"`
	Subject     string       `json:"subject"`
	Text        string       `json:"text"`
	HTML        string       `json:"html"`
	Attachments []Attachment `json:"attachments"`
	Time        time.Time    `json:"time"`
}

// Attachment is a file in a mail.
type Attachment struct {
	Filename    string `json:"filename"`
	ContentType string `json:"contentType"`
	Content     []byte `json:"content"`
}

// Inbox reads caught mail.
type Inbox struct{ suite *Suite }

// Query selects mail.
type Query struct {
	// To is a recipient.
	To string
	// Subject is a part of the subject; empty is any.
	Subject string
	// After is the id of a mail; only later ones are wanted.
	After string
}

// Wait waits for a mail, one minute at the most, and gives it whole.
func (i Inbox) Wait(ctx context.Context, q Query) (Mail, error) {
	found, err := i.list(ctx, q, time.Minute)
	if err != nil {
		return Mail{}, err
	}
	if len(found) == 0 {
		return Mail{}, fmt.Errorf("no mail to %s with %q in its subject came", q.To, q.Subject)
	}
	var mail Mail
	return mail, i.get(ctx, "/inbox/"+found[0].ID, &mail)
}

// List gives what has come, oldest first, without the content of attachments.
func (i Inbox) List(ctx context.Context, q Query) ([]Mail, error) { return i.list(ctx, q, 0) }

func (i Inbox) list(ctx context.Context, q Query, wait time.Duration) ([]Mail, error) {
	values := url.Values{"to": {q.To}, "subject": {q.Subject}, "after": {q.After}, "wait": {wait.String()}}
	var found []Mail
	return found, i.get(ctx, "/inbox?"+values.Encode(), &found)
}

func (i Inbox) get(ctx context.Context, path string, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.suite.State().Control+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("inbox: %s", answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

var links = regexp.MustCompile(`https://[^\s<>"]+`)

// Token takes the secret out of the first link in the mail that has one.
func (m Mail) Token() (string, error) {
	for _, link := range links.FindAllString(m.Text, -1) {
		parsed, err := url.Parse(link)
		if err != nil {
			continue
		}
		if token := parsed.Query().Get("token"); token != "" {
			return token, nil
		}
	}
	return "", fmt.Errorf("the mail %q has no link with a token", m.Subject)
}
