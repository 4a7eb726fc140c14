package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// desk is somebody who sits at a device: signed in by the client library, from a network address of the device's own.
type desk struct {
	kontor  *client.Client
	session *client.Session
}

// desk signs somebody in.
func (s *Stage) desk(ctx context.Context, email string) (*desk, error) {
	kontor, err := s.Suite.Visitor().Library()
	if err != nil {
		return nil, err
	}
	session, err := kontor.SignIn(ctx, client.Credentials{Identifier: email, Password: harness.Password, Device: "desk of " + email})
	if err != nil {
		return nil, errors.Join(err, kontor.Close())
	}
	return &desk{kontor, session}, nil
}

// conn calls methods of the contract as the person.
func (d *desk) conn() grpc.ClientConnInterface { return d.session.Conn() }

func (d *desk) leave(ctx context.Context) error {
	return errors.Join(d.session.SignOut(context.WithoutCancel(ctx)), d.kontor.Close())
}

// atDesk signs somebody in for as long as something takes.
func (s *Stage) atDesk(ctx context.Context, email string, do func(d *desk) error) error {
	d, err := s.desk(ctx, email)
	if err != nil {
		return fmt.Errorf("%s signs in: %w", email, err)
	}
	return errors.Join(do(d), d.leave(ctx))
}

// worker is somebody whose accounting program has a company open.
type worker struct {
	*bookkeeper.Program
	name   string
	kontor *client.Client
}

// work opens a company in somebody's accounting program.
func (s *Stage) work(ctx context.Context, who person, company string) (*worker, error) {
	kontor, err := s.Suite.Visitor().Library()
	if err != nil {
		return nil, err
	}
	p, err := bookkeeper.Open(ctx, kontor, bookkeeper.Start{
		Credentials: client.Credentials{Identifier: who.email, Password: harness.Password, Device: who.name + "'s computer"},
		Company:     company, Device: who.email,
	})
	if err != nil {
		return nil, errors.Join(err, kontor.Close())
	}
	return &worker{p, who.name, kontor}, nil
}

func (w *worker) close(ctx context.Context) error {
	return errors.Join(w.Close(context.WithoutCancel(ctx)), w.kontor.Close())
}

// working opens a company for as long as something takes.
func (s *Stage) working(ctx context.Context, who person, company string, do func(w *worker) error) error {
	w, err := s.work(ctx, who, company)
	if err != nil {
		return fmt.Errorf("%s opens the company: %w", who.name, err)
	}
	return errors.Join(do(w), w.close(ctx))
}

// person is a user as the demo calls them.
type person struct{ name, email string }

// today is the business date that programs are given: the real one, as long as the suite's clock was not moved.
func today() time.Time { return time.Now().UTC() }

// getCompany reads a company with its checklist.
func (d *desk) getCompany(ctx context.Context, name string) (*tenancyv1.Company, error) {
	answer, err := tenancyv1.NewCompanyServiceClient(d.conn()).GetCompany(ctx, &tenancyv1.GetCompanyRequest{Name: name})
	return answer.GetCompany(), err
}

// refusedBy makes the outcome of a refusal that the client library has to give.
func refusedBy(reason string, err error) (string, error) {
	if client.Reason(err) != reason {
		return "", fmt.Errorf("want %s, got %w", reason, orDone(err))
	}
	return "refused, " + err.Error(), nil
}
