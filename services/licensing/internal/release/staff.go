package release

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/locale"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/release/releasedb"
)

// Subjects of what is told about releases.
const (
	SubjectPublished = "kontor.licensing.release.published"
	SubjectWithdrawn = "kontor.licensing.release.withdrawn"
	SubjectAvailable = "kontor.licensing.release.available"
)

// longest is the most characters that a field of a release's words has.
const longest = 20_000

// Staff answers ReleaseStaffService.
type Staff struct {
	licensingv1.UnimplementedReleaseStaffServiceServer
	deps Deps
}

// NewStaff returns a server for staff.
func NewStaff(deps Deps) *Staff { return &Staff{deps: deps} }

// CreateRelease makes a draft.
func (s *Staff) CreateRelease(ctx context.Context, req *licensingv1.CreateReleaseRequest) (*licensingv1.CreateReleaseResponse, error) {
	author, err := licence.ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return nil, err
	}
	r := Release{ID: s.deps.IDs(), Kind: kindOf(req.GetKind()), Subject: req.GetSubject(), Created: s.deps.Clock.Now(), Revision: 1}
	if r.Version, err = version("version", req.GetVersion()); err != nil {
		return nil, err
	}
	if r.Version == (Version{}) {
		return nil, failure.Invalid("version", "is 0.0.0, which is none")
	}
	if err := s.known(r.Kind, r.Subject); err != nil {
		return nil, err
	}
	if err := s.say(&r, req.GetContent()); err != nil {
		return nil, err
	}
	return idempotency.Create(ctx, s.deps.DB, req, func(ctx context.Context, tx pgx.Tx) (*licensingv1.CreateReleaseResponse, error) {
		if err := s.deps.Store.Insert(ctx, tx, r, author); err != nil {
			return nil, err
		}
		return &licensingv1.CreateReleaseResponse{Release: r.proto(inAll, "")}, nil
	})
}

// known refuses what the catalogue does not have.
func (s *Staff) known(kind Kind, subject string) error {
	_, there := s.deps.Catalogue.Product(subject)
	if kind == Platform {
		_, there = s.deps.Catalogue.Platform(subject)
	}
	if !there {
		return failure.New(commonv1.Reason_REASON_RELEASE_SUBJECT_UNKNOWN, "subject", subject)
	}
	return nil
}

// say takes over what staff say of a release.
func (s *Staff) say(r *Release, content *licensingv1.ReleaseContent) (err error) {
	if r.Date, err = civil.ParseDate(content.GetDate()); err != nil {
		return failure.Invalid("content.date", "is no date of the calendar").Wrap(err)
	}
	r.Platform, r.Issue = content.GetPlatform(), strings.TrimSpace(content.GetMaintenanceIssue())
	if r.PlatformVersion, err = version("content.platform_version_needed", content.GetPlatformVersionNeeded()); err != nil {
		return err
	}
	if (r.Platform == "") != (r.PlatformVersion == Version{}) {
		return failure.Invalid("content.platform_version_needed", "stands with a platform, and only with one")
	}
	if r.Platform != "" {
		if err := s.known(Platform, r.Platform); err != nil {
			return err
		}
	}
	r.Texts = map[string]Text{}
	for i, t := range content.GetTexts() {
		field := fmt.Sprintf("content.texts[%d]", i)
		if _, ok := locale.Parse(t.GetLanguage()); !ok {
			return failure.Invalid(field+".language", "is no language of Kontor")
		}
		if _, twice := r.Texts[t.GetLanguage()]; twice {
			return failure.Invalid(field+".language", "stands twice")
		}
		text, err := textOf(field, t)
		if err != nil {
			return err
		}
		r.Texts[t.GetLanguage()] = text
	}
	return nil
}

func textOf(field string, t *licensingv1.ReleaseText) (Text, error) {
	text := Text{
		WhatIsNew: t.GetWhatIsNew(), AllChanges: t.GetAllChanges(), MajorChanges: t.GetMajorChanges(), UpdateProcedure: t.GetUpdateProcedure(),
		MigrationNotes: t.GetMigrationNotes(), BugsFixed: t.GetBugsFixed(), ReadMe: t.GetReadMe(), Administrators: t.GetAdministrators(),
	}
	for _, f := range []struct{ name, text string }{
		{"what_is_new", text.WhatIsNew},
		{"all_changes", text.AllChanges},
		{"major_changes", text.MajorChanges},
		{"update_procedure", text.UpdateProcedure},
		{"migration_notes", text.MigrationNotes},
		{"bugs_fixed", text.BugsFixed},
		{"read_me", text.ReadMe},
		{"administrators", text.Administrators},
	} {
		if utf8.RuneCountInString(f.text) > longest {
			return text, failure.Invalid(field+"."+f.name, fmt.Sprintf("is longer than %d characters", longest))
		}
	}
	return text, nil
}

