package seat

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

const (
	// lookAgain is how often a stream's seats are looked at: news may be told while nobody listens.
	lookAgain = 5 * time.Second
	// releasing bounds giving back what a stream held.
	releasing = 5 * time.Second
)

type holdStream = grpc.BidiStreamingServer[licensingv1.HoldSeatsRequest, licensingv1.HoldSeatsResponse]

// hold is one stream and the seats that live by it.
type hold struct {
	*Server
	stream     holdStream
	ear        *Ear
	subscriber string
	seats      map[int32]*streamed
}

// streamed is a seat of a stream, as it was renewed last.
type streamed struct {
	of     Pool
	seat   Seat
	signed time.Time
	grant  int64 // that the last token is for
	told   news
}

// news is what of a seat its holder is told without asking.
type news struct {
	taking time.Time
	plea   string // the latest
}

func newsOf(s Seat) news {
	n := news{taking: s.Taking}
	if len(s.Pleas) > 0 {
		n.plea = s.Pleas[len(s.Pleas)-1].ID
	}
	return n
}

// HoldSeats holds seats over one stream.
func (s *Server) HoldSeats(stream holdStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	subscriber, err := licence.ParseSubscriber(first.GetParent())
	if err != nil {
		return err
	}
	h := &hold{
		Server: s, stream: stream, ear: s.deps.Hub.Listen(), subscriber: licence.SubscriberName(subscriber), seats: map[int32]*streamed{},
	}
	defer h.ear.Close()
	return h.run(first)
}

// received is what came of waiting for a message.
type received struct {
	message *licensingv1.HoldSeatsRequest
	err     error
}

// run answers messages and tells news until the stream ends. The seats are given back only if the client closed its side.
func (h *hold) run(first *licensingv1.HoldSeatsRequest) error {
	if err := h.answer(first); err != nil {
		return err
	}
	ctx := h.stream.Context()
	messages := make(chan received)
	go h.receive(ctx, messages)
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		var err error
		select {
		case got := <-messages:
			if errors.Is(got.err, io.EOF) {
				return h.release(ctx)
			}
			if err = got.err; err == nil {
				err = h.answer(got.message)
			}
		case <-h.ear.Heard():
			err = h.tellNews(ctx)
		case <-tick.C:
			err = h.tellNews(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// receive hands on messages until there are no more.
func (h *hold) receive(ctx context.Context, messages chan<- received) {
	for {
		message, err := h.stream.Recv()
		select {
		case messages <- received{message, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// answer renews what a message names.
func (h *hold) answer(message *licensingv1.HoldSeatsRequest) error {
	now := h.deps.Real.Now()
	b := batch{Server: h.Server, subscriber: h.subscriber, sign: h.due(now)}
	numbers := make([]int32, len(message.GetHolds()))
	for i, one := range message.GetHolds() {
		numbers[i] = one.GetNumber()
		if err := h.add(&b, one); err != nil {
			return err
		}
	}
	answers, err := b.renew(h.stream.Context())
	if err != nil {
		return err
	}
	for i, number := range numbers {
		known := h.seats[number]
		if known == nil {
			continue
		}
		if !answers[i].GetHeld() {
			delete(h.seats, number)
			continue
		}
		known.seat, known.told = b.held[i], newsOf(b.held[i])
		if answers[i].GetToken() != "" {
			known.signed, known.grant = now, known.seat.Generation
		}
	}
	return h.stream.Send(&licensingv1.HoldSeatsResponse{Answer: true, Renewals: answers, Numbers: numbers})
}

// due says which seats get a fresh token: those whose last one is a third of a lease old, or from before another claim.
func (h *hold) due(now time.Time) func(Seat) bool {
	type where struct {
		seat, company uuid.UUID
		device        string
	}
	last := map[where]*streamed{}
	for _, known := range h.seats {
		last[where{known.seat.ID, known.seat.Company, known.seat.Device}] = known
	}
	return func(held Seat) bool {
		known := last[where{held.ID, held.Company, held.Device}]
		return known == nil || known.grant != held.Generation || now.Sub(known.signed) >= held.Ends.Sub(held.Renewed)/3
	}
}

// add adds a renewal to a batch: of a seat that the stream knows by its number, or that it hears of first.
func (h *hold) add(b *batch, one *licensingv1.SeatHold) error {
	idle := time.Duration(one.GetIdleSeconds()) * time.Second
	known := h.seats[one.GetNumber()]
	if one.GetSeat() == nil {
		if known == nil {
			b.add("", Pool{}, Renewal{}, false)
			return nil
		}
		b.add(known.of.Name(known.seat.ID), known.of, Renewal{Seat: known.seat, Idle: idle}, true)
		return nil
	}
	of, mine, err := h.renewal(h.stream.Context(), one.GetSeat())
	if failure.Reason(err) == commonv1.Reason_REASON_SEAT_TOKEN_WRONG || failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		b.add(one.GetSeat().GetName(), of, mine, false)
		return nil
	}
	if err != nil {
		return err
	}
	if idle > mine.Idle {
		mine.Idle = idle
	}
	h.seats[one.GetNumber()] = &streamed{of: of, seat: mine.Seat}
	h.ear.For(mine.ID.String())
	b.add(one.GetSeat().GetName(), of, mine, true)
	return nil
}

// tellNews tells what happened to the stream's seats since it was told last.
func (h *hold) tellNews(ctx context.Context) error {
	byPool := map[Pool][]int32{}
	for number, known := range h.seats {
		byPool[known.of] = append(byPool[known.of], number)
	}
	out := &licensingv1.HoldSeatsResponse{}
	for of, numbers := range byPool {
		ids := make([]uuid.UUID, len(numbers))
		for i, number := range numbers {
			ids[i] = h.seats[number].seat.ID
		}
		seen, recovers, err := h.deps.Pools.See(ctx, of.Licence, ids)
		if err != nil {
			continue // The holder's own renewals will say so.
		}
		for i, number := range numbers {
			h.compare(ctx, out, number, seen[i], recovers)
		}
	}
	if len(out.GetNumbers()) == 0 {
		return nil
	}
	return h.stream.Send(out)
}

// compare adds to the news what is new of one seat.
func (h *hold) compare(ctx context.Context, out *licensingv1.HoldSeatsResponse, number int32, now Seat, recovers bool) {
	known := h.seats[number]
	gone := now.ID == uuid.Nil
	if gone && recovers || !gone && newsOf(now) == known.told {
		return
	}
	renewal := &licensingv1.SeatRenewal{Name: known.of.Name(known.seat.ID), Held: !gone}
	if gone {
		delete(h.seats, number)
	} else {
		known.told = newsOf(now)
		renewal.TakeTime, renewal.Pleas, renewal.ExpireTime = instant(now.Taking), h.pleas(ctx, now), timestamppb.New(known.seat.Ends)
	}
	out.Numbers, out.Renewals = append(out.Numbers, number), append(out.Renewals, renewal)
}

// release gives back what the stream held.
func (h *hold) release(ctx context.Context) error {
	who := caller.From(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer cancel()
	var failed []error
	for _, known := range h.seats {
		failed = append(failed, h.deps.Pools.Release(ctx, known.of, known.seat, by(who)))
	}
	return errors.Join(failed...)
}
