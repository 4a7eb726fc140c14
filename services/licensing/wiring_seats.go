package licensing

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat"
)

// serveSeats wires the seats.
func serveSeats(s *service.Service, cfg Config, p parts) (*seat.Server, error) {
	client, err := openRedis(s, cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	pools := seat.NewPools(seat.PoolDeps{Redis: client, DB: s.DB, Licences: p.licences, Clock: p.clock, IDs: id.New})
	diary := seat.NewDiary(seat.DiaryDeps{Redis: client, DB: s.DB, Clock: p.clock, Log: s.Log})
	server := seat.NewServer(seat.Deps{
		Pools: pools, Diary: diary, Entitled: entitled{s, p}, Signer: p.ring, Authorizer: s.Authorizer(), Pages: s.Pages, Real: clock.System{},
		People: seat.NewPeople(identityv1.NewDirectoryServiceClient(s.Peer("identity")), clock.System{}),
	})
	licensingv1.RegisterSeatServiceServer(s.GRPC(), server)
	sweeper := &seat.Sweeper{Pools: pools, Real: clock.System{}, Log: s.Log}
	s.Go("seat diary", diary.Run)
	s.Go("seat sweeper", sweeper.Run)
	return server, nil
}

// openRedis opens the store of live seats for as long as the service lives. That it answers is not waited for.
func openRedis(s *service.Service, address string) (*redis.Client, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("redis_url can't be read") // The error would quote the password.
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
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
	return seat.Pool{Subscriber: subscriber, Licence: decision.Licence.ID}, seat.LimitsOf(*decision.Licence, e.p.clock.Now()), nil
}

// Of finds a licence's limits, from memory as long as the book keeps them.
func (e entitled) Of(ctx context.Context, of seat.Pool) (seat.Limits, error) {
	facts, err := e.p.book.Known(ctx, of.Subscriber)
	if err != nil {
		return seat.Limits{}, err
	}
	for _, l := range facts.Licences {
		if l.ID == of.Licence {
			return seat.LimitsOf(l, e.p.clock.Now()), nil
		}
	}
	found, err := e.p.licences.Get(ctx, e.s.DB, of.Subscriber, of.Licence)
	if err != nil {
		return seat.Limits{}, err
	}
	return seat.LimitsOf(found, e.p.clock.Now()), nil
}
