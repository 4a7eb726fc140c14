package tenancy

import (
	"context"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/events"
	"kontor.internal/libs/service"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/opening"
	"kontor.internal/services/tenancy/internal/preparation"
)

// Openings are the settings of work in company databases.
type Openings struct {
	LoginsPerCompany    int `koanf:"logins_per_company" doc:"How many programs have one company open at a time, at the most: each has a login role on the company's cluster, which is kept for the next one." default:"100"`
	ConnectionsPerLogin int `koanf:"connections_per_login" doc:"How many connections to the company's database one open program may have at a time." default:"10"`
	ConnectionsShare    int `koanf:"connections_share" doc:"How many connections the open programs of one subscriber may have at a time on one cluster, all together. Past it each further program gets one. The cluster's max_connections must leave room for several subscribers' shares and for Kontor's own, about 20 a copy of tenancy." default:"100"`
}

// serveOpenings wires opening into what d has already: where companies lie, and who may what.
func serveOpenings(s *service.Service, cfg Openings, d opening.Deps) *opening.Sessions {
	keys := licensingv1.NewKeyServiceClient(s.Peer("licensing"))
	d.DB, d.Log, d.People = s.DB, s.Log, newPeople(s)
	d.Licensing = licensingv1.NewRightServiceClient(s.Peer("licensing"))
	d.Keys = authn.NewRemoteKeys(func(ctx context.Context) ([]byte, error) {
		answer, err := keys.GetJwks(ctx, &licensingv1.GetJwksRequest{})
		return answer.GetJwks(), err
	})
	d.Limits = opening.Limits{Logins: cfg.LoginsPerCompany, Connections: cfg.ConnectionsPerLogin, Share: cfg.ConnectionsShare}
	sessions := opening.NewSessions(d)
	tenancyv1.RegisterOpeningServiceServer(s.GRPC(), opening.NewServer(sessions, s.Pages))
	s.Consume(sessions.SeatEvents())
	s.Go("session sweeper", sessions.RunSweeper)
	s.Go("session leases", sessions.RunReconciler)
	s.Go("session reviews", func(ctx context.Context) error { return sessions.RunReviews(ctx, s.Clock) })
	s.Go("session changes", func(ctx context.Context) error { return events.Watch(ctx, s.EventDeps(), sessions.Changes(s.Clock)) })
	return sessions
}

// servePreparation wires the preparing of local users (J4).
func servePreparation(s *service.Service, d preparation.ServerDeps) {
	d.DB, d.People, d.Pages = s.DB, newPeople(s), s.Pages
	tenancyv1.RegisterLocalUserServiceServer(s.GRPC(), preparation.NewServer(d))
}
