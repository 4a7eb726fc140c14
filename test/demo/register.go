package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// register is the way from a visitor to somebody who may work.
func register(ctx context.Context, s *Stage) error {
	if err := s.signUp(ctx); err != nil {
		return err
	}
	if err := s.becomeLegalEntity(ctx); err != nil {
		return err
	}
	return s.acceptContract(ctx)
}

func (s *Stage) signUp(ctx context.Context) error {
	p := &harness.Person{Client: s.Suite.Visitor(), Email: "anna.kalnina@example.org", FullName: "Anna Kalniņa"}
	s.owner = p
	var token string
	return inOrder(
		func() error {
			return s.does("registers by e-mail", func() (string, error) { return p.Email, p.Register(ctx) })
		},
		func() error {
			return s.does("gets a letter with a link", func() (string, error) {
				mail, err := s.Suite.Inbox().Wait(ctx, harness.Query{To: p.Email})
				if err == nil {
					token, err = mail.Token()
				}
				return fmt.Sprintf("%q", mail.Subject), err
			})
		},
		func() error {
			return s.does("tries a weak password", func() (string, error) {
				return refusedFor("PASSWORD_REFUSED", p.Activate(ctx, token, "parole"))
			})
		},
		func() error {
			return s.does("confirms with a good password", func() (string, error) {
				return "the account is active", p.Activate(ctx, token, harness.Password)
			})
		},
		func() error {
			return s.does("follows the link again", func() (string, error) {
				return refusedFor("LINK_USED", p.Activate(ctx, token, harness.Password))
			})
		},
		func() error {
			return s.does("signs in", func() (string, error) { return "a session began", p.SignIn(ctx, harness.Password) })
		},
	)
}

func (s *Stage) becomeLegalEntity(ctx context.Context) error {
	var mine *tenancyv1.Subscriber
	return inOrder(
		func() error {
			return s.does("finds a subscriber made for them", func() (_ string, err error) {
				if mine, err = s.owner.Subscriber(ctx); err != nil {
					return "", err
				}
				s.subscriber = mine.GetName()
				return mine.GetCode() + ", " + mine.GetTitle(), nil
			})
		},
		func() error {
			return s.does("asks for the contract at once", func() (string, error) {
				_, err := s.owner.CreateContract(ctx, s.subscriber, harness.Trial)
				return refusedFor("SUBSCRIBER_INCOMPLETE", err)
			})
		},
		func() error {
			return s.does("says which legal entity they are", func() (string, error) {
				described, err := s.owner.Describe(ctx, s.subscriber, harness.LegalEntity("SIA Kalniņa un partneri"))
				if err == nil && !described.GetComplete() {
					err = errors.New("something is still missing")
				}
				return described.GetTitle(), err
			})
		},
	)
}

func (s *Stage) acceptContract(ctx context.Context) error {
	var contract *licensingv1.Contract
	var pdf []byte
	return inOrder(
		func() error {
			return s.does("has the contract made", func() (_ string, err error) {
				contract, err = s.owner.CreateContract(ctx, s.subscriber, harness.Trial)
				return contract.GetNumber(), err
			})
		},
		func() error {
			return s.does("downloads it, interrupted and resumed", func() (_ string, err error) {
				const broken = 4096 // bytes, after which the connection is lost
				if pdf, err = s.owner.Download(ctx, contract.GetName(), broken); err != nil {
					return "", err
				}
				sum := sha256.Sum256(pdf)
				if !bytes.HasPrefix(pdf, []byte("%PDF-")) || !bytes.Equal(sum[:], contract.GetDocumentSha256()) {
					return "", errors.New("it is not the PDF that the contract names")
				}
				file := s.document(contract.GetFilename())
				return fmt.Sprintf("%s, %d bytes, SHA-256 %s", file, len(pdf), hex.EncodeToString(sum[:])), os.WriteFile(file, pdf, 0o600)
			})
		},
		func() error { return s.right(ctx, "may not work before the acceptance", false) },
		func() error {
			return s.does("accepts it", func() (string, error) {
				accepted, err := s.owner.Accept(ctx, contract.GetName(), contract.GetDocumentSha256())
				if err == nil && accepted.GetState() != licensingv1.ContractState_CONTRACT_STATE_ACCEPTED {
					err = fmt.Errorf("its state is %s", accepted.GetState())
				}
				a := accepted.GetAcceptance()
				return fmt.Sprintf("recorded: %s, %s, from %s", a.GetAccount(), a.GetAcceptTime().AsTime().Format("2006-01-02 15:04:05 MST"), a.GetAddress()), err
			})
		},
		func() error { return s.right(ctx, "may work from now on", true) },
		func() error {
			return s.does("gets a copy by mail", func() (string, error) {
				mail, err := s.Suite.Inbox().Wait(ctx, harness.Query{To: s.owner.Email, Subject: contract.GetNumber()})
				if err == nil && !slices.ContainsFunc(mail.Attachments, func(a harness.Attachment) bool { return bytes.Equal(a.Content, pdf) }) {
					err = errors.New("the letter has no copy of the document")
				}
				return fmt.Sprintf("%q", mail.Subject), err
			})
		},
	)
}

// right asks whether the subscriber may write, and why (not).
func (s *Stage) right(ctx context.Context, part string, want bool) error {
	return s.does(part, func() (string, error) {
		decision, err := s.owner.Explain(ctx, s.subscriber, licensingv1.Action_ACTION_WRITE)
		if err != nil {
			return "", err
		}
		if decision.GetAllowed() != want || len(decision.GetConditions()) == 0 {
			return "", fmt.Errorf("allowed is %t: %v", decision.GetAllowed(), decision.GetConditions())
		}
		return decision.GetConditions()[0].GetText(), nil // Those that failed come first.
	})
}

// refusedFor makes the outcome of a refusal that has to be.
func refusedFor(reason string, err error) (string, error) {
	if harness.Reason(err) != reason {
		return "", fmt.Errorf("want %s, got %w", reason, orDone(err))
	}
	return "refused, " + err.Error(), nil
}

func orDone(err error) error {
	if err == nil {
		return errors.New("no refusal")
	}
	return err
}

// inOrder runs parts up to the first that fails.
func inOrder(parts ...func() error) error {
	for _, part := range parts {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}
