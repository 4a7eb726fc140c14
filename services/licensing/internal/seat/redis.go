package seat

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
)

//go:embed lua/*.lua
var sources embed.FS

// library is the functions' source: the files in the order of their numbers.
var library = sync.OnceValues(func() (string, error) {
	files, err := fs.Glob(sources, "lua/*.lua")
	var whole strings.Builder
	for _, file := range files {
		part, readErr := sources.ReadFile(file)
		err = errors.Join(err, readErr)
		whole.Write(part)
	}
	return whole.String(), err
})

// prefix of the functions' names in Redis.
const prefix = "kontor_seats_2_"

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
	wordProduct    = "product"
	wordRecovering = "recovering"
	wordEmpty      = "empty"
	wordResting    = "resting"
	wordForeign    = "foreign"
	wordWaiting    = "waiting"
	wordOffered    = "offered"
	wordCrowded    = "crowded"
	wordKept       = "kept"
	wordTaken      = "taken"
)

// unavailable is the answer when Redis gives none.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "seats").Wrap(err)
}

// functions calls the functions in lua/. A server that doesn't have them, because it is new or lost them, gets them.
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

// load gives the functions to every server that has pools.
func (f functions) load(ctx context.Context) error {
	source, err := library()
	if err != nil {
		return err
	}
	if cluster, ok := f.redis.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			return master.FunctionLoadReplace(ctx, source).Err()
		})
	}
	return f.redis.FunctionLoadReplace(ctx, source).Err()
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

// list is what belongs to an answer as a list.
func (a answer) list(i int) answer {
	if i >= len(a) {
		return nil
	}
	list, _ := a[i].([]any)
	return list
}

// shownFields is how many fields `shown` in lua/ gives.
const shownFields = 18

// seat is one seat, as `shown` in lua/ gives it.
func (a answer) seat(i int) (Seat, error) {
	f := a.list(i)
	if len(f) != shownFields {
		return Seat{}, fmt.Errorf("seat: Redis answered a seat of %d fields", len(f))
	}
	var r reader
	s := Seat{
		Slot: int32(r.number(f.text(0))), ID: r.id(f.text(1)), Account: r.id(f.text(2)), Product: f.text(3),
		Generation: r.number(f.text(4)), Since: r.instant(f.text(5)), Renewed: r.instant(f.text(6)), Active: r.instant(f.text(7)),
		Mode: Mode(f.text(8)), Ends: r.instant(f.text(9)), Taking: r.maybe(f.text(10)), PerPerson: f.text(11) == "1",
		Place: Place{Company: r.id(f.text(12)), Device: f.text(13), Title: f.text(14)}, Cap: r.maybe(f.text(17)),
	}
	for n := range f.list(15) {
		at := f.list(15).list(n)
		place := Place{Company: r.id(at.text(0)), Device: at.text(1), Title: at.text(2), Until: r.instant(at.text(3))}
		if place.Company == s.Company && place.Device == s.Device {
			s.Until = place.Until
		}
		s.Places = append(s.Places, place)
	}
	for n := range f.list(16) {
		plea := f.list(16).list(n)
		s.Pleas = append(s.Pleas, Plea{ID: plea.text(0), Account: r.id(plea.text(1)), Text: plea.text(2), Since: r.instant(plea.text(3))})
	}
	if s.Until.Before(s.Ends) {
		s.Ends = s.Until // The place's lease; others may hold the seat for longer.
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

// maybe is an instant, zero for 0.
func (r *reader) maybe(text string) time.Time {
	if text == "0" {
		return time.Time{}
	}
	return r.instant(text)
}

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
