package seat

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/clock"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/licensing/internal/licence"
)

const (
	// knownFor is how long a person's name is used without asking again.
	knownFor = time.Minute
	// maxKnown bounds the memory; past it all names are asked anew.
	maxKnown = 10_000
	// maxNamed is how many holders a refusal names.
	maxNamed = 10
)

// People are what holders are called: full name, or e-mail without one. Names that can't be had are left out: nobody's
// work waits for them. Safe for concurrent use.
type People struct {
	accounts identityv1.DirectoryServiceClient
	real     clock.Clock

	mu    sync.Mutex
	known map[uuid.UUID]knownPerson
}

type knownPerson struct {
	title string
	until time.Time
}

// NewPeople returns people whom identity knows.
func NewPeople(accounts identityv1.DirectoryServiceClient, real clock.Clock) *People {
	return &People{accounts: accounts, real: real, known: map[uuid.UUID]knownPerson{}}
}

// titles names the holders of some seats, 1,000 at the most.
func (p *People) titles(ctx context.Context, seats []Seat) map[uuid.UUID]string {
	titles, unknown := p.recall(seats)
	if len(unknown) == 0 {
		return titles
	}
	found, err := p.accounts.BatchGetAccounts(ctx, &identityv1.BatchGetAccountsRequest{Names: unknown})
	if err != nil {
		return titles
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) > maxKnown {
		clear(p.known)
	}
	for _, a := range found.GetAccounts() {
		if account, err := licence.ParseAccount(a.GetName()); err == nil {
			titles[account] = cmp.Or(a.GetFullName(), a.GetEmail())
			p.known[account] = knownPerson{title: titles[account], until: p.real.Now().Add(knownFor)}
		}
	}
	return titles
}

func (p *People) recall(seats []Seat) (titles map[uuid.UUID]string, unknown []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	titles = map[uuid.UUID]string{}
	now := p.real.Now()
	for _, s := range seats {
		if known, ok := p.known[s.Account]; ok && now.Before(known.until) {
			titles[s.Account] = known.title
		} else if name := licence.AccountName(s.Account); !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return titles, unknown
}

// described names holders for people: who, on which device, and for how long they have not worked.
func described(seats []Seat, titles map[uuid.UUID]string, all int32, now time.Time) string {
	var list []string
	for _, s := range seats[:min(len(seats), maxNamed)] {
		who := cmp.Or(titles[s.Account], licence.AccountName(s.Account))
		since := s.Since.Format("2006-01-02 15:04 UTC")
		if idle := now.Sub(s.Active).Truncate(time.Minute); idle >= time.Minute {
			since += ", idle " + strings.TrimSuffix(idle.String(), "0s")
		}
		list = append(list, fmt.Sprintf("%s (%s, %s)", who, cmp.Or(s.Title, s.Device), since))
	}
	if more := int(all) - len(list); more > 0 && len(list) == maxNamed {
		list = append(list, "+"+strconv.Itoa(more))
	}
	return strings.Join(list, ", ")
}

func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
