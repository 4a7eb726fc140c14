package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/client"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// restoreTable loses a table of the books and brings it back.
func restoreTable(ctx context.Context, s *Stage) error {
	return s.atDesk(ctx, s.owner.Email, func(d *desk) error {
		r := &restoring{Stage: s, desk: d, snapshots: backupv1.NewSnapshotServiceClient(d.conn())}
		return inOrder(
			func() error { return s.does("makes a snapshot", r.makeSnapshot(ctx)) },
			func() error { return s.does("has it verified", r.verify(ctx)) },
			func() error { return s.does("a program tries to drop a table", r.programTries(ctx)) },
			func() error { return s.does("a table is dropped by mistake on the cluster", r.dropTable(ctx)) },
			func() error { return s.does("restores the snapshot beside", r.restoreBeside(ctx)) },
			func() error { return s.does("reads the restored copy", r.readCopy(ctx)) },
			func() error { return s.does("compares it with the live books", r.compare(ctx, true)) },
			func() error { return s.does("restores the snapshot in place", r.restoreInPlace(ctx)) },
			func() error { return s.does("compares again", r.compare(ctx, false)) },
			func() error { return s.does("goes on working", r.goOn(ctx)) },
		)
	})
}

// lostTable is what is dropped: nothing refers to it.
const lostTable = "cash_vouchers"

// restoring is the step with what its parts hand on.
type restoring struct {
	*Stage
	desk      *desk
	snapshots backupv1.SnapshotServiceClient
	snapshot  *backupv1.Snapshot
	copy      *backupv1.RestoredCopy
	vouchers  int
}

// result waits for an operation and reads what it came to.
func (r *restoring) result(ctx context.Context, operation *commonv1.Operation, err error, into proto.Message) error {
	if err != nil {
		return err
	}
	ended, err := r.desk.session.Wait(ctx, operation.GetName(), nil)
	if err != nil {
		return err
	}
	return client.Result(ended, into)
}

func (r *restoring) makeSnapshot(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		err := r.working(ctx, r.users[0], r.company, func(w *worker) error {
			counts, err := w.Count(ctx)
			r.vouchers = counts.Vouchers
			return err
		})
		if err != nil {
			return "", err
		}
		answer, err := r.snapshots.CreateSnapshot(ctx, &backupv1.CreateSnapshotRequest{Parent: r.company, RequestId: client.RequestID()})
		r.snapshot = &backupv1.Snapshot{}
		err = r.result(ctx, answer.GetOperation(), err, r.snapshot)
		return fmt.Sprintf("%.1f MiB with %d cash vouchers, region %s", float64(r.snapshot.GetSizeBytes())/(1<<20), r.vouchers, r.snapshot.GetRegion()), err
	}
}

func (r *restoring) verify(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		answer, err := r.snapshots.VerifySnapshot(ctx, &backupv1.VerifySnapshotRequest{Name: r.snapshot.GetName(), RequestId: client.RequestID()})
		verified := &backupv1.Snapshot{}
		err = r.result(ctx, answer.GetOperation(), err, verified)
		if err == nil && verified.GetVerifyState() != backupv1.VerifyState_VERIFY_STATE_GOOD {
			err = fmt.Errorf("it is %s: %s", verified.GetVerifyState(), verified.GetVerifyFailure())
		}
		return "it is good", err
	}
}

// programTries shows that no user's login can lose a table.
func (r *restoring) programTries(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = r.working(ctx, r.users[0], r.company, func(w *worker) error {
			_, err := w.Company.Pool().Exec(ctx, "DROP TABLE books."+lostTable)
			if err == nil {
				return errors.New("the login dropped a table")
			}
			outcome = "refused: " + err.Error()
			return nil
		})
		return outcome, err
	}
}

// dropTable is the mistake of somebody who runs the cluster: only they can make it.
func (r *restoring) dropTable(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		database, err := r.databaseName(ctx)
		if err != nil {
			return "", err
		}
		at, err := url.Parse(r.Suite.State().PostgresURL)
		if err != nil {
			return "", err
		}
		at.Path = "/" + database
		conn, err := pgx.Connect(ctx, at.String())
		if err != nil {
			return "", err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "DROP TABLE books."+lostTable); err != nil {
			return "", err
		}
		return "books." + lostTable + " is gone", nil
	}
}

