package database

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// keptIdle is how long a connection into a company database waits for its next use.
	keptIdle = 15 * time.Second
	// mostIdle is how many wait, over all databases.
	mostIdle = 32
	// closing bounds a connection's farewell.
	closing = time.Second
)

// idle are connections that wait for their next use. There are thousands of databases, so a pool for each would keep far
// too many.
type idle struct {
	mu     sync.Mutex
	waits  []waiting // the longest waiting first
	closed bool
}

type waiting struct {
	database string
	conn     *pgx.Conn
	timer    *time.Timer
}

func newIdle() *idle { return &idle{} }

// take returns the connection to a database that has waited shortest, nil without one.
func (i *idle) take(database string) *pgx.Conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := len(i.waits) - 1; n >= 0; n-- {
		if w := i.waits[n]; w.database == database {
			i.remove(n)
			if !w.conn.IsClosed() {
				return w.conn
			}
		}
	}
	return nil
}

// keep lets a connection wait. The longest waiting makes room.
func (i *idle) keep(database string, conn *pgx.Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		bye(conn)
		return
	}
	if len(i.waits) == mostIdle {
		oldest := i.waits[0].conn
		i.remove(0)
		bye(oldest)
	}
	timer := time.AfterFunc(keptIdle, func() { i.drop(func(w waiting) bool { return w.conn == conn }) })
	i.waits = append(i.waits, waiting{database: database, conn: conn, timer: timer})
}

// forget closes what waits for a database.
func (i *idle) forget(database string) {
	i.drop(func(w waiting) bool { return w.database == database })
}

func (i *idle) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.drop(func(waiting) bool { return true })
}

func (i *idle) drop(which func(waiting) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := len(i.waits) - 1; n >= 0; n-- {
		if w := i.waits[n]; which(w) {
			i.remove(n)
			bye(w.conn)
		}
	}
}

// remove takes one out; its caller holds the lock.
func (i *idle) remove(n int) {
	i.waits[n].timer.Stop()
	i.waits = append(i.waits[:n], i.waits[n+1:]...)
}

func bye(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = conn.Close(ctx) // It was of no more use.
}
