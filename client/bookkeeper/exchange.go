package bookkeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kontor.internal/client"
	"kontor.internal/client/ubl"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// Send writes an issued invoice out as UBL and sends it. Sending it again has no second effect: the message's id follows from
// the invoice's number.
func (b *Books) Send(ctx context.Context, to *client.Channel, seller Company, number Number) (*exchangev1.Document, error) {
	document, err := b.UBL(ctx, seller, number)
	if err != nil {
		return nil, err
	}
	var written bytes.Buffer
	if err := ubl.Write(&written, document); err != nil {
		return nil, err
	}
	return to.Send(ctx, client.Outgoing{
		MessageID: fmt.Sprintf("sale-%d-%d", number.Year, number.Number), Type: exchangev1.DocumentType_DOCUMENT_TYPE_INVOICE,
		Filename: document.Number + ".xml", Content: written.Bytes(),
	})
}

// Inbox says how received invoices are dealt with.
type Inbox struct {
	// Own is the company's own tax number, by which sales are told from purchases.
	Own string
	// At is when the documents came, for the books.
	At time.Time
	// Judge gives the reason to refuse an invoice, or nothing; nil refuses none.
	Judge func(*exchangev1.InvoiceSummary) string
}

// Taken is what was done with received documents.
type Taken struct {
	Imported, Refused, Repeated int
}

// Receive brings the invoices that wait into the books, tells the sender what was done with each, and acknowledges it. What it
// can't import it refuses with the reason. When it is interrupted anywhere, it goes on where it was.
func (b *Books) Receive(ctx context.Context, from *client.Channel, inbox Inbox) (Taken, error) {
	var taken Taken
	_, err := from.Fetch(ctx, func(document *exchangev1.Document, _ []byte) error {
		return b.take(ctx, from, inbox, document, &taken)
	})
	return taken, err
}

func (b *Books) take(ctx context.Context, from *client.Channel, inbox Inbox, document *exchangev1.Document, taken *Taken) error {
	connection, id, _ := strings.Cut(document.GetName(), "/documents/")
	received := Received{Connection: connection, ID: id, SHA256: document.GetContentSha256(), At: inbox.At, Invoice: document.GetInvoice()}
	reason := ""
	if inbox.Judge != nil {
		reason = inbox.Judge(document.GetInvoice())
	}
	if reason == "" {
		imported, err := b.Import(ctx, inbox.Own, received)
		switch {
		case errors.Is(err, ErrUnreadable):
			reason = err.Error()
		case err != nil:
			return err
		case imported:
			taken.Imported++
			return tell(ctx, from, document)
		default:
			taken.Repeated++
			return tell(ctx, from, document)
		}
	}
	if err := b.Refuse(ctx, inbox.Own, received, reason); err != nil {
		return err
	}
	taken.Refused++
	if document.GetOfficeState() == exchangev1.OfficeState_OFFICE_STATE_REFUSED {
		return nil
	}
	return from.SetState(ctx, document.GetName(), exchangev1.OfficeState_OFFICE_STATE_REFUSED, reason)
}

// tell says that an invoice is imported and posted, as far as that was not said before.
func tell(ctx context.Context, from *client.Channel, document *exchangev1.Document) error {
	switch document.GetOfficeState() {
	case exchangev1.OfficeState_OFFICE_STATE_POSTED:
		return nil
	case exchangev1.OfficeState_OFFICE_STATE_IMPORTED:
	default:
		if err := from.SetState(ctx, document.GetName(), exchangev1.OfficeState_OFFICE_STATE_IMPORTED, ""); err != nil {
			return err
		}
	}
	return from.SetState(ctx, document.GetName(), exchangev1.OfficeState_OFFICE_STATE_POSTED, "")
}