func (r *restoring) databaseName(ctx context.Context) (name string, err error) {
	err = r.working(ctx, r.users[0], r.company, func(w *worker) error {
		return w.Company.Pool().QueryRow(ctx, "SELECT current_database()").Scan(&name)
	})
	return name, err
}

func (r *restoring) restore(ctx context.Context, mode backupv1.RestoreMode, into proto.Message) error {
	answer, err := r.snapshots.RestoreSnapshot(ctx, &backupv1.RestoreSnapshotRequest{
		Name: r.snapshot.GetName(), Mode: mode, RequestId: client.RequestID(),
	})
	return r.result(ctx, answer.GetOperation(), err, into)
}

func (r *restoring) restoreBeside(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		r.copy = &backupv1.RestoredCopy{}
		return "the live books stay as they are", r.restore(ctx, backupv1.RestoreMode_RESTORE_MODE_BESIDE, r.copy)
	}
}

// readCopy opens the copy as the accounting program does, and looks for the lost rows.
func (r *restoring) readCopy(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = r.working(ctx, r.users[0], r.company, func(w *worker) error {
			beside, err := w.Session.OpenCompany(ctx, client.OpenRequest{Company: r.company, DataArea: "books", Seat: w.Seat, Copy: r.copy.GetTarget()})
			if err != nil {
				return err
			}
			var rows int
			err = beside.Pool().QueryRow(ctx, "SELECT count(*) FROM books."+lostTable).Scan(&rows)
			if err == nil && rows != r.vouchers {
				err = fmt.Errorf("it has %d cash vouchers", rows)
			}
			readOnly, _ := beside.ReadOnly()
			if err == nil && !readOnly {
				err = errors.New("it can be written")
			}
			outcome = fmt.Sprintf("read-only, release %s, %d cash vouchers", beside.Version(), rows)
			return errors.Join(err, beside.Close(ctx))
		})
		return outcome, err
	}
}

func (r *restoring) compare(ctx context.Context, lost bool) func() (string, error) {
	return func() (string, error) {
		answer, err := r.snapshots.CompareRestoredCopy(ctx, &backupv1.CompareRestoredCopyRequest{Name: r.copy.GetName(), RequestId: client.RequestID()})
		var found backupv1.Comparison
		if err := r.result(ctx, answer.GetOperation(), err, &found); err != nil {
			return "", err
		}
		var differences []string
		missing := false
		for _, table := range found.GetTables() {
			if table.GetSchema() == "kontor_meta" { // Who has it open differs, and is no part of the books.
				continue
			}
			missing = missing || table.GetTable() == lostTable && table.GetFate() == backupv1.TableFate_TABLE_FATE_MISSING && int(table.GetRowsInCopy()) == r.vouchers
			differences = append(differences, fmt.Sprintf("%s.%s %s, %d rows in the copy, %d live", table.GetSchema(), table.GetTable(), table.GetFate(), table.GetRowsInCopy(), table.GetRowsLive()))
		}
		said := fmt.Sprintf("%d tables are equal", found.GetEqualTables())
		if len(differences) > 0 {
			said = strings.Join(differences, "; ") + "; " + said
		}
		if missing != lost || !lost && len(differences) > 0 {
			return "", errors.New(said)
		}
		return said, nil
	}
}

func (r *restoring) restoreInPlace(ctx context.Context) func() (string, error) {
	return func() (string, error) {
		before := &backupv1.Snapshot{}
		err := r.restore(ctx, backupv1.RestoreMode_RESTORE_MODE_IN_PLACE, before)
		if err == nil && before.GetOrigin() != backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_BEFORE_RESTORE {
			err = fmt.Errorf("the books before it were not kept: %v", before)
		}
		return fmt.Sprintf("the books as they were before are kept too, %.1f MiB", float64(before.GetSizeBytes())/(1<<20)), err
	}
}

func (r *restoring) goOn(ctx context.Context) func() (string, error) {
	return func() (outcome string, err error) {
		err = r.working(ctx, r.users[0], r.company, func(w *worker) error {
			counts, err := w.Count(ctx)
			if err == nil && counts.Vouchers != r.vouchers {
				err = fmt.Errorf("there are %d cash vouchers", counts.Vouchers)
			}
			if err != nil {
				return err
			}
			outcome, err = r.triesVoucher(ctx, w, true)
			return err
		})
		if err != nil {
			return "", err
		}
		_, err = r.snapshots.DeleteRestoredCopy(ctx, &backupv1.DeleteRestoredCopyRequest{Name: r.copy.GetName()})
		return outcome, err
	}
}
