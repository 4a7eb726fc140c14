package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

const (
	// invoicesSent is how many invoices travel.
	invoicesSent = 100
	// wrongTax is the tax number of another company of the office's.
	wrongTax = "LV40003000999"
	// officeSays is why the office refuses one invoice.
	officeSays = "This customer is not ours, please check."
	// strangeBuyer is whose invoice the office refuses.
	strangeBuyer = "Svešs pircējs SIA"
)

// exchangeInvoices lets invoices travel from the company's books to those that its accounting office keeps for it.
func exchangeInvoices(ctx context.Context, s *Stage) error {
	e := &exchanging{
		Stage: s, officer: person{"Zane", "zane@birojs.example"},
		sender: person{"the sender's program", "rekini@testapiemers.lv"}, receiver: person{"the receiver's program", "sanemsana@birojs.example"},
	}
	return inOrder(
		func() error { return s.does("an accounting office joins", e.officeJoins(ctx)) },
		func() error { return s.does("it adds two companies", e.addCompanies(ctx)) },
		func() error { return s.does("a connection to the wrong company", e.connectWrong(ctx)) },
		func() error {
			return s.does("a connection to the company with the same tax number", e.connect(ctx))
		},
		func() error { return s.does("the office agrees to it", e.accept(ctx)) },
		func() error {
			return s.does("both programs' accounts get letters and are activated", e.activate(ctx))
		},
		func() error { return s.does("the connection is tested", e.test(ctx)) },
		func() error { return s.does("the sample program writes and sends 100 invoices", e.send(ctx)) },
		func() error {
			return s.does("the office's program fetches and imports them", e.receive(ctx))
		},
		func() error { return s.does("the sender reads what became of them", e.hear(ctx)) },
		func() error { return s.does("the sender checks the receipts", e.receipts(ctx)) },
	)
}

// exchanging is the step with what its parts hand on.
type exchanging struct {
	*Stage
	officer, sender, receiver person
	office                    string // the office's subscriber
	wrong, right              string // its companies
	connection                string
	documents                 []string // that were sent
}

func (e *exchanging) officeJoins(ctx context.Context) func() (string, error) {
	return func() (_ string, err error) {
		p := &harness.Person{Client: e.Suite.Visitor(), Email: e.officer.email, FullName: "Zane Ābele"}
		if err := e.joinUp(ctx, p); err != nil {
			return "", err
		}
		if err := p.SignIn(ctx, harness.Password); err != nil {
			return "", err
		}
		e.office, err = p.StartTrial(ctx, "SIA Grāmatu birojs")
		return e.office, err
	}
}

// addCompanies makes the books that the office keeps: of another customer, and of the demo's company.
func (e *exchanging) addCompanies(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		err := e.atDesk(ctx, e.officer.email, func(d *desk) (err error) {
			if e.wrong, err = d.emptyCompany(ctx, e.office, "SIA Cits klients", wrongTax); err != nil {
				return err
			}
			e.right, err = d.emptyCompany(ctx, e.office, companyTitle+" (birojā)", companyTax)
			return err
		})
		return fmt.Sprintf("%s and %s", wrongTax, companyTax), err
	}
}

func (d *desk) emptyCompany(ctx context.Context, subscriber, title, taxNumber string) (string, error) {
	answer, err := tenancyv1.NewCompanyServiceClient(d.conn()).CreateCompany(ctx, &tenancyv1.CreateCompanyRequest{
		Parent: subscriber, Title: title, TaxNumber: taxNumber, Product: "books", Activity: "trade", RequestId: client.RequestID(),
	})
	if err != nil {
		return "", err
	}
	_, err = d.session.Wait(ctx, answer.GetOperation().GetName(), nil)
	return answer.GetCompany().GetName(), err
}

