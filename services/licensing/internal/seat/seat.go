// Package seat is who works now: of all accounts of a subscriber at most as many hold a seat as the licence says.
//
// Live seats lie in Redis, one pool a licence, and change by the functions in lua/ only. PostgreSQL has what must
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
	"kontor.internal/services/licensing/internal/catalogue"
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

// poolKeys are the keys of one pool, in the order in which the functions want them.
func poolKeys(of uuid.UUID) []string {
	partition := partitionOf(of)
	own := func(what string) string { return partitionKey(partition, of.String()+":"+what) }
	return []string{
		own("pool"), own("held"), own("ends"), own("index"), own("free"), logKey(partition), dueKey(partition), own("line"),
		own("tickets"), newsKey(partition),
	}
}

func logKey(partition int) string { return partitionKey(partition, "log") }
func dueKey(partition int) string { return partitionKey(partition, "due") }

// markKey is where it stands which server run a partition was marked on.
func markKey(partition int) string { return partitionKey(partition, "mark") }

// newsKey names the channel on which a partition's pools tell what concerns streams.
func newsKey(partition int) string { return partitionKey(partition, "news") }

// Mode is how a seat counts.
type Mode string

// The modes. Guests and those who only read do not count.
const (
	InPool    Mode = "pool"
	Overdraft Mode = "overdraft"
	Guest     Mode = "guest"
	Reading   Mode = "reading"
	Travel    Mode = "travel"
)

// Counts says whether a seat counts against the licence.
func (m Mode) Counts() bool { return m != Guest && m != Reading }

// Seat is one seat that is held, as it is used in one of its places.
type Seat struct {
	ID         uuid.UUID
	Account    uuid.UUID
	Product    string
	Slot       int32
	Generation int64
	Mode       Mode
	PerPerson  bool
	Since      time.Time
	Renewed    time.Time
	Active     time.Time // when its holder last worked
	Ends       time.Time
	Cap        time.Time // beyond which no lease goes; zero for none
	Taking     time.Time // when it is taken; zero when nobody asked for that
	Place
	Places []Place
	Pleas  []Plea
}

// Place is where a seat is used.
type Place struct {
	Company uuid.UUID
	Device  string
	Title   string // of the device
	Until   time.Time
	Grant   int64 // generation of the claim that gave it last
}

// Plea is somebody's wish to have the seat.
type Plea struct {
	ID      string
	Account uuid.UUID
	Text    string
	Since   time.Time
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

// Limits are what a claim must keep to, for one product.
type Limits struct {
	Seats      int32
	PerCompany int32
	PerProduct int32 // 0 for none
	Lease      time.Duration
	PerPerson  bool
	// Extra is how many seats there are beyond Seats now, and Period the month that is being closed.
	Extra  int32
	Period string
	// Reading says whether one may read without a seat.
	Reading bool
	Travel  catalogue.Travel
	Guests  catalogue.Guests
}

// LimitsOf are the limits of a licence for a product at an instant. Rules are those of its plan.
func LimitsOf(l licence.Licence, rules catalogue.SeatRules, product string, now time.Time) Limits {
	agreed := l.TermsAt(now).Limits
	limits := Limits{
		Seats: agreed.Seats, PerCompany: agreed.SeatsPerCompany, PerProduct: rules.PerProduct[product],
		Lease: time.Duration(agreed.LeaseSeconds) * time.Second, PerPerson: rules.PerPerson, Reading: rules.ReadWithoutSeat,
		Travel: rules.Travel, Guests: rules.Guests,
	}
	limits.Extra, limits.Period = rules.Overdraft.On(now, l.Zone)
	return limits
}

// Request is who wants to work where.
type Request struct {
	Account uuid.UUID
	Company uuid.UUID
	Product string
	Device  string
	Title   string
	// Mode is InPool unless it is something else.
	Mode Mode
	// Cap is beyond when no lease goes; zero for none.
	Cap time.Time
	// TakeBack is an own seat that ends first.
	TakeBack uuid.UUID
	By       By

	id uuid.UUID // of the seat, if it is known before
}

// By is who asked and from where, for the log.
type By struct {
	Account string // the id alone; empty for the service itself
	Address string
}
