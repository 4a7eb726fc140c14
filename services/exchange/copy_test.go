package exchange_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// copies lists a company's documents after a place, page by page, as backup does.
func (h *house) copies(company, after string) (all []*exchangev1.CompanyDocument) {
	h.t.Helper()
	backup := exchangev1.NewDocumentCopyServiceClient(h.AsService("backup"))
	for {
		page, err := backup.ListCompanyDocuments(h.t.Context(), &exchangev1.ListCompanyDocumentsRequest{Company: company, After: after, PageSize: 7})
		must(h.t, err)
		if len(page.GetDocuments()) == 0 {
			return all
		}
		all = append(all, page.GetDocuments()...)
		after = all[len(all)-1].GetPlace()
	}
}

// Whatever is sent at once, nobody who goes on from the last place misses a document or sees one twice.
func TestACompanysDocumentsAreListedOnceInTheOrderOfTheirComing(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	_, other := h.connect()
	_, err := h.documents(other.GetSender().GetAccount()).SendDocument(t.Context(), message(other.GetName(), "m", invoice(t, "other")))
	must(t, err)
	sending := make(chan struct{})
	var senders sync.WaitGroup
	const lanes, each = 4, 12
	for lane := range lanes {
		senders.Add(1)
		go func() {
			defer senders.Done()
			documents := h.documents(c.GetSender().GetAccount())
			for i := range each {
				id := fmt.Sprintf("%d-%d", lane, i)
				if _, err := documents.SendDocument(t.Context(), message(c.GetName(), id, invoice(t, id))); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	go func() { senders.Wait(); close(sending) }()
	seen, place := map[string]int{}, ""
	look := func() {
		for _, d := range h.copies(c.GetReceiver().GetCompany(), place) {
			seen[d.GetDocument().GetMessageId()]++
			place = d.GetPlace()
		}
	}
	for open := true; open; {
		select {
		case <-sending:
			open = false
		default:
		}
		look()
	}
	servicetest.Eventually(t, "all are listed", func() bool { look(); return len(seen) == lanes*each })
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was listed %d times", id, n)
		}
	}
	if whole := h.copies(c.GetSender().GetCompany(), ""); len(whole) != lanes*each {
		t.Errorf("the sender has %d", len(whole))
	}
}

// A document that is being taken in holds back those that came after it: whoever goes on from them would miss it.
func TestADocumentThatIsBeingTakenInHoldsBackLaterOnes(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	send := func(id string) {
		_, err := h.documents(c.GetSender().GetAccount()).SendDocument(t.Context(), message(c.GetName(), id, invoice(t, id)))
		must(t, err)
	}
	send("first")
	servicetest.Eventually(t, "it is listed", func() bool { return len(h.copies(c.GetSender().GetCompany(), "")) == 1 })
	tx, err := h.DB.BeginTx(t.Context(), pgx.TxOptions{})
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_current_xact_id()")
	must(t, err)
	send("second")
	if n := len(h.copies(c.GetSender().GetCompany(), "")); n != 1 {
		t.Errorf("%d are listed while an earlier transaction is open", n)
	}
	must(t, tx.Rollback(t.Context()))
	servicetest.Eventually(t, "both are listed", func() bool { return len(h.copies(c.GetSender().GetCompany(), "")) == 2 })
}

func TestADocumentsBytesAreReadForBackupAlone(t *testing.T) {
	h := setup(t)
	manager, c := h.connect()
	company, content := c.GetSender().GetCompany(), invoice(t, "B-1")
	_, err := h.documents(c.GetSender().GetAccount()).SendDocument(t.Context(), message(c.GetName(), "m", content))
	must(t, err)
	servicetest.Eventually(t, "it is listed", func() bool { return len(h.copies(company, "")) == 1 })
	one := h.copies(company, "")[0]
	backup := exchangev1.NewDocumentCopyServiceClient(h.AsService("backup"))
	read := func(from exchangev1.DocumentCopyServiceClient, name string) (all []byte, err error) {
		stream, err := from.ReadDocument(t.Context(), &exchangev1.ReadDocumentRequest{Name: name})
		must(t, err)
		for {
			piece, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return nil, err
			}
			all = append(all, piece.GetData()...)
		}
	}
	got, err := read(backup, one.GetDocument().GetName())
	must(t, err)
	if !bytes.Equal(got, content) || one.GetContentType() != "application/xml" || one.GetDocument().GetFilename() != "m.xml" {
		t.Error(one)
	}
	for name, stranger := range map[string]exchangev1.DocumentCopyServiceClient{
		"a person":        exchangev1.NewDocumentCopyServiceClient(h.As(manager)),
		"another service": exchangev1.NewDocumentCopyServiceClient(h.AsService("notification")),
	} {
		_, err := read(stranger, one.GetDocument().GetName())
		if err == nil {
			t.Errorf("%s reads", name)
		}
	}
	found, err := backup.FindNewDocuments(t.Context(), &exchangev1.FindNewDocumentsRequest{Companies: []*exchangev1.CompanyPlace{
		{Company: company}, {Company: c.GetReceiver().GetCompany(), After: one.GetPlace()}, {Company: company + "0"},
	}})
	must(t, err)
	if len(found.GetCompanies()) != 1 || found.GetCompanies()[0] != company {
		t.Error(found)
	}
	for _, place := range []string{"x", "99999999999.018f2b3c-0000-7000-8000-000000000000", "1.1", "18446744073709551615.018f2b3c-0000-7000-8000-000000000000"} {
		_, err := backup.ListCompanyDocuments(t.Context(), &exchangev1.ListCompanyDocumentsRequest{Company: company, After: place})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_DOCUMENT_PLACE_UNKNOWN)
	}
}
