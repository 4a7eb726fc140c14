package seat

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
)

//go:embed seats.lua
var library string

// prefix of the functions' names in Redis.
const prefix = "kontor_seats_1_"

// Words that the functions answer with.
const (
	wordOpen       = "open"
	wordClosed     = "closed"
	wordLonger     = "longer"
	wordHeld       = "held"
	wordLost       = "lost"
	wordEnter      = "enter"
	wordFull       = "full"
	wordCompany    = "company"
	wordRecovering = "recovering"
	wordEmpty      = "empty"
	wordResting    = "resting"
)

// unavailable is the answer when Redis gives none.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "seats").Wrap(err)
}

// functions calls the functions of seats.lua. A server that doesn't have them, because it is new or lost them, gets them.
type functions struct{ redis redis.UniversalClient }

// answer is what a function answered: a word and what belongs to it.
type answer []any

func (f functions) call(ctx context.Context, name string, of uuid.UUID, args ...any) (answer, error) {
	return f.try(ctx, func() *redis.Cmd { return f.redis.FCall(ctx, prefix+name, poolKeys(of), args...) })
}

func (f functions) read(ctx context.Context, name string, of uuid.UUID, args ...any) (answer, error) {
	return f.try(ctx, func() *redis.Cmd { return f.redis.FCallRO(ctx, prefix+name, poolKeys(of), args...) })
}

func (f functions) try(ctx context.Context, call func() *redis.Cmd) (answer, error) {
	got, err := call().Slice()
	if isMissing(err) {
		if err := f.load(ctx); err != nil {
			return nil, unavailable(err)
		}
		got, err = call().Slice()
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return answer(got), nil
}

// isMissing says that the server does not have the functions.
func isMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Function not found")
}

func (f functions) load(ctx context.Context) error {
	return f.redis.FunctionLoadReplace(ctx, library).Err()
}

func (a answer) word() string { return a.text(0) }

func (a answer) text(i int) string {
	if i >= len(a) {
		return ""
	}
	text, _ := a[i].(string)
	return text
}

// duration is a number of milliseconds.
func (a answer) duration(i int) time.Duration {
	ms, _ := strconv.ParseInt(a.text(i), 10, 64)
	return time.Duration(ms) * time.Millisecond
}

// seats are a list of seats.
func (a answer) seats(i int) ([]Seat, error) {
	if i >= len(a) {
		return nil, nil
	}
	list, _ := a[i].([]any)
	seats := make([]Seat, 0, len(list))
	for j := range list {
		s, err := answer(list).seat(j)
		if err != nil {
			return nil, err
		}
		seats = append(seats, s)
	}
	return seats, nil
}

// seat is one seat, as `shown` in seats.lua gives it.
func (a answer) seat(i int) (Seat, error) {
	if i >= len(a) {
		return Seat{}, errors.New("seat: Redis answered no seat")
	}
	fields, _ := a[i].([]any)
	if len(fields) != 11 {
		return Seat{}, fmt.Errorf("seat: Redis answered a seat of %d fields", len(fields))
	}
	f := answer(fields)
	var r reader
	s := Seat{
		Slot: int32(r.number(f.text(0))), ID: r.id(f.text(1)), Account: r.id(f.text(2)), Company: r.id(f.text(3)),
		Product: f.text(4), Device: f.text(5), Title: f.text(6), Generation: r.number(f.text(7)),
		Since: r.instant(f.text(8)), Renewed: r.instant(f.text(9)), Ends: r.instant(f.text(10)),
	}
	return s, r.err
}

// reader reads texts and keeps the first error.
type reader struct{ err error }

func (r *reader) note(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("seat: from Redis: %w", err)
	}
}

func (r *reader) number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	r.note(err)
	return n
}

func (r *reader) id(text string) uuid.UUID {
	id, err := uuid.Parse(text)
	r.note(err)
	return id
}

// optional reads an id that may be missing.
func (r *reader) optional(text string) *uuid.UUID {
	if text == "" {
		return nil
	}
	id := r.id(text)
	return &id
}

func (r *reader) instant(text string) time.Time { return time.UnixMilli(r.number(text)).UTC() }

// states are ends of leases in a function's answer; the zero time for a seat that is not held.
func (a answer) states() ([]time.Time, error) {
	if len(a) < 2 {
		return nil, errors.New("seat: Redis answered no states")
	}
	list, _ := a[1].([]any)
	ends := make([]time.Time, len(list))
	var r reader
	for i := range list {
		if text := answer(list).text(i); text != "" {
			ends[i] = r.instant(text)
		}
	}
	return ends, r.err
}

// byCaller turns an account's name into what the log keeps.
func byCaller(account, address string) By {
	id, err := licence.ParseAccount(account)
	if err != nil {
		return By{Address: address}
	}
	return By{Account: id.String(), Address: address}
}
