package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/service"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

const (
	// manyClaimers claim and release at once.
	manyClaimers = 64
	// seatsLasting is how long each kind of request is driven.
	seatsLasting = 3 * time.Second
	// shortLease is the least lease there may be, in seconds.
	shortLease = 10
)

// seatBench is a customer with one company whose seats are claimed at licensing itself, with the owner's token as the
// gateway passes it on.
type seatBench struct {
	*Customer
	suite *harness.Suite
	out   io.Writer
	// one and two are connections to one copy of licensing and to two.
	one, two *grpc.ClientConn
	// commands are the calls of Redis's functions that the first claim made.
	commands commands
}

// Seats measures seats in a suite with two copies of licensing. A request is one call: a claim and its release are two.
func Seats(ctx context.Context, suite *harness.Suite, out io.Writer) (err error) {
	customer, err := NewCustomer(ctx, suite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, customer.Close()) }()
	b := &seatBench{Customer: customer, suite: suite, out: out}
	if err := b.makeCompany(ctx); err != nil {
		return err
	}
	copies := suite.State().Services["licensing"]
	if b.one, err = b.dial(copies[:1]); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.one.Close()) }()
	if b.two, err = b.dial(copies); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.two.Close()) }()
	first := b.claimer(b.one)
	if b.commands, err = overhear(ctx, suite, func() error { return first.request(ctx, 0, 0) }); err != nil {
		return err
	}
	if err := first.leave(ctx); err != nil {
		return err
	}
	for _, measure := range []func(context.Context) error{b.single, b.many, b.renewals, b.refusals, b.crash} {
		if err := b.next(ctx, measure); err != nil {
			return err
		}
	}
	return nil
}

// next begins a measurement with a fresh token on a machine that has done what the one before left to do.
func (b *seatBench) next(ctx context.Context, measure func(context.Context) error) error {
	if err := b.owner.Refresh(ctx); err != nil {
		return err
	}
	if err := quiet(ctx); err != nil {
		return err
	}
	return measure(ctx)
}

func (b *seatBench) dial(addresses []string) (*grpc.ClientConn, error) {
	folder := filepath.Join(b.suite.State().Data, "tls", "gateway")
	return service.Dial(service.DialOptions{
		Name: "licensing", Addrs: addresses,
		TLS: mtls.Files{CA: b.suite.State().CA, Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")},
	})
}

// as is the owner as the gateway passes it on.
func (b *seatBench) as(ctx context.Context) context.Context {
	return caller.With(ctx, caller.Caller{Token: b.owner.Token, Address: "127.0.0.1"})
}

// request is one request of a worker, its n-th.
type request = func(ctx context.Context, worker, n int) error

// claimer claims and releases in turn.
type claimer struct {
	*seatBench
	seats licensingv1.SeatServiceClient
	held  [manyClaimers]*licensingv1.ClaimSeatResponse
}

func (b *seatBench) claimer(conn *grpc.ClientConn) *claimer {
	return &claimer{seatBench: b, seats: licensingv1.NewSeatServiceClient(conn)}
}

func (c *claimer) request(ctx context.Context, worker, _ int) (err error) {
	if c.held[worker] == nil {
		c.held[worker], err = c.seats.ClaimSeat(c.as(ctx), c.claim(fmt.Sprintf("claims-%d", worker)))
		return err
	}
	held := c.held[worker]
	c.held[worker] = nil
	return c.release(ctx, c.seats, held)
}

// leave gives back what is held when the time is over.
func (c *claimer) leave(ctx context.Context) error {
	for _, held := range c.held {
		if held == nil {
			continue
		}
		if err := c.release(ctx, c.seats, held); err != nil {
			return err
		}
	}
	return nil
}

func (b *seatBench) release(ctx context.Context, seats licensingv1.SeatServiceClient, held *licensingv1.ClaimSeatResponse) error {
	_, err := seats.ReleaseSeat(b.as(ctx), &licensingv1.ReleaseSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken()})
	return err
}

// cycles claims and releases from many workers.
func (b *seatBench) cycles(ctx context.Context, conn *grpc.ClientConn, workers int) (load, error) {
	c := b.claimer(conn)
	l, err := drive(ctx, workers, 0, seatsLasting, c.request)
	return l, errors.Join(err, c.leave(ctx))
}

// empty is the least that licensing can be asked with a token: no store, no rule but that of every method.
func (b *seatBench) empty(conn *grpc.ClientConn) request {
	keys := licensingv1.NewKeyServiceClient(conn)
	return func(ctx context.Context, _, _ int) error {
		_, err := keys.GetJwks(b.as(ctx), &licensingv1.GetJwksRequest{})
		return err
	}
}

// single measures one worker, whom nothing but the way delays.
func (b *seatBench) single(ctx context.Context) error {
	empty, err := b.rate(ctx, "empty_rpc_1", 1, b.empty(b.one))
	if err != nil {
		return err
	}
	l, err := b.cycles(ctx, b.one, 1)
	if err != nil {
		return err
	}
	Figure{
		Name: "seat_claim_release_1", Value: l.perSecond, Unit: "req/s", P50: l.p50, P99: l.p99,
		Ratio: l.perSecond / empty.perSecond, Of: "empty_rpc_1", Goal: "p50_ms<=0.4",
	}.Print(b.out)
	return b.plain(ctx, 1)
}

// rate drives requests, and prints how many there were.
func (b *seatBench) rate(ctx context.Context, name string, workers int, r request) (load, error) {
	l, err := drive(ctx, workers, 0, seatsLasting, r)
	if err == nil {
		Figure{Name: name, Value: l.perSecond, Unit: "req/s", P50: l.p50, P99: l.p99}.Print(b.out)
	}
	return l, err
}

