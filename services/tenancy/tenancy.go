// Package tenancy is who belongs to which customer, and where each company's
// books are.
package tenancy

import (
	"context"
	"errors"

	"github.com/riverqueue/river"

	"kontor.internal/libs/authz"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/rights"
	"kontor.internal/libs/service"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/access"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/directory"
	"kontor.internal/services/tenancy/internal/invitation"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/staff"
	"kontor.internal/services/tenancy/internal/subscriber"
	"kontor.internal/services/tenancy/migrations"
)

// Config is what tenancy is told.
type Config struct {
	service.Config

	Jobs jobs.Config `koanf:"jobs"`

	LinkKey           string `koanf:"link_key" doc:"Key that the secrets in invitation links are derived from, 32 bytes or more; the same for all copies. Changing it ends all open links." secret:"true" required:"true"`
	SubscriberCodeKey string `koanf:"subscriber_code_key" doc:"Key of the permutation that subscribers' codes come from, 32 bytes or more; the same for all copies, never to be changed." secret:"true" required:"true"`
	FirstStaffToken   string `koanf:"first_staff_token" doc:"One-time token with which the first member of staff is made; empty for none." secret:"true"`
	Clusters
	Openings
	Copies
	Regions []string `koanf:"regions" doc:"Regions that data can be kept in; the first is a new subscriber's." default:"eu-north"`
}

// New wires tenancy.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	codes, links, letters, err := secretsAndTexts(cfg)
	if err != nil {
		return nil, err
	}
	books, err := loadBooks(cfg)
	if err != nil {
		return nil, err
	}
	s, err := service.New(ctx, service.Spec{
		Name: "tenancy", Config: cfg.Config, Migrations: migrations.FS,
		Access: func(s *service.Service) authz.Resolver { return newResolver(s) },
	})
	if err != nil {
		return nil, err
	}
	now := storedClock{s.Clock}
	var (
		ask       = rights.New(licensingv1.NewRightServiceClient(s.Peer("licensing")))
		who       = newPeople(s)
		members   = member.NewMembers(now, id.New)
		regions   = subscriber.Regions(cfg.Regions)
		companies = company.Titles{DB: s.DB}
		changes   = subscriber.NewChanges(subscriber.ChangesDeps{Clock: now, NewID: id.New, Codes: codes, Regions: regions, Members: members})
		inviting  = invitation.ServerDeps{
			DB: s.DB, Clock: now, NewID: id.New, Links: links, Letters: letters, Members: members,
			Companies: companies, People: who, Rights: ask, Pages: s.Pages,
		}
	)
	tenancyv1.RegisterSubscriberServiceServer(s.GRPC(), subscriber.NewServer(subscriber.ServerDeps{
		DB: s.DB, Changes: changes, Members: members, People: who, Pages: s.Pages, Regions: regions,
	}))
	tenancyv1.RegisterMemberServiceServer(s.GRPC(), member.NewServer(member.ServerDeps{
		DB: s.DB, Members: members, Companies: companies, People: who, Rights: ask, Pages: s.Pages, Texts: s.Texts, Offers: changes,
	}))
	tenancyv1.RegisterInvitationServiceServer(s.GRPC(), invitation.NewServer(inviting))
	tenancyv1.RegisterAccessServiceServer(s.GRPC(), access.NewServer(newResolver(s)))
	tenancyv1.RegisterStaffServiceServer(s.GRPC(), staff.NewServer(staff.ServerDeps{
		DB: s.DB, Clock: now, People: who, Pages: s.Pages, FirstToken: cfg.FirstStaffToken,
	}))
	tenancyv1.RegisterDirectoryServiceServer(s.GRPC(), directory.Server{
		Subscribers: subscriber.NewDirectory(s.DB), Invitations: invitation.NewDirectory(inviting), Companies: company.NewDirectory(s.DB, s.Pages),
	})
	s.Consume(changes.Registrations(who))
	workers := river.NewWorkers()
	timers, err := serveCompanies(ctx, s, cfg, books, workers, company.Deps{
		DB: s.DB, Clock: now, NewID: id.New, Members: members, Rights: ask, Pages: s.Pages,
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, startJobs(s, cfg, workers, append(timers, members.Periodic(s.DB))...)
}
