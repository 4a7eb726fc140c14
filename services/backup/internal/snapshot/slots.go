package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
)

// errBusy says that as many snapshots are being made on a cluster as may be: the company comes again soon.
var errBusy = errors.New("snapshot: the cluster is busy with others")

// busyPause is how long after that a company comes again.
const busyPause = 10 * time.Second

// inSlot does something to a cluster unless so many others, of all copies of the service, do so: errBusy. A slot is a lock of a
// session of the service's own database, which ends with its copy.
func (e *Engine) inSlot(ctx context.Context, cluster string, do func() error) error {
	conn, err := e.DB.Acquire(ctx)
	if err != nil {
		return constraints.Translate(err)
	}
	defer conn.Release()
	slot, err := e.takeSlot(ctx, conn, cluster)
	if err != nil {
		return err
	}
	err = do()
	if unlock := snapshotdb.New(conn).GiveSlot(context.WithoutCancel(ctx), slot); unlock != nil {
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // The lock ends with the connection.
	}
	return err
}

func (e *Engine) takeSlot(ctx context.Context, conn *pgxpool.Conn, cluster string) (string, error) {
	for n := range e.AtOnceOnCluster {
		slot := fmt.Sprintf("%s slot %d", cluster, n)
		if mine, err := snapshotdb.New(conn).TakeSlot(ctx, slot); err != nil || mine {
			return slot, constraints.Translate(err)
		}
	}
	return "", errBusy
}
