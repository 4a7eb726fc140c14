// Package database makes, reaches and drops company databases. The row of one stands before anything is made on a
// server and goes after everything is dropped, so that nothing is ever left there that no row names.
package database

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Purpose is what a database was made for.
type Purpose int16

// Purposes.
const (
	Made            Purpose = 1 // with its company
	RestoredBeside  Purpose = 2
	RestoredInPlace Purpose = 3
)

// State is how far a database is.
type State int16

// States.
const (
	BeingMade State = 1
	InUse     State = 2
	Replaced  State = 3 // kept for a while after another took its place
	Dropping  State = 4
)

// String is what people are told.
func (s State) String() string {
	return map[State]string{BeingMade: "being made", InUse: "in use", Replaced: "replaced", Dropping: "dropped"}[s]
}

// Database is one company database.
type Database struct {
	ID      uuid.UUID
	Company uuid.UUID
	Cluster uuid.UUID
	// Name, Owner and Prefix are random: they tell nothing, and nobody guesses them.
	Name string
	// Owner is the NOLOGIN role that owns everything in it.
	Owner string
	// Prefix is how the names of all its roles begin.
	Prefix    string
	Purpose   Purpose
	State     State
	Key       string // under which a restore asked for it; empty otherwise
	Created   time.Time
	DropAfter *time.Time
	Areas     []Area
}

// Area is a part of a database, with the release it is at.
type Area struct {
	Area    string
	Product string
	Edition string
	Version string
}

// Area returns one of its areas.
func (d Database) Area(name string) (Area, bool) {
	for _, a := range d.Areas {
		if a.Area == name {
			return a, true
		}
	}
	return Area{}, false
}

// New names a database that is to be made.
func New(id, company, cluster uuid.UUID, purpose Purpose, now time.Time) Database {
	prefix := "c" + random(12)
	return Database{
		ID: id, Company: company, Cluster: cluster, Name: "k" + random(20), Owner: prefix + "_owner", Prefix: prefix,
		Purpose: purpose, State: BeingMade, Created: now,
	}
}

// LoginName names a new login role of the database. It begins with the database's prefix, by which roles are found that a
// broken-off call left behind.
func (d Database) LoginName() string { return d.Prefix + "_l" + random(12) }

// random is so many characters of 5 random bits each.
func random(length int) string {
	return strings.ToLower(rand.Text()[:length])
}
