package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

const (
	powerCuts = 3
	// The suite runs for a random time of these between two cuts.
	shortestLife, longestLife = 200 * time.Millisecond, 4 * time.Second
	// workers are as many as the seats that were agreed on; each writes slips.
	workers, slips = 2, 10
	// documentsSent travel in one connection.
	documentsSent = 10
	// seatLease keeps short the time for which claims wait after a cut.
	seatLease = 10
	// companiesMade is how many companies the lines make together; all that the licence allows.
	companiesMade = 4
)

// The main job is done while the power is cut at random moments. Clients repeat what was not answered, with the same ids.
// At the end everything was done once and nothing is half-done.
func TestPowerCutsAtRandomMomentsLeaveNothingLostOrHalfDone(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.Needs(t, "tenancy", "licensing", "notification", "backup", "exchange")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	copyFile := booksCopy(t, 4)

	j := &job{suite: s}
	for n := range documentsSent {
		j.documents = append(j.documents, written(t, fmt.Sprintf("R-%d", n)))
	}
	lines, ctx := errgroup.WithContext(t.Context())
	lines.Go(func() error { return j.cutPower(ctx, rand.New(rand.NewPCG(seed, 0)), t) })
	lines.Go(func() error { return j.play(ctx, copyFile) })
	if err := lines.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests were repeated", j.repeated.Load())
	nothingHalfDone(t, j)
}

// job is the main job with what its lines hand on.
type job struct {
	suite      *harness.Suite
	documents  [][]byte
	repeated   atomic.Int64
	owner      *harness.Person
	subscriber string
	session    *client.Session
}

func (j *job) cutPower(ctx context.Context, dice *rand.Rand, t *testing.T) error {
	for range powerCuts {
		life := shortestLife + time.Duration(dice.Int64N(int64(longestLife-shortestLife)))
		select {
		case <-ctx.Done():
			return nil // What failed says so itself.
		case <-time.After(life):
		}
		if err := errors.Join(j.suite.KillAll(context.WithoutCancel(ctx)), j.suite.Start(context.WithoutCancel(ctx))); err != nil {
			return err
		}
		t.Logf("the power was cut after %s", life.Round(time.Millisecond))
	}
	return nil
}

