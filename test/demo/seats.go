package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

const (
	// seatsAgreed is how many may work at once from step 4 on.
	seatsAgreed = 2
	// lease is how long a dead program keeps its seat.
	lease = 10 * time.Second
	// freedWithin is how much longer a waiting program may take to get it.
	freedWithin = 2 * time.Second
)

// shareSeats lets three people share two seats.
func shareSeats(ctx context.Context, s *Stage) error {
	if err := s.agreeOnSeats(ctx); err != nil {
		return err
	}
	ieva, janis, anna := s.users[0], s.users[1], s.users[2]
	var first, second, third *worker
	err := inOrder(
		func() error { return s.does("Ieva works", s.opens(ctx, ieva, &first)) },
		func() error { return s.does("Jānis works", s.opens(ctx, janis, &second)) },
		func() error {
			return s.does("Anna is refused", func() (string, error) { return s.refusedNamingHolders(ctx, anna, ieva, janis) })
		},
		func() error {
			return s.does("Jānis closes his program", func() (string, error) {
				w := second
				second = nil
				return "his seat is given back", w.close(ctx)
			})
		},
		func() error { return s.does("Anna enters at once", s.opens(ctx, anna, &third)) },
		func() error {
			return s.does("Anna closes her program", func() (string, error) {
				w := third
				third = nil
				return "her seat is given back", w.close(ctx)
			})
		},
		func() error {
			return s.does("Jānis's program is killed while it works", func() (string, error) { return s.killedProgram(ctx, janis, anna) })
		},
	)
	for _, w := range []*worker{first, second, third} {
		if w != nil {
			err = errors.Join(err, w.close(ctx))
		}
	}
	return err
}

// agreeOnSeats has the vendor's staff agree with the customer on fewer seats.
func (s *Stage) agreeOnSeats(ctx context.Context) error {
	return s.does("staff and customer agree on two seats", func() (string, error) {
		staff := &harness.Person{Client: s.Suite.Visitor(), Email: "staff@kontor.example", FullName: "Staff"}
		if err := s.joinUp(ctx, staff); err != nil {
			return "", err
		}
		var licence *licensingv1.Licence
		err := s.atDesk(ctx, staff.Email, func(d *desk) error {
			_, err := tenancyv1.NewStaffServiceClient(d.conn()).ClaimFirstStaff(ctx, &tenancyv1.ClaimFirstStaffRequest{Token: s.Suite.State().FirstStaffToken})
			if err != nil {
				return err
			}
			answer, err := licensingv1.NewLicenceServiceClient(d.conn()).UpdateLicence(ctx, &licensingv1.UpdateLicenceRequest{
				Licence:    &licensingv1.Licence{Name: s.licence, Limits: &licensingv1.Limits{Seats: seatsAgreed, LeaseSeconds: int32(lease.Seconds())}},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"limits.seats", "limits.lease_seconds"}},
				Reason:     "Agreed by telephone for the demo.",
			})
			licence = answer.GetLicence()
			return err
		})
		limits := licence.GetLimits()
		if err == nil && limits.GetSeats() != seatsAgreed {
			err = fmt.Errorf("the limits are %v", limits)
		}
		return fmt.Sprintf("%d seats, a dead program's lease is %d s", limits.GetSeats(), limits.GetLeaseSeconds()), err
	})
}

// joinUp registers somebody and follows the letter's link.
func (s *Stage) joinUp(ctx context.Context, p *harness.Person) error {
	if err := p.Register(ctx); err != nil {
		return err
	}
	mail, err := s.Suite.Inbox().Wait(ctx, harness.Query{To: p.Email})
	if err != nil {
		return err
	}
	token, err := mail.Token()
	if err != nil {
		return err
	}
	return p.Activate(ctx, token, harness.Password)
}

func (s *Stage) opens(ctx context.Context, who person, into **worker) func() (string, error) {
	return func() (string, error) {
		w, err := s.work(ctx, who, s.company)
		if err != nil {
			return "", err
		}
		*into = w
		counts, err := w.Count(ctx)
		return fmt.Sprintf("%s, sees %d cash vouchers and %d sales", lastPart(w.Seat.Name()), counts.Vouchers, counts.Sales), err
	}
}

func lastPart(name string) string { return "seat " + name[strings.LastIndex(name, "/")+1:] }

func (s *Stage) refusedNamingHolders(ctx context.Context, who person, holders ...person) (string, error) {
	w, err := s.work(ctx, who, s.company)
	if err == nil {
		return "", errors.Join(errors.New("a third one got in"), w.close(ctx))
	}
	taken, ok := errors.AsType[*client.SeatsTakenError](err)
	if !ok || taken.Limit != seatsAgreed {
		return "", fmt.Errorf("want a refusal that names the limit, got %w", err)
	}
	for _, holder := range holders {
		if !strings.Contains(taken.Holders, holder.name) {
			return "", fmt.Errorf("%s is not named: %w", holder.name, err)
		}
	}
	return taken.Error(), nil
}

