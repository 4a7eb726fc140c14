// Package demo plays the main job on a suite, through its gateway only, and
// shows each step.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"kontor.internal/test/harness"
)

// Step is one step of the main job.
type Step struct {
	// Title says what has to happen.
	Title string
	// Play makes it happen and is an error when anything is not as stated.
	Play func(ctx context.Context, s *Stage) error
}

// Stage is what the steps play on, and what they hand to later ones.
type Stage struct {
	// Suite that is played on.
	Suite *harness.Suite
	// Documents is the folder for what people may want to look at.
	Documents string
	// Out is where the play is shown.
	Out io.Writer

	// owner registered in step 1 and owns subscriber.
	owner      *harness.Person
	subscriber string
	// sampleMiB is the least size of the uploaded copy.
	sampleMiB int
	// company was made of an uploaded copy in step 2.
	company string
	// users were prepared in step 3: Ieva, Jānis, Anna.
	users []person
	// licence is the trial's, with two seats from step 4 on.
	licence string
}

// Run is a play of all steps.
type Run struct {
	// Options of the suite that is started for it.
	Options harness.Options
	// Documents is the folder for what people may want to look at.
	Documents string
	// SampleMiB is the least size of the copy that is brought; 0 is that of the issue, 60.
	SampleMiB int
	// KillAfter tells after which steps, from 1, the suite's power is cut; it is then started again. Nil is after none.
	KillAfter func(step int) bool
	// Out is where the play is shown.
	Out io.Writer
}

// Play starts a suite, plays the steps and stops it.
func (r Run) Play(ctx context.Context) (err error) {
	began := time.Now()
	suite, err := harness.Launch(ctx, r.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, suite.Close()) }()
	state := suite.State()
	r.say("The suite is ready after %s. Gateway %s, caught mail %s.", since(began), state.HTTP, state.Control)
	r.say("Data in %s, log in %s, documents in %s.", state.Data, suite.LogFile(), r.Documents)

	stage := &Stage{Suite: suite, Documents: r.Documents, Out: r.Out, sampleMiB: r.SampleMiB}
	if stage.sampleMiB == 0 {
		stage.sampleMiB = sampleMiB
	}
	steps := Steps()
	for i, step := range steps {
		r.say("\nStep %d of %d: %s", i+1, len(steps), step.Title)
		began := time.Now()
		if err := step.Play(ctx, stage); err != nil {
			return fmt.Errorf("step %d is not as stated: %w", i+1, err)
		}
		r.say("  Step %d took %s.", i+1, since(began))
		if r.KillAfter != nil && r.KillAfter(i+1) {
			if err := r.cutPower(ctx, suite); err != nil {
				return err
			}
		}
	}
	r.conclude(steps, time.Since(began))
	return nil
}

func (r Run) cutPower(ctx context.Context, suite *harness.Suite) error {
	began := time.Now()
	if err := errors.Join(suite.KillAll(ctx), suite.Start(ctx)); err != nil {
		return fmt.Errorf("the power cut: %w", err)
	}
	r.say("  The suite was killed and runs again after %s.", since(began))
	return nil
}

// conclude says that all were played: the first that is not as stated ends the run.
func (r Run) conclude(steps []Step, took time.Duration) {
	r.say("\nAfter %.1f s:", took.Seconds())
	for i, step := range steps {
		r.say("  %d. played, as stated  %s", i+1, step.Title)
	}
	r.say("All %d steps were played.", len(steps))
}

func (r Run) say(format string, args ...any) { _, _ = fmt.Fprintf(r.Out, format+"\n", args...) }

func since(began time.Time) string { return fmt.Sprintf("%.2f s", time.Since(began).Seconds()) }

// Does runs one part of a step and shows what came of it and how long it took.
func (s *Stage) does(part string, do func() (outcome string, err error)) error {
	began := time.Now()
	outcome, err := do()
	if err != nil {
		_, _ = fmt.Fprintf(s.Out, "  %9s  %s: FAILED\n", since(began), part)
		return fmt.Errorf("%s: %w", part, err)
	}
	_, _ = fmt.Fprintf(s.Out, "  %9s  %s: %s\n", since(began), part, outcome)
	return nil
}

func (s *Stage) document(name string) string { return filepath.Join(s.Documents, filepath.Base(name)) }

// Steps are the main job, in order.
func Steps() []Step {
	return []Step{
		{"a visitor registers, says what they are, reads the contract and accepts it", register},
		{"a copy made by an older release is refused, one by the newest is uploaded and becomes a company", bringCompany},
		{"three local users are mapped to e-mails, register and keep their rights", prepareUsers},
		{"two seats: two work, the third waits; a closed or killed seat is free again", shareSeats},
		{"a seat is taken away: its database connection ends", takeSeat},
		{"100 invoices go from one company's books into another's, with receipts", exchangeInvoices},
		{"a dropped table is brought back from a snapshot", restoreTable},
		{"the trial ends: writing is refused, reading and export work", endTrial},
	}
}