// until repeats what was not answered; what Kontor answered stands.
func (j *job) until(ctx context.Context, what string, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		err := do()
		if err == nil || !unanswered(err) {
			return err
		}
		j.repeated.Add(1)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func unanswered(err error) bool {
	if refusal, ok := harness.Refused(err); ok {
		return refusal.HTTP >= 500 || refusal.HTTP == 409 && refusal.Reason == "CONFLICT"
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Unknown, codes.Canceled:
		return true // Unknown is what is no answer over gRPC or REST at all.
	default:
		return false
	}
}

func (j *job) play(ctx context.Context, copyFile string) error {
	if err := j.begin(ctx); err != nil {
		return err
	}
	lines, ctx := errgroup.WithContext(ctx)
	lines.Go(func() error { return j.work(ctx) })
	lines.Go(func() error { return j.exchange(ctx) })
	lines.Go(func() error { return j.bring(ctx, copyFile) })
	return lines.Wait()
}

// begin signs the owner up, has the trial's contract accepted and agrees with the vendor's staff on two seats.
func (j *job) begin(ctx context.Context) (err error) {
	if j.owner, err = j.signUp(ctx, "Izturīgā"); err != nil {
		return err
	}
	if err := j.startTrial(ctx); err != nil {
		return fmt.Errorf("the trial: %w", err)
	}
	if j.session, err = j.signIn(ctx, j.owner); err != nil {
		return err
	}
	return j.agreeOnSeats(ctx)
}

func (j *job) signUp(ctx context.Context, name string) (*harness.Person, error) {
	p := &harness.Person{Client: j.suite.Visitor(), Email: harness.NewEmail("cut"), FullName: name}
	request := &identityv1.RegisterAccountRequest{Email: p.Email, FullName: name, Language: "en", RequestId: client.RequestID()}
	if err := j.until(ctx, "register", func() error { return p.Post(ctx, "/v1/accounts:register", request, nil) }); err != nil {
		return nil, err
	}
	return p, j.activate(ctx, p)
}

// activate follows the link in the letter and signs in.
func (j *job) activate(ctx context.Context, p *harness.Person) error {
	var mail harness.Mail
	err := j.until(ctx, "the letter to "+p.Email, func() (err error) {
		mail, err = j.suite.Inbox().Wait(ctx, harness.Query{To: p.Email})
		return err
	})
	if err != nil {
		return err
	}
	token, err := mail.Token()
	if err != nil {
		return err
	}
	err = j.until(ctx, "activate", func() error { return p.Activate(ctx, token, harness.Password) })
	if err != nil && harness.Reason(err) != "LINK_USED" { // It was, by a try that was not answered.
		return err
	}
	return j.until(ctx, "sign in", func() error { return p.SignIn(ctx, harness.Password) })
}

func (j *job) startTrial(ctx context.Context) error {
	p := j.owner
	err := j.until(ctx, "the subscriber", func() error {
		mine, err := p.Subscriber(ctx)
		j.subscriber = mine.GetName()
		return err
	})
	if err != nil {
		return err
	}
	err = j.until(ctx, "describe", func() error {
		_, err := p.Describe(ctx, j.subscriber, harness.LegalEntity("SIA Izturīgā"))
		return err
	})
	if err != nil {
		return err
	}
	var made licensingv1.CreateContractResponse
	wanted := &licensingv1.CreateContractRequest{Plan: harness.Trial, Language: "en", RequestId: client.RequestID()}
	err = j.until(ctx, "contract", func() error { return p.Post(ctx, "/v1/"+j.subscriber+"/contracts", wanted, &made) })
	if err != nil {
		return err
	}
	accepted := &licensingv1.AcceptContractRequest{DocumentSha256: made.GetContract().GetDocumentSha256(), RequestId: client.RequestID()}
	return j.until(ctx, "accept", func() error { return p.Post(ctx, "/v1/"+made.GetContract().GetName()+":accept", accepted, nil) })
}

// signIn is the client library's session on a device of its own.
func (j *job) signIn(ctx context.Context, p *harness.Person) (session *client.Session, err error) {
	kontor, err := p.Library()
	if err != nil {
		return nil, err
	}
	return session, j.until(ctx, "sign in", func() (err error) {
		session, err = kontor.SignIn(ctx, credentials(p))
		return err
	})
}

func (j *job) agreeOnSeats(ctx context.Context) error {
	staff, err := j.signUp(ctx, "Staff")
	if err != nil {
		return err
	}
	session, err := j.signIn(ctx, staff)
	if err != nil {
		return err
	}
	defer session.Close()
	licences := licensingv1.NewLicenceServiceClient(session.Conn())
	err = j.until(ctx, "first staff", func() error {
		_, err := tenancyv1.NewStaffServiceClient(session.Conn()).ClaimFirstStaff(ctx, &tenancyv1.ClaimFirstStaffRequest{Token: j.suite.State().FirstStaffToken})
		return err
	})
	if err != nil && j.until(ctx, "staff", func() error { // An unanswered try may have been the one that counted.
		_, err := licences.ListLicences(ctx, &licensingv1.ListLicencesRequest{Parent: j.subscriber})
		return err
	}) != nil {
		return err
	}
	return j.until(ctx, "two seats", func() error {
		found, err := licences.ListLicences(ctx, &licensingv1.ListLicencesRequest{Parent: j.subscriber})
		if err != nil || len(found.GetLicences()) != 1 {
			return errors.Join(err, fmt.Errorf("%d licences", len(found.GetLicences())))
		}
		_, err = licences.UpdateLicence(ctx, &licensingv1.UpdateLicenceRequest{
			Licence:    &licensingv1.Licence{Name: found.GetLicences()[0].GetName(), Limits: &licensingv1.Limits{Seats: workers, LeaseSeconds: seatLease, Companies: companiesMade}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"limits.seats", "limits.lease_seconds", "limits.companies"}}, Reason: "Agreed by telephone.",
		})
		return err
	})
}