// killedProgram kills a working program as a power cut would, and has somebody wait for its seat.
func (s *Stage) killedProgram(ctx context.Context, who, waiting person) (string, error) {
	program, err := s.startProgram(ctx, who)
	if err != nil {
		return "", err
	}
	began, took := time.Now(), time.Duration(0)
	if err := program.Process.Kill(); err != nil {
		return "", err
	}
	_ = program.Wait() // It was killed.
	if _, err := s.refusedNamingHolders(ctx, waiting, who); err != nil {
		return "", fmt.Errorf("right after it: %w", err)
	}
	err = s.atDesk(ctx, waiting.email, func(d *desk) error {
		ctx, cancel := context.WithTimeout(ctx, lease+freedWithin-time.Since(began))
		defer cancel()
		var w *bookkeeper.Program
		err := harness.Poll(ctx, func() (_ bool, err error) {
			w, err = bookkeeper.Work(ctx, d.session, bookkeeper.Start{Company: s.company, Device: waiting.email})
			if _, full := errors.AsType[*client.SeatsTakenError](err); full {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
		took = time.Since(began)
		return errors.Join(w.Company.Close(ctx), w.Seat.Close(ctx))
	})
	if err != nil {
		return "", fmt.Errorf("%s did not get the dead program's seat: %w", waiting.name, err)
	}
	return fmt.Sprintf("%s has its seat after %.1f s, its lease was %s", waiting.name, took.Seconds(), lease), nil
}

// ProgramArgument, as first argument, makes the demo's command an accounting program.
const ProgramArgument = "bookkeeper"

// startProgram starts an accounting program in a process of its own, and returns when it has the company open.
func (s *Stage) startProgram(ctx context.Context, who person) (*exec.Cmd, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	state := s.Suite.State()
	program := exec.CommandContext(ctx, own, ProgramArgument,
		"-address", state.GRPC, "-ca", state.CA, "-email", who.email, "-company", s.company,
		"-device", who.name+"'s computer", "-date", today().Format(time.DateOnly), "-vouchers", "1", "-hold")
	program.Env = append(os.Environ(), bookkeeper.PasswordVariable+"="+harness.Password)
	program.Stderr = s.Out
	output, err := program.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := program.Start(); err != nil {
		return nil, err
	}
	if err := waitWorking(output); err != nil {
		return nil, errors.Join(err, program.Process.Kill(), program.Wait())
	}
	return program, nil
}

// waitWorking reads what a program prints until it works.
func waitWorking(output io.Reader) error {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), bookkeeper.Wrote) {
			return nil
		}
	}
	return fmt.Errorf("the program ended before it worked: %w", errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// takeSeat takes the seat of somebody who works.
func takeSeat(ctx context.Context, s *Stage) error {
	ieva := s.users[0]
	var w *worker
	return inOrder(
		func() error { return s.does("Ieva works", s.opens(ctx, ieva, &w)) },
		func() error {
			return s.does("her program writes vouchers", func() (string, error) {
				var last bookkeeper.Number
				for n := range 20 {
					var err error
					if last, err = w.WriteVoucher(ctx, bookkeeper.SampleVoucher(n, today())); err != nil {
						return "", err
					}
				}
				return "the last is " + last.String(), nil
			})
		},
		func() error {
			return s.does("the owner takes her seat", func() (string, error) { return s.takenAway(ctx, w) })
		},
	)
}

// connectionEnds is how long the connection of a taken seat may live.
const connectionEnds = 2 * time.Second

// takenAway takes the seat of a program whose connection lies idle, and waits for the connection's end.
func (s *Stage) takenAway(ctx context.Context, w *worker) (string, error) {
	conn, err := w.Company.Pool().Acquire(ctx)
	if err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	listening, cancel := context.WithTimeout(ctx, 2*connectionEnds)
	defer cancel()
	go func() {
		_, err := conn.Conn().WaitForNotification(listening) // Nothing is notified: it only hears the end.
		ended <- err
	}()
	var began time.Time
	err = s.atDesk(ctx, s.owner.Email, func(d *desk) error {
		began = time.Now()
		_, err := licensingv1.NewSeatServiceClient(d.conn()).TakeSeat(ctx, &licensingv1.TakeSeatRequest{Name: w.Seat.Name(), GraceSeconds: new(int32)})
		return err
	})
	if err != nil {
		cancel()
	}
	end := <-ended
	took := time.Since(began)
	conn.Release()
	if err != nil {
		return "", errors.Join(err, end)
	}
	if !client.SessionEnded(end) || took > connectionEnds {
		return "", fmt.Errorf("after %s the connection had not ended: %w", took, end)
	}
	// Who connects again at once may just get in by a login that is being closed; that connection is ended as well, in time.
	for err = nil; err == nil && time.Since(began) < connectionEnds; {
		_, err = w.WriteVoucher(ctx, bookkeeper.SampleVoucher(0, today()))
	}
	if err == nil {
		return "", errors.New("her program still writes")
	}
	select {
	case <-w.Seat.Lost():
	case <-time.After(lease + freedWithin):
		return "", errors.New("her program was not told")
	}
	return fmt.Sprintf("her connection ended after %.2f s (%v); her program was told: %v", took.Seconds(), end, w.Seat.Err()), w.close(ctx)
}
