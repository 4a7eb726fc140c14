package release

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/seal"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/licence"
)

// Deps are what releases are published and handed out with.
type Deps struct {
	DB        *pgxpool.Pool
	Store     Store
	Catalogue *catalogue.Catalogue
	Book      *entitlement.Book
	Texts     *entitlement.Texts
	Signer    *Signer
	// Links seals what stands in links to kits.
	Links   *seal.Sealer
	Objects *blob.Bucket
	Clock   clock.Clock
	IDs     id.Source
	Pages   *paging.Codec
}

// Server answers ReleaseService.
type Server struct {
	licensingv1.UnimplementedReleaseServiceServer
	deps Deps
}

// NewServer returns a server.
func NewServer(deps Deps) *Server { return &Server{deps: deps} }

// ListReleases lists the published releases of a product or platform.
func (s *Server) ListReleases(ctx context.Context, req *licensingv1.ListReleasesRequest) (*licensingv1.ListReleasesResponse, error) {
	var after Version
	page, err := s.deps.Pages.Start(licensingv1.ReleaseService_ListReleases_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.ListPublished(ctx, s.deps.DB, kindOf(req.GetKind()), req.GetSubject(), after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(r Release) any { return r.Version })
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListReleasesResponse{NextPageToken: next}
	for _, r := range shown {
		answer.Releases = append(answer.Releases, r.proto(outline, ""))
	}
	return answer, nil
}

// GetRelease shows a release to a subscriber that may have it.
func (s *Server) GetRelease(ctx context.Context, req *licensingv1.GetReleaseRequest) (*licensingv1.GetReleaseResponse, error) {
	r, err := s.opened(ctx, req.GetSubscriber(), req.GetName())
	if err != nil {
		return nil, err
	}
	return &licensingv1.GetReleaseResponse{Release: r.proto(whole, caller.From(ctx).Locale)}, nil
}

// opened finds a release that a subscriber may have.
func (s *Server) opened(ctx context.Context, subscriber, name string) (Release, error) {
	owner, err := licence.ParseSubscriber(subscriber)
	if err != nil {
		return Release{}, err
	}
	release, err := ParseName(name)
	if err != nil {
		return Release{}, err
	}
	r, err := s.deps.Store.Get(ctx, s.deps.DB, release)
	if err != nil {
		return Release{}, err
	}
	if r.State() == Draft {
		return Release{}, failure.NotFound(name)
	}
	may, err := s.rightOf(ctx, owner, r.Kind, r.Subject)
	if err != nil {
		return Release{}, err
	}
	if err := s.deps.Texts.Refusal(open(r, may, s.deps.Clock.Now()), caller.From(ctx).Locale); err != nil {
		return Release{}, err
	}
	if r.State() == Withdrawn {
		return Release{}, failure.New(commonv1.Reason_REASON_RELEASE_WITHDRAWN, "why", r.WithdrawReason)
	}
	return r, nil
}

// rightOf is a subscriber's right to updates of a product; a platform is for everybody who may have updates of anything.
func (s *Server) rightOf(ctx context.Context, subscriber uuid.UUID, kind Kind, subject string) (right, error) {
	facts, err := s.deps.Book.Facts(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	q := entitlement.Question{Action: licensingv1.Action_ACTION_UPDATE, Product: subject}
	if kind == Platform {
		q.Product = ""
	}
	return func(at time.Time) entitlement.Decision { return entitlement.Decide(facts, q, at) }, nil
}

// CheckForUpdate answers the newest release that a subscriber may have.
func (s *Server) CheckForUpdate(ctx context.Context, req *licensingv1.CheckForUpdateRequest) (*licensingv1.CheckForUpdateResponse, error) {
	subscriber, err := licence.ParseSubscriber(req.GetSubscriber())
	if err != nil {
		return nil, err
	}
	has, err := version("version", req.GetVersion())
	if err != nil {
		return nil, err
	}
	platform, err := version("platform_version", req.GetPlatformVersion())
	if err != nil {
		return nil, err
	}
	if _, known := s.deps.Catalogue.Product(req.GetProduct()); !known {
		return nil, failure.New(commonv1.Reason_REASON_RELEASE_SUBJECT_UNKNOWN, "subject", req.GetProduct())
	}
	kind := Product
	if req.GetReportForms() {
		kind = ReportForms
	}
	newer, err := s.deps.Store.Newer(ctx, s.deps.DB, kind, req.GetProduct(), has)
	if err != nil {
		return nil, err
	}
	may, err := s.rightOf(ctx, subscriber, kind, req.GetProduct())
	if err != nil {
		return nil, err
	}
	c := choose(newer, may, s.deps.Clock.Now())
	locale := caller.From(ctx).Locale
	update := &licensingv1.Update{Offers: c.offers, Decision: s.deps.Texts.Proto(c.decision, locale)}
	if c.newest != nil {
		update.Newest = c.newest.proto(outline, "")
	}
	if c.release != nil {
		update.Release = c.release.proto(whole, locale)
		if update.Platform, err = s.platformFirst(ctx, *c.release, platform); err != nil {
			return nil, err
		}
	}
	update.KnownProblems, err = s.problemsOf(ctx, kind, req.GetProduct(), has)
	return &licensingv1.CheckForUpdateResponse{Update: update}, err
}

// platformFirst is the platform's newest release where a release needs a newer one than there is.
func (s *Server) platformFirst(ctx context.Context, r Release, has Version) (*licensingv1.Release, error) {
	if r.Platform == "" || has.Compare(r.PlatformVersion) >= 0 {
		return nil, nil //nolint:nilnil // Nothing is needed.
	}
	newer, err := s.deps.Store.ListPublished(ctx, s.deps.DB, Platform, r.Platform, Version{}, 1)
	if err != nil || len(newer) == 0 {
		return nil, err
	}
	return newer[0].proto(outline, ""), nil
}

// problemsShown bounds the problems that an answer about updates names.
const problemsShown = 50

func (s *Server) problemsOf(ctx context.Context, kind Kind, subject string, of Version) ([]*licensingv1.KnownProblem, error) {
	if of == (Version{}) {
		return nil, nil
	}
	found, err := s.deps.Store.ListProblems(ctx, s.deps.DB, kind, subject, of, uuid.Nil, problemsShown)
	if err != nil {
		return nil, err
	}
	var all []*licensingv1.KnownProblem
	for _, p := range found {
		all = append(all, p.proto(whole, caller.From(ctx).Locale))
	}
	return all, nil
}

// ListKnownProblems lists what is known of a product or platform.
func (s *Server) ListKnownProblems(ctx context.Context, req *licensingv1.ListKnownProblemsRequest) (*licensingv1.ListKnownProblemsResponse, error) {
	of, err := version("version", req.GetVersion())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.deps.Pages.Start(licensingv1.ReleaseService_ListKnownProblems_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.ListProblems(ctx, s.deps.DB, kindOf(req.GetKind()), req.GetSubject(), of, after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(p Problem) any { return p.ID })
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListKnownProblemsResponse{NextPageToken: next}
	for _, p := range shown {
		answer.KnownProblems = append(answer.KnownProblems, p.proto(whole, caller.From(ctx).Locale))
	}
	return answer, nil
}

// ListReleaseKeys shows the public keys.
func (s *Server) ListReleaseKeys(context.Context, *licensingv1.ListReleaseKeysRequest) (*licensingv1.ListReleaseKeysResponse, error) {
	answer := &licensingv1.ListReleaseKeysResponse{}
	for _, k := range s.deps.Signer.keys {
		answer.Keys = append(answer.Keys, &licensingv1.ReleaseKey{Id: k.id, PublicKey: k.public, CreateTime: timestamppb.New(k.created)})
	}
	return answer, nil
}

func version(field, text string) (Version, error) {
	v, err := ParseVersion(text)
	if err != nil {
		return v, failure.Invalid(field, "is no version, such as 1.4.0").Wrap(err)
	}
	return v, nil
}
