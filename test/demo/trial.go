package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"kontor.internal/client"
	"kontor.internal/client/bookkeeper"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/test/harness"
)

// afterTrial is longer than the trial's 30 days.
const afterTrial = 31 * 24 * time.Hour

// endTrial moves the suite's clock behind the trial.
func endTrial(ctx context.Context, s *Stage) error {
	return inOrder(
		func() error {
			return s.does("31 days pass", func() (string, error) {
				now, err := s.Suite.MoveClock(ctx, afterTrial)
				return "the suite's date is " + now.Format(time.DateOnly), err
			})
		},
		func() error {
			if err := s.owner.SignIn(ctx, harness.Password); err != nil {
				return err
			}
			return s.rightEnds(ctx)
		},
		func() error {
			return s.does("Ieva opens the company", func() (string, error) { return s.readsOnly(ctx) })
		},
		func() error {
			return s.does("the owner asks for a snapshot", func() (string, error) { return s.noSnapshot(ctx) })
		},
		func() error { return s.does("exports the books", func() (string, error) { return s.export(ctx) }) },
	)
}

// rightEnds waits until the suite has noticed the trial's end.
func (s *Stage) rightEnds(ctx context.Context) error {
	return s.does("writing is refused", func() (string, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		for {
			decision, err := s.owner.Explain(ctx, s.subscriber, licensingv1.Action_ACTION_WRITE)
			if err != nil {
				return "", err
			}
			if !decision.GetAllowed() && len(decision.GetConditions()) > 0 {
				return decision.GetConditions()[0].GetText(), nil
			}
			if err := wait(ctx, 100*time.Millisecond); err != nil {
				return "", fmt.Errorf("it is still allowed: %w", err)
			}
		}
	})
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readsOnly opens the books, in which everything can be read and nothing written.
func (s *Stage) readsOnly(ctx context.Context) (outcome string, err error) {
	err = s.working(ctx, s.users[0], s.company, func(w *worker) error {
		readOnly, why := w.Company.ReadOnly()
		if !readOnly || why == "" {
			return errors.New("nothing says that it is read-only")
		}
		counts, err := w.Count(ctx)
		if err != nil {
			return err
		}
		if _, err := w.WriteVoucher(ctx, bookkeeper.SampleVoucher(0, today())); !bookkeeper.NotAllowed(err) {
			return errors.Join(errors.New("a voucher is not refused"), err)
		}
		outcome = fmt.Sprintf("reads %d cash vouchers and %d sales; a new voucher is refused: %s", counts.Vouchers, counts.Sales, why)
		return nil
	})
	return outcome, err
}

func (s *Stage) noSnapshot(ctx context.Context) (outcome string, err error) {
	err = s.atDesk(ctx, s.owner.Email, func(d *desk) error {
		_, err := backupv1.NewSnapshotServiceClient(d.conn()).CreateSnapshot(ctx, &backupv1.CreateSnapshotRequest{Parent: s.company, RequestId: client.RequestID()})
		outcome, err = refusedBy("RIGHT_MISSING", err)
		return err
	})
	return outcome, err
}

// export has a file made of the latest snapshot and downloads it, the way a browser does that lost its connection.
func (s *Stage) export(ctx context.Context) (string, error) {
	var made backupv1.Export
	err := s.atDesk(ctx, s.owner.Email, func(d *desk) error {
		latest, err := d.latestSnapshot(ctx, s.company)
		if err != nil {
			return err
		}
		answer, err := backupv1.NewExportServiceClient(d.conn()).CreateExport(ctx, &backupv1.CreateExportRequest{
			Parent: s.company, Snapshot: latest.GetName(), Format: backupv1.ExportFormat_EXPORT_FORMAT_DUMP, RequestId: client.RequestID(),
		})
		if err != nil {
			return err
		}
		done, err := d.session.Wait(ctx, answer.GetOperation().GetName(), nil)
		if err != nil {
			return err
		}
		return done.GetResult().UnmarshalTo(&made)
	})
	if err != nil {
		return "", err
	}
	archive, err := s.owner.Download(ctx, made.GetName(), made.GetSizeBytes()/2) // Then the connection is lost.
	if err != nil {
		return "", err
	}
	file := s.document("export.dump")
	return fmt.Sprintf("%s, %.1f MiB, a pg_dump archive", file, float64(len(archive))/(1<<20)), os.WriteFile(file, archive, 0o600)
}

func (d *desk) latestSnapshot(ctx context.Context, company string) (*backupv1.Snapshot, error) {
	answer, err := backupv1.NewSnapshotServiceClient(d.conn()).ListSnapshots(ctx, &backupv1.ListSnapshotsRequest{Parent: company, PageSize: 1})
	if err != nil {
		return nil, err
	}
	if len(answer.GetSnapshots()) == 0 {
		return nil, errors.New("there is no snapshot")
	}
	return answer.GetSnapshots()[0], nil
}
