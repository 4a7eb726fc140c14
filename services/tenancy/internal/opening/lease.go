package opening

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

const (
	// portion is how many sessions are looked at together; licensing tells of so many seats at once.
	portion = 1000
	// reconcileEvery is how often leases are looked at that are over as far as known.
	reconcileEvery = time.Second
)

// due is a session whose lease is to be asked about.
type due = openingdb.ListDueRow

// RunReconciler keeps sessions to their seats until ctx ends: at the start all of them, since events may have been missed,
// and every second those whose lease is over as far as known.
func (s *Sessions) RunReconciler(ctx context.Context) error {
	for everything := true; ; {
		until := now()
		if everything {
			until = until.AddDate(100, 0, 0)
		}
		if err := s.reconcile(ctx, until); err == nil {
			everything = false
		} else if ctx.Err() == nil {
			s.d.Log.WarnContext(ctx, "leases can't be looked at; sessions stay as they are", "error", err)
		}
		if !pause(ctx, reconcileEvery) {
			return nil
		}
	}
}

// reconcile asks about the sessions whose lease ends until then: held ones get their new end, others end. What licensing
// can't tell now stays as it is.
func (s *Sessions) reconcile(ctx context.Context, until time.Time) error {
	var after due
	for {
		rows, err := openingdb.New(s.d.DB).ListDue(ctx, openingdb.ListDueParams{
			Until: until, After: after.LeaseEnd, AfterID: after.ID, Limit: portion,
		})
		if err != nil {
			return translate(err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := s.follow(ctx, rows); err != nil {
			return err
		}
		after = rows[len(rows)-1]
	}
}

// follow does what the seats of some sessions ask for.
func (s *Sessions) follow(ctx context.Context, rows []due) error {
	seats := make([]string, len(rows))
	for i, r := range rows {
		seats[i] = r.Seat
	}
	states, err := s.states(ctx, sortedOnce(seats))
	if err != nil {
		return err
	}
	renewed, gone := divide(rows, states)
	if err := s.endThese(ctx, gone, tenancyv1.SessionEnd_SESSION_END_SEAT); err != nil {
		return err
	}
	return s.renew(ctx, renewed)
}

// divide parts sessions into those whose lease ends later than they know, with that end, and those whose seat is gone.
func divide(rows []due, states map[string]*licensingv1.SeatState) (renewed []due, gone []uuid.UUID) {
	for _, r := range rows {
		state, told := states[r.Seat]
		switch {
		case !told || state.GetUnknown():
		case !state.GetHeld():
			gone = append(gone, r.ID)
		case state.GetExpireTime().AsTime().After(r.LeaseEnd):
			r.LeaseEnd = state.GetExpireTime().AsTime()
			renewed = append(renewed, r)
		}
	}
	return renewed, gone
}

// renew writes down renewed leases and moves the ends of the logins that come near.
func (s *Sessions) renew(ctx context.Context, rows []due) error {
	if len(rows) == 0 {
		return nil
	}
	ids, ends := make([]uuid.UUID, len(rows)), make([]time.Time, len(rows))
	moving := map[uuid.UUID][]due{}
	for i, r := range rows {
		ids[i], ends[i] = r.ID, r.LeaseEnd
		if movesLogin(r.LeaseEnd, r.LoginUntil) {
			moving[r.ClusterID] = append(moving[r.ClusterID], r)
		}
	}
	if err := openingdb.New(s.d.DB).SetLeases(ctx, openingdb.SetLeasesParams{Ids: ids, Ends: ends}); err != nil {
		return translate(err)
	}
	var all sync.WaitGroup
	for cluster, some := range moving {
		all.Go(func() {
			if err := s.prolong(ctx, cluster, some); err != nil && ctx.Err() == nil { // Others are not to wait for this one.
				s.d.Log.ErrorContext(ctx, "logins can't be prolonged", "cluster", cluster, "logins", len(some), "error", err)
			}
		})
	}
	all.Wait()
	return nil
}

// prolong moves the ends of logins on one cluster, and then what is known of them.
func (s *Sessions) prolong(ctx context.Context, cluster uuid.UUID, rows []due) error {
	within, cancel := context.WithTimeout(ctx, prolongWithin)
	defer cancel()
	admin, err := s.d.Clusters.Admin(within, cluster)
	if err != nil {
		return err
	}
	until := map[string]time.Time{}
	for _, r := range rows {
		until[r.RoleName] = loginUntil(r.LeaseEnd)
	}
	moved, err := moveEnds(within, admin, until)
	if err != nil {
		return err
	}
	var (
		ids  []uuid.UUID
		ends []time.Time
	)
	for _, r := range rows {
		if moved[r.RoleName] {
			ids, ends = append(ids, r.ID), append(ends, until[r.RoleName])
		}
	}
	return translate(openingdb.New(s.d.DB).SetLoginUntil(ctx, openingdb.SetLoginUntilParams{Ids: ids, Ends: ends}))
}
