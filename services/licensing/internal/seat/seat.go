// Package seat is who works now: of all accounts of a subscriber at most as many hold a seat as the licence says.
//
// Live seats lie in Redis, one pool a licence, and change by the functions of seats.lua only. PostgreSQL has what must
// outlive a loss of Redis: that a pool exists, and what happened to its seats.
package seat

import (
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/services/licensing/internal/licence"
)

// partitions is how many hash slots the pools are spread over. A partition's pools share one log, so that whoever takes
// the logs over need not know which pools there are. Changing the number needs empty pools.
const partitions = 16

// margin is how much longer than the longest lease a recovery waits.
const margin = 5 * time.Second

// partitionOf is the partition that a licence's pool is in.
func partitionOf(of uuid.UUID) int { return int(crc32.ChecksumIEEE(of[:]) % partitions) }

func partitionKey(partition int, what string) string {
	return fmt.Sprintf("kontor:{seats-%02d}:%s", partition, what)
}

// poolKeys are the keys of one pool, in the order in which seats.lua wants them.
func poolKeys(of uuid.UUID) []string {
	partition := partitionOf(of)
	keys := make([]string, 0, 7)
	for _, what := range []string{"pool", "held", "ends", "index", "free"} {
		keys = append(keys, partitionKey(partition, of.String()+":"+what))
	}
	return append(keys, logKey(partition), dueKey(partition))
}

func logKey(partition int) string { return partitionKey(partition, "log") }
func dueKey(partition int) string { return partitionKey(partition, "due") }

// Seat is one seat that is held.
type Seat struct {
	ID         uuid.UUID
	Account    uuid.UUID
	Company    uuid.UUID
	Product    string
	Device     string
	Title      string // of the device
	Slot       int32
	Generation int64
	Since      time.Time
	Renewed    time.Time
	Ends       time.Time
}

// Pool says whose seats are meant.
type Pool struct {
	Subscriber uuid.UUID
	Licence    uuid.UUID
}

// Name is a seat's resource name.
func (p Pool) Name(seat uuid.UUID) string {
	return p.aggregate() + "/" + seat.String()
}

// aggregate is what events of a pool's seats are about.
func (p Pool) aggregate() string { return licence.Name(p.Subscriber, p.Licence) + "/seats" }

// parseName reads `subscribers/S/licences/L/seats/T`. Another name is NOT_FOUND.
func parseName(name string) (Pool, uuid.UUID, error) {
	parent, rest, _ := strings.Cut(name, "/seats/")
	seat, err := id.Parse(rest)
	if err != nil {
		return Pool{}, uuid.Nil, failure.NotFound(name)
	}
	subscriber, of, err := licence.ParseName(parent)
	if err != nil {
		return Pool{}, uuid.Nil, failure.NotFound(name)
	}
	return Pool{Subscriber: subscriber, Licence: of}, seat, nil
}

// companyName is a company's resource name.
func (p Pool) companyName(company uuid.UUID) string {
	return licence.SubscriberName(p.Subscriber) + "/companies/" + company.String()
}

// Limits are what a claim must keep to.
type Limits struct {
	Seats      int32
	PerCompany int32
	Lease      time.Duration
}

// Request is who wants to work where.
type Request struct {
	Account uuid.UUID
	Company uuid.UUID
	Product string
	Device  string
	Title   string
	By      By
}

// By is who asked and from where, for the log.
type By struct {
	Account string // the id alone; empty for the service itself
	Address string
}