func (e *exchanging) create(ctx context.Context, d *desk, receiver string) (*exchangev1.CreateConnectionResponse, error) {
	return exchangev1.NewConnectionServiceClient(d.conn()).CreateConnection(ctx, &exchangev1.CreateConnectionRequest{
		Parent: e.subscriber, SenderCompany: e.company, SenderProgram: exchangev1.Program_PROGRAM_START_FAKTURA, SenderEmail: e.sender.email,
		ReceiverCompany: receiver, ReceiverProgram: exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC, ReceiverEmail: e.receiver.email,
		RequestId: client.RequestID(),
	})
}

func (e *exchanging) connectWrong(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = e.atDesk(ctx, e.owner.Email, func(d *desk) error {
			_, err := e.create(ctx, d, e.wrong)
			outcome, err = refusedBy("TAX_NUMBERS_DIFFER", err)
			if err == nil && (!strings.Contains(outcome, wrongTax) || !strings.Contains(outcome, companyTax)) {
				err = fmt.Errorf("both numbers are not named: %s", outcome)
			}
			return err
		})
		return outcome, err
	}
}

func (e *exchanging) connect(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = e.atDesk(ctx, e.owner.Email, func(d *desk) error {
			answer, err := e.create(ctx, d, e.right)
			if err != nil {
				return err
			}
			e.connection = answer.GetConnection().GetName()
			outcome = fmt.Sprintf("%s, %s", e.connection, answer.GetConnection().GetState())
			if answer.GetConnection().GetState() != exchangev1.ConnectionState_CONNECTION_STATE_PENDING {
				return fmt.Errorf("it does not wait for the office: %s", outcome)
			}
			return nil
		})
		return outcome, err
	}
}

func (e *exchanging) accept(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = e.atDesk(ctx, e.officer.email, func(d *desk) error {
			answer, err := exchangev1.NewConnectionServiceClient(d.conn()).AcceptConnection(ctx, &exchangev1.AcceptConnectionRequest{
				Parent: e.office, Connection: e.connection,
			})
			outcome = answer.GetConnection().GetState().String()
			if err == nil && answer.GetConnection().GetState() != exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE {
				err = errors.New(outcome)
			}
			return err
		})
		return outcome, err
	}
}

func (e *exchanging) activate(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		var letters []string
		for _, end := range []person{e.sender, e.receiver} {
			subject, err := e.joins(ctx, end)
			if err != nil {
				return "", fmt.Errorf("%s: %w", end.email, err)
			}
			letters = append(letters, end.email+" "+subject)
		}
		return strings.Join(letters, ", "), nil
	}
}

func (e *exchanging) test(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = e.atDesk(ctx, e.owner.Email, func(d *desk) error {
			answer, err := exchangev1.NewConnectionServiceClient(d.conn()).TestConnection(ctx, &exchangev1.TestConnectionRequest{Name: e.connection})
			var steps []string
			for _, check := range answer.GetChecks() {
				steps = append(steps, check.GetKey())
				if !check.GetOk() {
					err = errors.Join(err, fmt.Errorf("%s: %s", check.GetKey(), check.GetText()))
				}
			}
			outcome = "all is well: " + strings.Join(steps, ", ")
			return err
		})
		return outcome, err
	}
}

// seller is the demo's company as its invoices name it.
func seller() bookkeeper.Company {
	return bookkeeper.Company{Name: companyTitle, TaxNumber: companyTax, Street: "Brīvības iela 1", City: "Rīga", PostCode: "LV-1010", Country: "LV"}
}

func (e *exchanging) send(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = e.atDesk(ctx, e.sender.email, func(program *desk) error {
			return e.working(ctx, e.users[0], e.company, func(w *worker) error {
				channel := program.session.Channel(e.connection)
				for n := range invoicesSent {
					name, err := e.sendOne(ctx, w, channel, n)
					if err != nil {
						return fmt.Errorf("invoice %d: %w", n+1, err)
					}
					e.documents = append(e.documents, name)
				}
				return nil
			})
		})
		return fmt.Sprintf("%d documents are in; the first was sent twice and is in once", len(e.documents)), err
	}
}

