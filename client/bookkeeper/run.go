package bookkeeper

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"kontor.internal/client"
)

// PasswordVariable is the environment variable that the password is read from: arguments are seen by everybody on a machine.
const PasswordVariable = "KONTOR_PASSWORD"

// Working begins the line that Run prints once it has the company open, Wrote the one when it wrote all it was told to.
const (
	Working = "working with seat "
	Wrote   = "wrote "
)

// arguments of a run.
type arguments struct {
	config     client.Config
	roots, day string
	start      Start
	vouchers   int
	invoices   int
	buyer      Partner
	hold, wait bool
}

func (a *arguments) flags() *flag.FlagSet {
	f := flag.NewFlagSet("bookkeeper", flag.ContinueOnError)
	f.StringVar(&a.config.Address, "address", "", "Kontor's gRPC, host:port")
	f.StringVar(&a.roots, "ca", "", "PEM file of the authority of its certificate; empty trusts the machine's")
	f.StringVar(&a.config.Language, "language", "en", "language of messages")
	f.StringVar(&a.start.Credentials.Identifier, "email", "", "who works; the password is read from "+PasswordVariable)
	f.StringVar(&a.start.Company, "company", "", "subscribers/S/companies/C")
	f.StringVar(&a.start.Device, "device", "bookkeeper", "what this device is called")
	f.StringVar(&a.day, "date", "", "the business date, YYYY-MM-DD")
	f.IntVar(&a.vouchers, "vouchers", 0, "cash vouchers to write")
	f.IntVar(&a.invoices, "invoices", 0, "invoices to issue")
	f.StringVar(&a.buyer.TaxNumber, "buyer-tax-number", "LV40003000456", "whom to invoice")
	f.StringVar(&a.buyer.Name, "buyer", "Egle SIA", "their name")
	f.BoolVar(&a.hold, "hold", false, "keep the company open until interrupted, or until the seat is taken away or lost")
	f.BoolVar(&a.wait, "wait", false, "wait in line when all seats are taken")
	return f
}

// Run is the program as a command: it opens a company, writes what it is told, and closes. getenv gives environment
// variables, out hears what happens.
func Run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	var a arguments
	if err := a.flags().Parse(args); err != nil {
		return err
	}
	day, err := time.Parse(time.DateOnly, a.day)
	if err != nil {
		return fmt.Errorf("-date: %w", err)
	}
	if a.roots != "" {
		if a.config.Roots, err = client.ReadRoots(a.roots); err != nil {
			return err
		}
	}
	a.buyer.Country, a.start.Credentials.Password, a.start.Credentials.Device = "LV", getenv(PasswordVariable), a.start.Device
	if a.wait {
		a.start.InLine = func(turn client.Turn) {
			_, _ = fmt.Fprintf(out, "all seats are taken: number %d in line\n", turn.Position)
		}
	}
	kontor, err := client.Connect(a.config)
	if err != nil {
		return err
	}
	defer kontor.Close()
	p, err := Open(ctx, kontor, a.start)
	if err != nil {
		return err
	}
	err = p.work(ctx, a, day, out)
	return errors.Join(err, p.Close(context.WithoutCancel(ctx)))
}

// work writes what was asked for, and holds the seat if that was.
func (p *Program) work(ctx context.Context, a arguments, day time.Time, out io.Writer) error {
	if _, err := fmt.Fprintln(out, Working+p.Seat.Name()); err != nil {
		return err
	}
	if a.vouchers+a.invoices > 0 {
		if _, err := p.EnsureYear(ctx, day); err != nil {
			return err
		}
	}
	for n := range a.vouchers {
		if _, err := p.WriteVoucher(ctx, SampleVoucher(n, day)); err != nil {
			return err
		}
		p.Seat.Worked()
	}
	for n := range a.invoices {
		if _, err := p.IssueInvoice(ctx, SampleSale(n, day, a.buyer)); err != nil {
			return err
		}
		p.Seat.Worked()
	}
	if _, err := fmt.Fprintf(out, Wrote+"%d vouchers and %d invoices\n", a.vouchers, a.invoices); err != nil || !a.hold {
		return err
	}
	return p.hold(ctx, out)
}

// hold keeps the company open until ctx ends or the seat does. It tells who asks for the seat, and ends before it is taken
// away: a program saves then.
func (p *Program) hold(ctx context.Context, out io.Writer) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Seat.Lost():
			return fmt.Errorf("the seat is lost: %w", p.Seat.Err())
		case news := <-p.Seat.News():
			for _, plea := range news.Pleas {
				if _, err := fmt.Fprintf(out, "%s asks for the seat: %q\n", plea.Name, plea.Text); err != nil {
					return err
				}
			}
			if !news.TakeTime.IsZero() {
				_, err := fmt.Fprintf(out, "the seat is taken away at %s\n", news.TakeTime.Format(time.TimeOnly))
				return err
			}
		}
	}
}
