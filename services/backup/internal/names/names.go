// Package names writes and reads the names of backup's resources.
package names

import (
	"strings"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
)

// Company is whose books.
type Company struct{ Subscriber, ID uuid.UUID }

// SubscriberName is `subscribers/S`.
func (c Company) SubscriberName() string { return "subscribers/" + c.Subscriber.String() }

// Name is `subscribers/S/companies/C`.
func (c Company) Name() string { return c.SubscriberName() + "/companies/" + c.ID.String() }

// Snapshot is `subscribers/S/companies/C/snapshots/N`.
func (c Company) Snapshot(snapshot uuid.UUID) string {
	return c.Name() + "/snapshots/" + snapshot.String()
}

// RestoredCopy is `subscribers/S/companies/C/restoredCopies/R`.
func (c Company) RestoredCopy(restored uuid.UUID) string {
	return c.Name() + "/restoredCopies/" + restored.String()
}

// Export is `subscribers/S/companies/C/exports/E`.
func (c Company) Export(export uuid.UUID) string { return c.Name() + "/exports/" + export.String() }

// Schedule is `subscribers/S/companies/C/backupSchedule`.
func (c Company) Schedule() string { return c.Name() + "/backupSchedule" }

// ParseCompany reads `subscribers/S/companies/C`.
func ParseCompany(name string) (Company, error) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 {
		return Company{}, failure.NotFound(name)
	}
	return company(parts, name)
}

// ParseSnapshot reads `subscribers/S/companies/C/snapshots/N`.
func ParseSnapshot(name string) (Company, uuid.UUID, error) { return child(name, "snapshots") }

// ParseRestoredCopy reads `subscribers/S/companies/C/restoredCopies/R`.
func ParseRestoredCopy(name string) (Company, uuid.UUID, error) { return child(name, "restoredCopies") }

// ParseExport reads `subscribers/S/companies/C/exports/E`.
func ParseExport(name string) (Company, uuid.UUID, error) { return child(name, "exports") }

// ParseSchedule reads `subscribers/S/companies/C/backupSchedule`.
func ParseSchedule(name string) (Company, error) {
	of, ok := strings.CutSuffix(name, "/backupSchedule")
	if !ok {
		return Company{}, failure.NotFound(name)
	}
	return ParseCompany(of)
}

func child(name, kind string) (Company, uuid.UUID, error) {
	parts := strings.Split(name, "/")
	if len(parts) != 6 || parts[4] != kind {
		return Company{}, uuid.Nil, failure.NotFound(name)
	}
	of, err := company(parts, name)
	if err != nil {
		return Company{}, uuid.Nil, err
	}
	own, err := id.Parse(parts[5])
	if err != nil {
		return Company{}, uuid.Nil, failure.NotFound(name)
	}
	return of, own, nil
}

func company(parts []string, name string) (Company, error) {
	subscriber, err := id.Parse(parts[1])
	own, err2 := id.Parse(parts[3])
	if err != nil || err2 != nil || parts[0] != "subscribers" || parts[2] != "companies" {
		return Company{}, failure.NotFound(name)
	}
	return Company{Subscriber: subscriber, ID: own}, nil
}
