package licensing

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/seattoken"
	"kontor.internal/libs/service"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat"
	"kontor.internal/services/licensing/internal/seatreport"
)

// serveSeats wires the seats.
func serveSeats(s *service.Service, cfg Config, p parts) (*seat.Server, error) {
	client, err := openRedis(s, cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	stamps, err := seat.NewStamps(cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious)
	if err != nil {
		return nil, err
	}
	tokens, err := seattoken.NewOwn(cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious)
	if err != nil {
		return nil, err
	}
	real := clock.System{}
	pools := seat.NewPools(seat.PoolDeps{Redis: client, DB: s.DB, Licences: p.licences, Clock: p.clock, Real: real, IDs: id.New})
	diary := seat.NewDiary(seat.DiaryDeps{Redis: client, Pools: pools, DB: s.DB, Clock: p.clock, Real: real, Log: s.Log})
	hub := seat.NewHub(client)
	server := seat.NewServer(seat.Deps{
		Pools: pools, Diary: diary, Entitled: entitled{s, p}, Signer: p.ring, Authorizer: s.Authorizer(), Pages: s.Pages, Real: real, Stamps: stamps, Hub: hub, Tokens: tokens,
		People: seat.NewPeople(identityv1.NewDirectoryServiceClient(s.Peer("identity")), real),
	})
	licensingv1.RegisterSeatServiceServer(s.GRPC(), server)
	licensingv1.RegisterTravelSeatServiceServer(s.GRPC(), &seat.TravelServer{Server: server})
	licensingv1.RegisterGuestSeatServiceServer(s.GRPC(), &seat.GuestServer{Server: server})
	sweeper := &seat.Sweeper{Pools: pools, Log: s.Log}
	reports := seatreport.NewServer(seatreport.Deps{Maker: p.statements, Texts: p.advice, Pages: s.Pages, Clock: p.clock})
	licensingv1.RegisterSeatReportServiceServer(s.GRPC(), reports)
	s.Go("seat news", hub.Run)
	s.Go("seat diary", diary.Run)
	s.Go("seat sweeper", sweeper.Run)
	return server, nil
}

// openRedis opens the store of live seats for as long as the service lives. That it answers is not waited for. A URL
// that names more servers (`redis://a:1?addr=b:2&addr=c:3`) is a Redis Cluster's.
func openRedis(s *service.Service, address string) (redis.UniversalClient, error) {
	unreadable := errors.New("redis_url can't be read") // The error would quote the password.
	var client redis.UniversalClient
	if strings.Contains(address, "addr=") {
		options, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, unreadable
		}
		options.ContextTimeoutEnabled = true
		client = redis.NewClusterClient(options)
	} else {
		options, err := redis.ParseURL(address)
		if err != nil {
			return nil, unreadable
		}
		options.ContextTimeoutEnabled = true
		client = redis.NewClient(options)
	}
	s.OnClose("seat store", func(context.Context) error { return client.Close() })
	return client, s.Telemetry.InstrumentRedis(client)
}

// entitled answers for the seats from the one book of rights: no second query says how many there are.
type entitled struct {
	s *service.Service
	p parts
}

// ToWork finds the licence that lets a subscriber work with a product: to read at least.
func (e entitled) ToWork(ctx context.Context, name, product string) (seat.Pool, seat.Limits, error) {
	subscriber, err := licence.ParseSubscriber(name)
	if err != nil {
		return seat.Pool{}, seat.Limits{}, err
	}
	decision, err := e.p.book.Decide(ctx, subscriber, entitlement.Question{Action: licensingv1.Action_ACTION_READ, Product: product})
	if err != nil {
		return seat.Pool{}, seat.Limits{}, err
	}
	if err := e.p.texts.Refusal(decision, caller.From(ctx).Locale); err != nil {
		return seat.Pool{}, seat.Limits{}, err
	}
	return seat.Pool{Subscriber: subscriber, Licence: decision.Licence.ID}, e.limits(*decision.Licence, product), nil
}

// limits are what a licence allows now, by its own terms and its plan's rules.
func (e entitled) limits(l licence.Licence, product string) seat.Limits {
	plan, _ := e.p.catalogue.Plan(l.Plan) // A plan that is gone has no rules of its own.
	return seat.LimitsOf(l, plan.Seats, product, e.p.clock.Now())
}

// Licences are the licences of a subscriber.
func (e entitled) Licences(ctx context.Context, name string) ([]seat.Pool, error) {
	subscriber, err := licence.ParseSubscriber(name)
	if err != nil {
		return nil, err
	}
	facts, err := e.p.book.Known(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	pools := make([]seat.Pool, len(facts.Licences))
	for i, l := range facts.Licences {
		pools[i] = seat.Pool{Subscriber: subscriber, Licence: l.ID}
	}
	return pools, nil
}

// Of finds a licence's limits, from memory as long as the book keeps them.
func (e entitled) Of(ctx context.Context, of seat.Pool, product string) (seat.Limits, error) {
	facts, err := e.p.book.Known(ctx, of.Subscriber)
	if err != nil {
		return seat.Limits{}, err
	}
	for _, l := range facts.Licences {
		if l.ID == of.Licence {
			return e.limits(l, product), nil
		}
	}
	found, err := e.p.licences.Get(ctx, e.s.DB, of.Subscriber, of.Licence)
	if err != nil {
		return seat.Limits{}, err
	}
	return e.limits(found, product), nil
}
