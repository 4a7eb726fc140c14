// Package catcher takes the mail and the SMS that the suite sends, over real
// SMTP and HTTP, and shows them to a person and to programs instead of
// delivering them.
package catcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"kontor.internal/libs/id"
)

// Message is one caught mail or SMS.
type Message struct {
	// ID orders messages by arrival.
	ID string `json:"id"`
	// Kind is `mail` or `sms`.
	Kind string `json:"kind"`
	// From is the sender.
	From string `json:"from"`
	// To are the recipients: lower-case mail addresses or numbers.
	To []string `json:"to"`
	// Subject of a mail.
	Subject string `json:"subject,omitempty"`
	// Text is the plain part, or the whole of an SMS.
	Text string `json:"text"`
	// HTML part of a mail.
	HTML string `json:"html,omitempty"`
	// Attachments of a mail, without their content.
	Attachments []Attachment `json:"attachments,omitempty"`
	// Time it was caught.
	Time time.Time `json:"time"`
}

// Attachment is a file in a mail.
type Attachment struct {
	// Filename as the mail says.
	Filename string `json:"filename"`
	// ContentType as the mail says.
	ContentType string `json:"contentType"`
	// Content; left out of lists.
	Content []byte `json:"content,omitempty"`
}

// Store keeps messages in a folder, one file each, and tells who waits.
type Store struct {
	dir string

	mu       sync.Mutex
	messages []Message
	arrived  chan struct{} // closed and replaced with each arrival
}

// Open reads what was caught before.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("catcher: %w", err)
	}
	s := &Store{dir: dir, arrived: make(chan struct{})}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("catcher: %w", err)
	}
	sort.Strings(names)
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("catcher: %w", err)
		}
		var m Message
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("catcher: %s: %w", name, err)
		}
		s.messages = append(s.messages, m)
	}
	return s, nil
}

// Add keeps a message: when it returns, the message is on the disk.
func (s *Store) Add(m Message) error {
	m.ID, m.Time = id.NewString(), time.Now().UTC()
	for i, to := range m.To {
		m.To[i] = strings.ToLower(to)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("catcher: %w", err)
	}
	if err := writeFile(filepath.Join(s.dir, m.ID+".json"), raw); err != nil {
		return fmt.Errorf("catcher: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return nil
}

func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Query selects messages.
type Query struct {
	// To is a recipient; empty means anyone.
	To string
	// Subject is a part of the subject; empty means any.
	Subject string
	// After is the id of the last message already seen; empty means none.
	After string
}

// List gives the messages of a query, oldest first, without the content of
// attachments, and a channel that is closed when another message arrives.
func (s *Store) List(q Query) ([]Message, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Message{}
	for _, m := range s.messages {
		if m.ID <= q.After || (q.To != "" && !slices.Contains(m.To, strings.ToLower(q.To))) || !strings.Contains(m.Subject, q.Subject) {
			continue
		}
		m.Attachments = slices.Clone(m.Attachments)
		for i := range m.Attachments {
			m.Attachments[i].Content = nil
		}
		found = append(found, m)
	}
	return found, s.arrived
}

// Get gives one message whole.
func (s *Store) Get(messageID string) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.ID == messageID {
			return m, true
		}
	}
	return Message{}, false
}
