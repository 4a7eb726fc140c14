package catcher

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-smtp"
)

const maxMailBytes = 32 << 20

// ServeSMTP takes mail on a listener until ctx ends.
func ServeSMTP(ctx context.Context, listener net.Listener, store *Store) error {
	server := smtp.NewServer(backend{store: store})
	server.Domain = "localhost"
	server.MaxMessageBytes = maxMailBytes
	server.MaxRecipients = 100
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.AllowInsecureAuth = true
	server.ErrorLog = log.New(io.Discard, "", 0)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = server.Close()
	}()
	err := server.Serve(listener)
	<-stopped
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

type backend struct{ store *Store }

// NewSession begins a conversation.
func (b backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{store: b.store}, nil }

type session struct {
	store *Store
	from  string
	to    []string
}

// Mail names the sender.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt names a recipient. Addresses under reject.test are refused for good and
// those under defer.test for now, so that both can be tried.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch {
	case strings.HasSuffix(to, "@reject.test"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	case strings.HasSuffix(to, "@defer.test"):
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "mailbox busy"}
	}
	s.to = append(s.to, to)
	return nil
}

// Data reads the mail and keeps it.
func (s *session) Data(r io.Reader) error {
	m, err := parse(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "unreadable mail"}
	}
	m.Kind, m.To = "mail", s.to
	if m.From == "" {
		m.From = s.from
	}
	return s.store.Add(m)
}

// Reset forgets the mail under way.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout ends the conversation.
func (s *session) Logout() error { return nil }

func parse(r io.Reader) (Message, error) {
	var m Message
	reader, err := mail.CreateReader(r)
	if err != nil {
		return m, err
	}
	if m.Subject, err = reader.Header.Subject(); err != nil {
		return m, err
	}
	if from, err := reader.Header.AddressList("From"); err == nil && len(from) > 0 {
		m.From = from[0].String()
	}
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return m, err
		}
		if err := m.addPart(part); err != nil {
			return m, err
		}
	}
}

func (m *Message) addPart(part *mail.Part) error {
	content, err := io.ReadAll(part.Body)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(content), "\r\n", "\n") // As it was before it was a mail.
	switch header := part.Header.(type) {
	case *mail.AttachmentHeader:
		a := Attachment{Content: content}
		if a.Filename, err = header.Filename(); err != nil {
			return err
		}
		a.ContentType, _, err = header.ContentType()
		m.Attachments = append(m.Attachments, a)
		return err
	case *mail.InlineHeader:
		kind, _, err := header.ContentType()
		if kind == "text/html" {
			m.HTML += text
		} else {
			m.Text += text
		}
		return err
	}
	return nil
}
