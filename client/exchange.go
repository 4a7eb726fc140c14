package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// Channel is one end of a connection, in the session of the account that was made for it.
type Channel struct {
	name      string
	documents exchangev1.DocumentServiceClient
	keys      exchangev1.KeyServiceClient
}

// Channel gives the connection `connections/X`.
func (s *Session) Channel(connection string) *Channel {
	return &Channel{connection, exchangev1.NewDocumentServiceClient(s.Conn()), exchangev1.NewKeyServiceClient(s.Conn())}
}

// Outgoing is a document to be sent.
type Outgoing struct {
	// MessageID is the program's own id of the message. Keep it with the document and use it again when sending is repeated:
	// then there is one effect, however often it is sent.
	MessageID string
	// Type is what it is.
	Type exchangev1.DocumentType
	// Filename without a path.
	Filename string
	// Content, 3 MiB at the most.
	Content []byte
}

// BrokenRulesError says that a document breaks rules of its kind and was not sent. It is kept at Kontor as rejected.
type BrokenRulesError struct {
	Document *exchangev1.Document
}

// Error names the rules.
func (e *BrokenRulesError) Error() string {
	text := "the document breaks rules and was not sent"
	for _, b := range e.Document.GetRuleBreaks() {
		text += fmt.Sprintf("; %s: %s", b.GetRule(), b.GetText())
	}
	return text
}

// Send hands a document to Kontor: once it returns without an error, the document is durable there. A document that breaks
// rules gives a *BrokenRulesError. Reasons of other refusals: MESSAGE_ID_REUSED, DOCUMENT_REPEATED, DOCUMENT_NOT_XML and
// others of its form, DOCUMENT_OF_ANOTHER_COMPANY, RIGHT_MISSING.
func (c *Channel) Send(ctx context.Context, o Outgoing) (*exchangev1.Document, error) {
	answer, err := c.documents.SendDocument(ctx, &exchangev1.SendDocumentRequest{
		Parent: c.name, MessageId: o.MessageID, Type: o.Type, Filename: o.Filename, Content: o.Content,
	})
	if err != nil {
		return nil, err
	}
	document := answer.GetDocument()
	if document.GetTransportState() == exchangev1.TransportState_TRANSPORT_STATE_REJECTED {
		return document, &BrokenRulesError{document}
	}
	return document, nil
}

// Fetch hands the documents that wait to take, oldest first, and acknowledges each that take has made durable: it comes
// again until then, so take must know a repeated one. It goes on until nothing waits, and counts what it acknowledged. The
// receipt of each goes to the sender too.
func (c *Channel) Fetch(ctx context.Context, take func(*exchangev1.Document, []byte) error) (int, error) {
	taken := 0
	for {
		answer, err := c.documents.FetchDocuments(ctx, &exchangev1.FetchDocumentsRequest{Parent: c.name})
		if err != nil {
			return taken, err
		}
		for _, fetched := range answer.GetDocuments() {
			if err := c.takeOne(ctx, fetched, take); err != nil {
				return taken, fmt.Errorf("document %s: %w", fetched.GetDocument().GetName(), err)
			}
			taken++
		}
		if !answer.GetMore() {
			return taken, nil
		}
	}
}

func (c *Channel) takeOne(ctx context.Context, fetched *exchangev1.FetchedDocument, take func(*exchangev1.Document, []byte) error) error {
	sum := sha256.Sum256(fetched.GetContent())
	if got := hex.EncodeToString(sum[:]); got != fetched.GetDocument().GetContentSha256() {
		return fmt.Errorf("its SHA-256 is %s and should be %s", got, fetched.GetDocument().GetContentSha256())
	}
	if err := take(fetched.GetDocument(), fetched.GetContent()); err != nil {
		return err
	}
	_, err := c.documents.AcknowledgeDocument(ctx, &exchangev1.AcknowledgeDocumentRequest{
		Name: fetched.GetDocument().GetName(), ContentSha256: fetched.GetDocument().GetContentSha256(),
	})
	return err
}

// SetState tells the sender what the receiver's office did with a document; to refuse and to ask it wants a reason.
func (c *Channel) SetState(ctx context.Context, document string, state exchangev1.OfficeState, reason string) error {
	_, err := c.documents.SetOfficeState(ctx, &exchangev1.SetOfficeStateRequest{Name: document, State: state, Reason: reason})
	return err
}

// Steps hands on what happened to the connection's documents after a place, in order, and gives the place to go on from
// next time. The first place is 0.
func (c *Channel) Steps(ctx context.Context, after int64, hear func(*exchangev1.PlacedStep) error) (int64, error) {
	for {
		answer, err := c.documents.ListSteps(ctx, &exchangev1.ListStepsRequest{Parent: c.name, Place: after})
		if err != nil {
			return after, err
		}
		for _, step := range answer.GetSteps() {
			if err := hear(step); err != nil {
				return after, err
			}
		}
		if len(answer.GetSteps()) == 0 {
			return after, nil
		}
		after = answer.GetNextPlace()
	}
}
