package letter

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"time"

	"github.com/google/uuid"
	mail "github.com/wneessen/go-mail"
)

// MailConfig says how mail leaves.
type MailConfig struct {
	Host     string `koanf:"host" doc:"Mail server that takes our mail." required:"true"`
	Port     int    `koanf:"port" doc:"Its port." default:"587"`
	Security string `koanf:"security" doc:"starttls (refuse without), tls (from the first byte), or none (only to this machine)." default:"starttls"`
	User     string `koanf:"user" doc:"User name at the mail server; empty signs in nowhere." default:""`
	Password string `koanf:"password" doc:"Password at the mail server." secret:"true"`
	From     string `koanf:"from" doc:"Sender of all letters, an e-mail address, with a name or without." default:"Kontor <no-reply@kontor.test>"`
	Domain   string `koanf:"domain" doc:"Domain in Message-ID headers." default:"kontor.test"`
}

// sendWithin bounds one conversation with the mail server.
const sendWithin = 30 * time.Second

// Mailer sends mail by SMTP.
type Mailer struct {
	cfg    MailConfig
	client *mail.Client
}

// NewMailer checks the settings; it connects when it sends.
func NewMailer(cfg MailConfig) (*Mailer, error) {
	options := []mail.Option{mail.WithPort(cfg.Port), mail.WithTimeout(sendWithin)}
	switch cfg.Security {
	case "starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case "tls":
		options = append(options, mail.WithSSL())
	case "none":
		if !loopback(cfg.Host) {
			return nil, errors.New("letter: mail without encryption goes to this machine only")
		}
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		return nil, fmt.Errorf("letter: mail security %q is none of starttls, tls, none", cfg.Security)
	}
	if cfg.Security != "none" {
		options = append(options, mail.WithTLSConfig(&tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12}))
	}
	if cfg.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(cfg.User), mail.WithPassword(cfg.Password))
	}
	client, err := mail.NewClient(cfg.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("letter: mail client: %w", err)
	}
	return &Mailer{cfg: cfg, client: client}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// refused is a mail server's answer that trying again will not change.
type refused struct{ reply string }

func (r refused) Error() string { return r.reply }

// Send gives one letter to the mail server.
func (m *Mailer) Send(ctx context.Context, letter uuid.UUID, language, recipient string, content Mail, attached *attachment) error {
	message := mail.NewMsg()
	if err := errors.Join(message.From(m.cfg.From), message.To(recipient)); err != nil {
		return refused{"the address can't be written to: " + err.Error()}
	}
	message.Subject(content.Subject)
	message.SetMessageIDWithValue(MessageID(letter, m.cfg.Domain))
	message.SetDate()
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("Content-Language", language)
	message.SetBodyString(mail.TypeTextPlain, content.Text)
	message.AddAlternativeString(mail.TypeTextHTML, content.HTML)
	if attached != nil {
		if err := message.AttachReader(attached.filename, bytes.NewReader(attached.content), mail.WithFileContentType("application/pdf")); err != nil {
			return fmt.Errorf("letter: attach: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	return permanent(m.client.DialAndSendWithContext(ctx, message))
}

// permanent tells an answer that stays (5xx) from one that may change.
func permanent(err error) error {
	if err == nil {
		return nil
	}
	var sending *mail.SendError
	if errors.As(err, &sending) && !sending.IsTemp() && sending.ErrorCode() >= 500 {
		return refused{strconv.Itoa(sending.ErrorCode()) + " " + sending.Error()}
	}
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 {
		return refused{reply.Error()}
	}
	return fmt.Errorf("letter: send: %w", err)
}
