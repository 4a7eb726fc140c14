package opening

import (
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/id"
	"kontor.internal/libs/rights"
	"kontor.internal/libs/seattoken"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/tenancy/internal/cluster"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/people"
)

// Limits bound what a company's programs take of a cluster.
type Limits struct {
	// Logins is how many login roles one company has at the most.
	Logins int
	// Connections is how many connections one login has at a time.
	Connections int
	// Share is how many connections the logins of one subscriber have at a time on one cluster.
	Share int
}

// Deps are what sessions are made of.
type Deps struct {
	DB        *pgxpool.Pool
	NewID     id.Source
	Log       *slog.Logger
	Clusters  *cluster.Clusters
	Databases *database.Provisioner
	Kits      *kit.Set
	Members   *member.Members
	People    *people.People
	Rights    *rights.Rights
	Licensing licensingv1.RightServiceClient
	// Keys are what licensing signs seats with.
	Keys   seattoken.Keys
	Limits Limits
}

// Sessions opens company databases and ends what must not stay open. Any number of copies of the service do so at once.
type Sessions struct {
	d     Deps
	woken chan struct{}
	modes modes

	mu sync.Mutex
	// closed is when this copy closed the logins of ended sessions that are not swept yet.
	closed map[uuid.UUID]time.Time
}

// NewSessions returns Sessions; RunSweeper, RunReconciler and RunReviews are run beside it.
func NewSessions(d Deps) *Sessions {
	return &Sessions{d: d, woken: make(chan struct{}, 1), modes: newModes(d.Rights), closed: map[uuid.UUID]time.Time{}}
}

func decimal(n int) string { return strconv.Itoa(n) }