// company has a company made.
func (j *job) company(ctx context.Context, title, upload string) (string, error) {
	request := &tenancyv1.CreateCompanyRequest{Parent: j.subscriber, Title: title, TaxNumber: exchangedTax, Upload: upload, RequestId: client.RequestID()}
	if upload == "" {
		request.Activity = "trade"
	}
	companies := tenancyv1.NewCompanyServiceClient(j.session.Conn())
	var made *tenancyv1.CreateCompanyResponse
	err := j.until(ctx, "company", func() (err error) {
		made, err = companies.CreateCompany(ctx, request)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("company %s: %w", title, err)
	}
	if err = j.ended(ctx, made.GetOperation()); err != nil {
		return "", fmt.Errorf("company %s: %w", title, err)
	}
	return made.GetCompany().GetName(), nil
}

func (j *job) ended(ctx context.Context, o *commonv1.Operation) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err := j.session.Wait(ctx, o.GetName(), nil)
	return err
}

// work lets two programs write slips into one company's books, each in a seat of its own.
func (j *job) work(ctx context.Context) error {
	company, err := j.company(ctx, "SIA Vietas", "")
	if err != nil {
		return err
	}
	lines, ctx := errgroup.WithContext(ctx)
	for n := range workers {
		lines.Go(func() error {
			w := &slipWriter{job: j, company: company, device: fmt.Sprintf("pc-%d", n+1)}
			defer w.leave(ctx)
			for slip := range slips {
				if err := w.write(ctx, fmt.Sprintf("%s, slip %d", w.device, slip+1)); err != nil {
					return fmt.Errorf("%s: %w", w.device, err)
				}
				select { // People need some time for a slip; so the work takes longer than a suite's life.
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-time.After(500 * time.Millisecond):
				}
			}
			return nil
		})
	}
	if err := lines.Wait(); err != nil {
		return err
	}
	return j.countSlips(context.WithoutCancel(ctx), company)
}

// slipWriter is an accounting program that begins anew when its seat or database is gone.
type slipWriter struct {
	*job
	company, device string
	program         *bookkeeper.Program
}

func (w *slipWriter) leave(ctx context.Context) {
	if w.program == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = w.program.Close(ctx) // What it can't give back ends with the lease.
	w.program = nil
}