func (e *exchanging) sendOne(ctx context.Context, w *worker, channel *client.Channel, n int) (string, error) {
	buyer := bookkeeper.Partner{TaxNumber: "LV40003000456", Name: "Egle SIA", Country: "LV"}
	if n == invoicesSent/2 {
		buyer = bookkeeper.Partner{TaxNumber: "LV40003000777", Name: strangeBuyer, Country: "LV"}
	}
	issued, err := w.IssueInvoice(ctx, bookkeeper.SampleSale(n, today(), buyer))
	if err != nil {
		return "", err
	}
	document, err := w.Send(ctx, channel, seller(), issued.Number)
	if err != nil || n > 0 {
		return document.GetName(), err
	}
	// The first is sent twice, as after a lost answer: it has one effect.
	again, err := w.Send(ctx, channel, seller(), issued.Number)
	if err == nil && again.GetName() != document.GetName() {
		err = fmt.Errorf("sent again it became %s", again.GetName())
	}
	return document.GetName(), err
}

func (e *exchanging) receive(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = e.atDesk(ctx, e.receiver.email, func(program *desk) error {
			return e.working(ctx, e.officer, e.right, func(w *worker) error {
				if _, err := w.EnsureYear(ctx, today()); err != nil {
					return err
				}
				taken, err := w.Receive(ctx, program.session.Channel(e.connection), bookkeeper.Inbox{Own: companyTax, At: today(), Judge: refuseStrange})
				if err != nil {
					return err
				}
				counts, err := w.Count(ctx)
				if taken.Imported != invoicesSent-1 || taken.Refused != 1 || counts.Sales != taken.Imported || counts.Received != invoicesSent {
					err = errors.Join(err, fmt.Errorf("taken %+v, the books hold %+v", taken, counts))
				}
				outcome = fmt.Sprintf("%d imported and posted, %d refused; the office's books hold %d sales", taken.Imported, taken.Refused, counts.Sales)
				return err
			})
		})
		return outcome, err
	}
}

func refuseStrange(invoice *exchangev1.InvoiceSummary) string {
	if invoice.GetBuyer().GetName() == strangeBuyer {
		return officeSays
	}
	return ""
}

// hear follows the statuses back to the sender.
func (e *exchanging) hear(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		delivered, posted, refused, steps := map[string]bool{}, map[string]bool{}, "", 0
		err := e.atDesk(ctx, e.sender.email, func(program *desk) error {
			_, err := program.session.Channel(e.connection).Steps(ctx, 0, func(step *exchangev1.PlacedStep) error {
				steps++
				if step.GetStep().GetTransport() == exchangev1.TransportState_TRANSPORT_STATE_DELIVERED {
					delivered[step.GetDocument()] = true
				}
				switch step.GetStep().GetOffice() {
				case exchangev1.OfficeState_OFFICE_STATE_POSTED:
					posted[step.GetDocument()] = true
				case exchangev1.OfficeState_OFFICE_STATE_REFUSED:
					refused = step.GetStep().GetReason()
				default:
				}
				return nil
			})
			return err
		})
		if err == nil && (len(delivered) != invoicesSent || len(posted) != invoicesSent-1 || refused != officeSays) {
			err = errors.New("that is not what happened")
		}
		return fmt.Sprintf("%d steps: %d delivered, %d posted, one refused: %q", steps, len(delivered), len(posted), refused), err
	}
}

func (e *exchanging) receipts(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		var last *client.Receipt
		err := e.atDesk(ctx, e.sender.email, func(program *desk) error {
			channel := program.session.Channel(e.connection)
			for _, document := range e.documents {
				receipt, err := channel.Receipt(ctx, document)
				if err != nil {
					return fmt.Errorf("%s: %w", document, err)
				}
				if receipt.Receiver != e.right || receipt.Sender != e.company {
					return fmt.Errorf("the receipt of %s says %+v", document, receipt)
				}
				last = receipt
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		same := slices.Compact(slices.Sorted(slices.Values(e.documents)))
		return fmt.Sprintf("%d signatures are Kontor's; the last was delivered at %s", len(same), last.Delivered.Format("15:04:05 MST")), nil
	}
}
