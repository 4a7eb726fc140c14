package opening

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

const (
	// settling is how long after its login was closed a session is looked at once more: a connection that had just shown
	// its password shows up in the server's list a moment later.
	settling = 250 * time.Millisecond
	// broken is after how long no opener can be at a session's role any more.
	broken = time.Minute
	// again is the pause between two looks while something is to be swept.
	again = 40 * time.Millisecond
	// sweepWithin bounds Sweep. A connection that does not end in that time hangs in the server.
	sweepWithin = 15 * time.Second
)

// toSweep is a session that ended and whose login may still be open.
type toSweep = openingdb.ListToSweepRow

// Sweep closes the logins of all ended sessions and ends their connections, and returns when none is left. What still has
// an opener at work is closed too, again and again, but not waited for: nobody has been told its password.
func (s *Sessions) Sweep(ctx context.Context) error {
	return s.sweepUntilDone(ctx, func(toSweep) bool { return true })
}

// SweepCompany is Sweep that waits for the sessions of one company only.
func (s *Sessions) SweepCompany(ctx context.Context, company uuid.UUID) error {
	return s.sweepUntilDone(ctx, func(t toSweep) bool { return t.CompanyID == company })
}

func (s *Sessions) sweepUntilDone(ctx context.Context, concerns func(toSweep) bool) error {
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	for {
		left, err := s.sweepOnce(ctx, concerns)
		if left == 0 {
			return nil // What went wrong does not concern the caller.
		}
		if !pause(ctx, again) {
			return fmt.Errorf("sweep ended sessions, %d left: %w", left, errors.Join(context.Cause(ctx), err))
		}
	}
}

// sweepOnce goes once over what is to be swept and returns how many of those that concern its caller are left, one when
// that can't be told.
func (s *Sessions) sweepOnce(ctx context.Context, concerns func(toSweep) bool) (left int, err error) {
	rows, err := openingdb.New(s.d.DB).ListToSweep(ctx)
	if err != nil {
		return 1, translate(err)
	}
	s.keepClosed(rows)
	byCluster := map[uuid.UUID][]toSweep{}
	for _, r := range rows {
		byCluster[r.ClusterID] = append(byCluster[r.ClusterID], r)
		if concerns(r) && settled(r, now()) {
			left++
		}
	}
	var group errgroup.Group
	var swept atomic.Int64
	for cluster, some := range byCluster {
		group.Go(func() error {
			quiet, err := s.sweepCluster(ctx, cluster, some)
			for _, t := range quiet {
				if concerns(t) {
					swept.Add(1)
				}
			}
			return err
		})
	}
	err = group.Wait()
	return left - int(swept.Load()), err
}

// settled says whether nothing will be done to a session's role any more but closing it.
func settled(t toSweep, now time.Time) bool { return t.Ready || now.Sub(t.Created) > broken }

// sweepCluster closes logins on one cluster and ends their connections. It returns those that are swept now.
func (s *Sessions) sweepCluster(ctx context.Context, cluster uuid.UUID, some []toSweep) ([]toSweep, error) {
	quiet, err := s.sweepLogins(ctx, cluster, some)
	if len(quiet) == 0 {
		return nil, err
	}
	ids := make([]uuid.UUID, len(quiet))
	for i, t := range quiet {
		ids[i] = t.ID
	}
	return quiet, errors.Join(err, translate(openingdb.New(s.d.DB).MarkSwept(ctx, ids)))
}

// sweepLogins does on the cluster what is to be done there. Connections end whether or not their logins could be closed.
func (s *Sessions) sweepLogins(ctx context.Context, cluster uuid.UUID, some []toSweep) (quiet []toSweep, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterWithin)
	defer cancel()
	admin, err := s.d.Clusters.Admin(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var notClosed error
	if roles := s.unclosed(some); len(roles) > 0 {
		var open []string
		open, notClosed = closeLogins(ctx, admin, roles)
		s.noteClosed(some, open)
	}
	busy, err := endConnections(ctx, admin, rolesOf(some))
	if err != nil {
		return nil, errors.Join(notClosed, err)
	}
	return s.quiet(some, busy), notClosed
}

func rolesOf(some []toSweep) []string {
	roles := make([]string, len(some))
	for i, t := range some {
		roles[i] = t.RoleName
	}
	return roles
}

// unclosed are the roles that this copy of the service did not close yet, or whose opener may have opened them since.
func (s *Sessions) unclosed(some []toSweep) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var roles []string
	for _, t := range some {
		if _, done := s.closed[t.ID]; !done {
			roles = append(roles, t.RoleName)
		}
	}
	return roles
}

// noteClosed notes those of some sessions whose login is not open.
func (s *Sessions) noteClosed(some []toSweep, open []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	for _, t := range some {
		if _, done := s.closed[t.ID]; !done && settled(t, at) && !slices.Contains(open, t.RoleName) {
			s.closed[t.ID] = at
		}
	}
}

// quiet are those whose login has been closed for a while and that have no connection left.
func (s *Sessions) quiet(some []toSweep, busy []string) []toSweep {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected := map[string]bool{}
	for _, role := range busy {
		connected[role] = true
	}
	var quiet []toSweep
	for _, t := range some {
		if closed, done := s.closed[t.ID]; done && now().Sub(closed) >= settling && !connected[t.RoleName] {
			quiet = append(quiet, t)
		}
	}
	return quiet
}

// keepClosed forgets what is swept.
func (s *Sessions) keepClosed(rows []toSweep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make(map[uuid.UUID]time.Time, len(rows))
	for _, t := range rows {
		if at, done := s.closed[t.ID]; done {
			kept[t.ID] = at
		}
	}
	s.closed = kept
}

// wake has what ended swept at once rather than at the next look.
func (s *Sessions) wake() {
	select {
	case s.woken <- struct{}{}:
	default: // It is awake.
	}
}

// RunSweeper sweeps what ended, in whichever copy of the service, until ctx ends.
func (s *Sessions) RunSweeper(ctx context.Context) error {
	const rest, eager = time.Second, 2 * time.Second
	var until time.Time
	before := 0
	for {
		left, err := s.sweepOnce(ctx, func(toSweep) bool { return true })
		if err != nil && ctx.Err() == nil {
			s.d.Log.ErrorContext(ctx, "ended sessions can't be swept", "left", left, "error", err)
		}
		if left > before {
			until = now().Add(eager)
		}
		before = left
		next := rest
		if now().Before(until) {
			next = again
		}
		woken, over := s.wait(ctx, next)
		if over {
			return nil
		}
		if woken { // Possibly a moment before the commit of what it is woken for.
			until = now().Add(eager)
		}
	}
}

// wait waits for a while, or until there is something to do or nothing ever again.
func (s *Sessions) wait(ctx context.Context, d time.Duration) (woken, over bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, true
	case <-s.woken:
		return true, false
	case <-timer.C:
		return false, false
	}
}

// pause waits, and returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
