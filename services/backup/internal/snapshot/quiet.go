package snapshot

import (
	"context"
	"time"

	"github.com/google/uuid"

	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	engine "kontor.internal/snapshot"
)

// restedAtMost is how long a company is left out because nobody has been there: then its books are looked at again.
const restedAtMost = 24 * time.Hour

// quiet are the companies to which nobody has connected since their last snapshot, which shows them as they are. What is
// not sure is not quiet.
func (e *Engine) quiet(ctx context.Context, due []snapshotdb.Company, now time.Time) map[uuid.UUID]bool {
	rested := map[string]snapshotdb.Company{}
	for _, c := range due {
		if c.Rest != "" && !c.Late && !c.Paused && c.Failures == 0 && c.LastTime != nil && now.Sub(*c.LastTime) < restedAtMost {
			rested[names.Company{Subscriber: c.Subscriber, ID: c.ID}.Name()] = c
		}
	}
	found := map[uuid.UUID]bool{}
	for token := ""; len(rested) > 0; {
		page, err := e.Databases.ScanSessionCounts(ctx, &tenancyv1.ScanSessionCountsRequest{PageToken: token})
		if err != nil {
			e.Log.WarnContext(ctx, "it is not known which companies are quiet", "err", err)
			return nil
		}
		for _, count := range page.GetCounts() {
			if c, ok := rested[count.GetCompany()]; ok && c.Rest == restOf(count).String() && e.mayBeCopied(ctx, c) {
				found[c.ID] = true
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	e.unlessDocumentsCame(ctx, due, found)
	return found
}

// unlessDocumentsCame takes those out of the quiet companies that have documents which their last snapshot has not. Where exchange
// does not answer, they come with the next snapshot.
func (e *Engine) unlessDocumentsCame(ctx context.Context, due []snapshotdb.Company, quiet map[uuid.UUID]bool) {
	asked := &exchangev1.FindNewDocumentsRequest{}
	ids := map[string]uuid.UUID{}
	for _, c := range due {
		if quiet[c.ID] {
			name := names.Company{Subscriber: c.Subscriber, ID: c.ID}.Name()
			asked.Companies = append(asked.Companies, &exchangev1.CompanyPlace{Company: name, After: c.DocumentsPlace})
			ids[name] = c.ID
		}
	}
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, documentsPatience)
	defer cancel()
	answer, err := e.Documents.FindNewDocuments(ctx, asked)
	if err != nil {
		e.Log.WarnContext(ctx, "it is not known which companies have new documents", "err", err)
	}
	for _, name := range answer.GetCompanies() {
		delete(quiet, ids[name])
	}
}

func restOf(count *tenancyv1.SessionCount) engine.Rest {
	return engine.Rest{
		System: count.GetSystem(), Database: count.GetDatabase(), Start: count.GetStartMicros(), Reset: count.GetResetMicros(), Sessions: count.GetSessions(),
	}
}

// mayBeCopied says whether the licence allows new snapshots; a turn pauses the company when it does not.
func (e *Engine) mayBeCopied(ctx context.Context, c snapshotdb.Company) bool {
	return e.require(ctx, names.Company{Subscriber: c.Subscriber, ID: c.ID}, licensingv1.Action_ACTION_BACKUP) == nil
}