// plain is what redis-benchmark gets from the function that claims. It repeats one claim that the service made, which from
// the second time on freshens the lease of the seat that is held.
func (b *seatBench) plain(ctx context.Context, workers int) error {
	rate, err := benchmarkRedis(ctx, b.suite, workers, b.commands.claim)
	if err != nil {
		return err
	}
	Figure{Name: fmt.Sprintf("redis_claim_%d", workers), Value: rate, Unit: "req/s"}.Print(b.out)
	return nil
}

// many measures many workers: on one copy, on two, and with many other seats live.
func (b *seatBench) many(ctx context.Context) error {
	empty, err := b.rate(ctx, "empty_rpc_64", manyClaimers, b.empty(b.one))
	if err != nil {
		return err
	}
	var alone load
	return errors.Join(
		b.next(ctx, func(ctx context.Context) (err error) {
			if alone, err = b.cycles(ctx, b.one, manyClaimers); err == nil {
				Figure{
					Name: "seat_claim_release_64", Value: alone.perSecond, Unit: "req/s", P50: alone.p50, P99: alone.p99,
					Ratio: alone.perSecond / empty.perSecond, Of: "empty_rpc_64", Goal: ">=12000,p99_ms<=25,ratio>=0.5",
				}.Print(b.out)
			}
			return err
		}),
		b.next(ctx, func(ctx context.Context) error { return b.plain(ctx, manyClaimers) }),
		b.next(ctx, func(ctx context.Context) error { return b.against(ctx, "seat_two_copies", ">=0.9", alone, b.two) }),
		b.next(ctx, b.live),
		b.next(ctx, func(ctx context.Context) error { return b.against(ctx, "seat_claim_at_100k", ">=0.8", alone, b.one) }),
	)
}

// against compares a rate with that of one copy with few seats.
func (b *seatBench) against(ctx context.Context, name, goal string, alone load, conn *grpc.ClientConn) error {
	l, err := b.cycles(ctx, conn, manyClaimers)
	if err != nil {
		return err
	}
	Figure{
		Name: name, Value: l.perSecond, Unit: "req/s", P50: l.p50, P99: l.p99,
		Ratio: l.perSecond / alone.perSecond, Of: "seat_claim_release_64", Goal: "ratio" + goal,
	}.Print(b.out)
	return nil
}

// refusals measures claims when every seat is held.
func (b *seatBench) refusals(ctx context.Context) error {
	const seats = 10
	if err := b.limit(ctx, seats, wideLease); err != nil {
		return err
	}
	client := licensingv1.NewSeatServiceClient(b.one)
	var held []*licensingv1.ClaimSeatResponse
	for n := range seats {
		seat, err := client.ClaimSeat(b.as(ctx), b.claim(fmt.Sprintf("holds-%d", n)))
		if err != nil {
			return err
		}
		held = append(held, seat)
	}
	l, err := drive(ctx, manyClaimers, 0, seatsLasting, func(ctx context.Context, worker, _ int) error {
		_, err := client.ClaimSeat(b.as(ctx), b.claim(fmt.Sprintf("waits-%d", worker)))
		if failure.Reason(err) != commonv1.Reason_REASON_SEATS_EXHAUSTED {
			return fmt.Errorf("a claim beyond the limit was answered with %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	Figure{
		Name: "seat_refuse_64", Value: l.perSecond, Unit: "req/s", P50: l.p50, P99: l.p99, Goal: ">=12000,p99_ms<=25",
	}.Print(b.out)
	for _, seat := range held {
		if err := b.release(ctx, client, seat); err != nil {
			return err
		}
	}
	return nil
}

// crash measures how long after a dead holder's lease its seat can be had: somebody else asks all the time.
func (b *seatBench) crash(ctx context.Context) error {
	if err := b.limit(ctx, 1, shortLease); err != nil {
		return err
	}
	client := licensingv1.NewSeatServiceClient(b.one)
	dead, err := client.ClaimSeat(b.as(ctx), b.claim("dies"))
	if err != nil {
		return err
	}
	ends := dead.GetSeat().GetExpireTime().AsTime() // By Redis's clock, which is this machine's.
	// Somebody asks from a second before on, every few milliseconds: a program that nobody tells of a free seat.
	next := time.NewTimer(time.Until(ends) - time.Second)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		}
		followed, err := client.ClaimSeat(b.as(ctx), b.claim("follows"))
		if err == nil {
			late := followed.GetSeat().GetCreateTime().AsTime().Sub(ends)
			Figure{Name: "seat_free_after_crash", Value: late.Seconds(), Unit: "s", Goal: "<=0.1"}.Print(b.out)
			return nil
		}
		if failure.Reason(err) != commonv1.Reason_REASON_SEATS_EXHAUSTED {
			return err
		}
		next.Reset(2 * time.Millisecond)
	}
}

// makeCompany makes the company that seats are claimed for.
func (b *seatBench) makeCompany(ctx context.Context) error {
	made, err := tenancyv1.NewCompanyServiceClient(b.conn).CreateCompany(ctx, newCompany(b.subscriber, "SIA Seats"))
	b.company = made.GetCompany().GetName()
	return err
}

// limit has staff change what the licence allows.
func (b *seatBench) limit(ctx context.Context, seats, lease int32) error {
	conn, err := b.staff.GRPC()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := b.staff.Refresh(ctx); err != nil {
		return err
	}
	_, err = licensingv1.NewLicenceServiceClient(conn).UpdateLicence(ctx, &licensingv1.UpdateLicenceRequest{
		Licence:    &licensingv1.Licence{Name: b.licence, Limits: &licensingv1.Limits{Seats: seats, SeatsPerCompany: seats, LeaseSeconds: lease}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"limits.seats", "limits.seats_per_company", "limits.lease_seconds"}}, Reason: "To be measured.",
	})
	return err
}
