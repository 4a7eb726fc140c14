package snapshot

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/keeping"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
)

// GetBackupSchedule answers how a company's snapshots are doing.
func (s *Server) GetBackupSchedule(ctx context.Context, req *backupv1.GetBackupScheduleRequest) (*backupv1.GetBackupScheduleResponse, error) {
	of, err := names.ParseSchedule(req.GetName())
	if err != nil {
		return nil, err
	}
	if _, err := s.engine.see(ctx, of); err != nil { // A company is known here before its first turn.
		return nil, err
	}
	c, err := s.engine.db().GetCompany(ctx, snapshotdb.GetCompanyParams{ID: of.ID, Subscriber: of.Subscriber})
	if err != nil {
		return nil, postgres.NotFound(err, req.GetName())
	}
	told, err := s.engine.scheduleProto(ctx, c)
	return &backupv1.GetBackupScheduleResponse{BackupSchedule: told}, err
}

// All are companies' schedules, the oldest copies first.
func (e *Engine) All(ctx context.Context, lateOnly bool, after *keeping.ScheduleCursor, most int32) ([]*backupv1.BackupSchedule, []keeping.ScheduleCursor, error) {
	p := snapshotdb.ListCompaniesParams{Most: most}
	if lateOnly {
		before := e.Rules.LateBefore(e.Clock.Now())
		p.LateBefore = &before
	}
	if after != nil {
		p.Further, p.AfterTime, p.AfterID = true, after.Time, after.ID
	}
	rows, err := e.db().ListCompanies(ctx, p)
	if err != nil {
		return nil, nil, constraints.Translate(err)
	}
	var all []*backupv1.BackupSchedule
	var places []keeping.ScheduleCursor
	for _, c := range rows {
		told, err := e.scheduleProto(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		at := keeping.ScheduleCursor{Time: time.Unix(0, 0), ID: c.ID}
		if c.LastTime != nil {
			at.Time = *c.LastTime
		}
		all, places = append(all, told), append(places, at)
	}
	return all, places, nil
}

// addLag tells how far the second copies are behind.
func (e *Engine) addLag(ctx context.Context, to *backupv1.BackupSchedule, of repository.Of) error {
	lag, err := e.Second.Lag(ctx, of)
	to.SecondRegion, to.SecondLagSeconds = lag.Region, int64(lag.Behind/time.Second)
	if lag.Shown != nil {
		to.SecondSnapshotTime = timestamppb.New(*lag.Shown)
	}
	return constraints.Translate(err)
}

func (e *Engine) scheduleProto(ctx context.Context, c snapshotdb.Company) (*backupv1.BackupSchedule, error) {
	now, of := e.Clock.Now(), names.Company{Subscriber: c.Subscriber, ID: c.ID}
	held, err := e.Keeper.Held(ctx, of)
	if err != nil {
		return nil, err
	}
	out := &backupv1.BackupSchedule{
		Name: of.Schedule(), IntervalSeconds: int64(e.Rules.Interval / time.Second), Paused: c.Paused,
		Late: !c.Paused && lateSince(c).Before(e.Rules.LateBefore(now)), FailureReason: c.FailureReason, Failures: c.Failures,
		Retention: e.Keeper.Retention(), Held: held,
	}
	if !c.Paused {
		out.NextRunTime = timestamppb.New(c.NextTime)
	}
	if c.LastSnapshot != nil {
		out.LastSnapshot, out.LastSnapshotTime = of.Snapshot(*c.LastSnapshot), timestamppb.New(*c.LastTime)
		shown := *c.LastTime
		if c.UnchangedTime != nil && c.UnchangedTime.After(shown) {
			shown, out.UnchangedTime = *c.UnchangedTime, timestamppb.New(*c.UnchangedTime)
		}
		out.AgeSeconds = max(int64(now.Sub(shown)/time.Second), 0)
	}
	return out, e.addLag(ctx, out, repository.Of{Company: of, Region: c.Region})
}