func (w *slipWriter) write(ctx context.Context, slip string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		err := w.writeOnce(ctx, slip)
		if err == nil {
			return nil
		}
		w.repeated.Add(1)
		w.leave(ctx)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (w *slipWriter) writeOnce(ctx context.Context, slip string) (err error) {
	today := time.Now().UTC()
	if w.program == nil {
		kontor, err := w.owner.Library()
		if err != nil {
			return err
		}
		w.program, err = bookkeeper.Open(ctx, kontor, bookkeeper.Start{Credentials: credentials(w.owner), Company: w.company, Device: w.device})
		if err != nil {
			return errors.Join(err, kontor.Close())
		}
		if _, err := w.program.EnsureYear(ctx, today); err != nil {
			return err
		}
	}
	// A try that was not answered may have been written.
	var there bool
	err = w.program.Company.Pool().QueryRow(ctx, "SELECT EXISTS (SELECT FROM books.cash_vouchers WHERE description = $1)", slip).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = w.program.WriteVoucher(ctx, bookkeeper.Voucher{Receipt: true, Day: today, Person: "Ilze Liepa", Description: slip, Amount: 1_000})
	return err
}

// countSlips finds each slip once, in a third program that gets in when the others have left.
func (j *job) countSlips(ctx context.Context, company string) error {
	w := &slipWriter{job: j, company: company, device: "pc-3"}
	defer w.leave(ctx)
	if err := w.write(ctx, "the last"); err != nil {
		return err
	}
	var rows, different int
	err := w.program.Company.Pool().QueryRow(ctx, "SELECT count(*), count(DISTINCT description) FROM books.cash_vouchers").Scan(&rows, &different)
	if want := workers*slips + 1; err == nil && (rows != want || different != want) {
		err = fmt.Errorf("the books hold %d slips, %d different ones, want %d", rows, different, want)
	}
	return err
}

// bring uploads a copy and has a company made of it.
func (j *job) bring(ctx context.Context, file string) error {
	var upload *tenancyv1.Upload
	err := j.until(ctx, "upload", func() (err error) {
		upload, err = j.session.UploadFile(ctx, j.subscriber, file, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("the upload: %w", err)
	}
	_, err = j.company(ctx, "SIA Atvestā", upload.GetName())
	return err
}

// exchange sends documents in a connection, takes each once and checks its receipt.
func (j *job) exchange(ctx context.Context) error {
	from, err := j.company(ctx, "SIA Sūtītāja", "")
	if err != nil {
		return err
	}
	to, err := j.company(ctx, "SIA Birojs", "")
	if err != nil {
		return err
	}
	r := &exchangev1.CreateConnectionRequest{
		Parent: j.subscriber, SenderCompany: from, ReceiverCompany: to,
		SenderProgram: exchangev1.Program_PROGRAM_START_FAKTURA, ReceiverProgram: exchangev1.Program_PROGRAM_START_MALA_KSIEGOWOSC,
		SenderEmail: harness.NewEmail("sender"), ReceiverEmail: harness.NewEmail("receiver"), RequestId: client.RequestID(),
	}
	var made *exchangev1.CreateConnectionResponse
	err = j.until(ctx, "connection", func() (err error) {
		made, err = exchangev1.NewConnectionServiceClient(j.session.Conn()).CreateConnection(ctx, r)
		return err
	})
	if err != nil {
		return fmt.Errorf("the connection: %w", err)
	}
	var ends [2]*client.Channel
	for i, email := range []string{r.GetSenderEmail(), r.GetReceiverEmail()} {
		p := &harness.Person{Client: j.suite.Visitor(), Email: email}
		if err := j.activate(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", email, err)
		}
		session, err := j.signIn(ctx, p)
		if err != nil {
			return err
		}
		defer session.Close()
		ends[i] = session.Channel(made.GetConnection().GetName())
	}
	sent, err := j.send(ctx, ends[0])
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return j.receive(ctx, ends, sent)
}

func (j *job) send(ctx context.Context, channel *client.Channel) (sent []string, err error) {
	for n, content := range j.documents {
		o := client.Outgoing{
			MessageID: fmt.Sprintf("m-%d", n), Type: exchangev1.DocumentType_DOCUMENT_TYPE_INVOICE, Filename: "invoice.xml",
			Content: content,
		}
		err := j.until(ctx, "send", func() error {
			document, err := channel.Send(ctx, o)
			if err == nil {
				sent = append(sent, document.GetName())
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return sent, nil
}

func (j *job) receive(ctx context.Context, ends [2]*client.Channel, sent []string) error {
	var taken []string // as a program's own table: what comes again is known
	err := j.until(ctx, "fetch", func() error {
		_, err := ends[1].Fetch(ctx, func(d *exchangev1.Document, _ []byte) error {
			if !slices.Contains(taken, d.GetName()) {
				taken = append(taken, d.GetName())
			}
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	slices.Sort(taken)
	slices.Sort(sent)
	if !slices.Equal(taken, sent) || len(slices.Compact(sent)) != documentsSent {
		return fmt.Errorf("sent %v, taken %v", sent, taken)
	}
	for _, name := range sent {
		if err := j.until(ctx, "receipt", func() error { _, err := ends[0].Receipt(ctx, name); return err }); err != nil {
			return fmt.Errorf("the receipt of %s: %w", name, err)
		}
	}
	delivered := map[string]int{}
	err = j.until(ctx, "steps", func() error {
		clear(delivered)
		_, err := ends[0].Steps(ctx, 0, func(step *exchangev1.PlacedStep) error {
			if step.GetStep().GetTransport() == exchangev1.TransportState_TRANSPORT_STATE_DELIVERED {
				delivered[step.GetDocument()]++
			}
			return nil
		})
		return err
	})
	for _, name := range sent {
		if delivered[name] != 1 {
			err = errors.Join(err, fmt.Errorf("%s was delivered %d times", name, delivered[name]))
		}
	}
	return err
}