// UpdateRelease changes what is said of a release.
func (s *Staff) UpdateRelease(ctx context.Context, req *licensingv1.UpdateReleaseRequest) (*licensingv1.UpdateReleaseResponse, error) {
	release, err := ParseName(req.GetName())
	if err != nil {
		return nil, err
	}
	var r Release
	err = postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) (err error) {
		if r, err = s.deps.Store.Lock(ctx, tx, release); err != nil {
			return err
		}
		if req.GetEtag() != etag(r.Revision) {
			return failure.New(commonv1.Reason_REASON_ETAG_MISMATCH, "resource", req.GetName())
		}
		if err := s.say(&r, req.GetContent()); err != nil {
			return err
		}
		if r.State() == Published {
			if missing := r.missing(); len(missing) > 0 {
				return failure.New(commonv1.Reason_REASON_RELEASE_INCOMPLETE, "missing", strings.Join(missing, ", "))
			}
		}
		if err := s.deps.Store.Update(ctx, tx, r); err != nil {
			return err
		}
		r.Revision++
		return nil
	})
	if err != nil {
		return nil, translate(err)
	}
	return &licensingv1.UpdateReleaseResponse{Release: r.proto(inAll, "")}, nil
}

// GetAnyRelease shows any release.
func (s *Staff) GetAnyRelease(ctx context.Context, req *licensingv1.GetAnyReleaseRequest) (*licensingv1.GetAnyReleaseResponse, error) {
	release, err := ParseName(req.GetName())
	if err != nil {
		return nil, err
	}
	r, err := s.deps.Store.Get(ctx, s.deps.DB, release)
	if err != nil {
		return nil, err
	}
	return &licensingv1.GetAnyReleaseResponse{Release: r.proto(inAll, "")}, nil
}

// ListAllReleases lists all releases.
func (s *Staff) ListAllReleases(ctx context.Context, req *licensingv1.ListAllReleasesRequest) (*licensingv1.ListAllReleasesResponse, error) {
	var after uuid.UUID
	page, err := s.deps.Pages.Start(licensingv1.ReleaseStaffService_ListAllReleases_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.ListAll(ctx, s.deps.DB, after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(r Release) any { return r.ID })
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListAllReleasesResponse{NextPageToken: next}
	for _, r := range shown {
		answer.Releases = append(answer.Releases, r.proto(inAll, ""))
	}
	return answer, nil
}

// PublishRelease publishes a draft.
func (s *Staff) PublishRelease(ctx context.Context, req *licensingv1.PublishReleaseRequest) (*licensingv1.PublishReleaseResponse, error) {
	r, err := s.turn(ctx, req.GetName(), Published, func(ctx context.Context, tx pgx.Tx, r *Release, author uuid.UUID) (proto.Message, error) {
		if r.State() != Draft {
			return nil, failure.New(commonv1.Reason_REASON_RELEASE_STATE_REFUSED, "state", string(r.State()), "action", "published")
		}
		if missing := r.missing(); len(missing) > 0 {
			return nil, failure.New(commonv1.Reason_REASON_RELEASE_INCOMPLETE, "missing", strings.Join(missing, ", "))
		}
		r.Published = s.deps.Clock.Now()
		err := releasedb.New(tx).PublishRelease(ctx, releasedb.PublishReleaseParams{ID: r.ID, Published: r.Published, PublishedBy: author})
		return &licensingv1.ReleasePublished{Release: r.proto(outline, "")}, err
	})
	if err != nil {
		return nil, err
	}
	return &licensingv1.PublishReleaseResponse{Release: r.proto(inAll, "")}, nil
}

// WithdrawRelease takes a release back.
func (s *Staff) WithdrawRelease(ctx context.Context, req *licensingv1.WithdrawReleaseRequest) (*licensingv1.WithdrawReleaseResponse, error) {
	r, err := s.turn(ctx, req.GetName(), Withdrawn, func(ctx context.Context, tx pgx.Tx, r *Release, author uuid.UUID) (proto.Message, error) {
		if r.State() != Published {
			return nil, failure.New(commonv1.Reason_REASON_RELEASE_STATE_REFUSED, "state", string(r.State()), "action", "withdrawn")
		}
		r.Withdrawn, r.WithdrawReason = s.deps.Clock.Now(), req.GetReason()
		err := releasedb.New(tx).WithdrawRelease(ctx, releasedb.WithdrawReleaseParams{
			ID: r.ID, Withdrawn: r.Withdrawn, WithdrawnBy: author, WithdrawReason: r.WithdrawReason,
		})
		return &licensingv1.ReleaseWithdrawn{Release: r.proto(outline, "")}, err
	})
	if err != nil {
		return nil, err
	}
	return &licensingv1.WithdrawReleaseResponse{Release: r.proto(inAll, "")}, nil
}

// turn takes a release to another state, and tells; one that is there already stays as it is.
func (s *Staff) turn(
	ctx context.Context, name string, to State, how func(ctx context.Context, tx pgx.Tx, r *Release, author uuid.UUID) (proto.Message, error),
) (r Release, err error) {
	author, err := licence.ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return r, err
	}
	release, err := ParseName(name)
	if err != nil {
		return r, err
	}
	err = postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) (err error) {
		if r, err = s.deps.Store.Lock(ctx, tx, release); err != nil || r.State() == to {
			return err
		}
		payload, err := how(ctx, tx, &r, author)
		if err != nil {
			return err
		}
		r.Revision++
		subject := SubjectPublished
		if to == Withdrawn {
			subject = SubjectWithdrawn
		}
		return events.Append(ctx, tx, events.Event{Subject: subject, Aggregate: name, Time: s.deps.Clock.Now(), Payload: payload})
	})
	return r, translate(err)
}
