// Package names writes and reads the names of exchange's resources, and of those it is told.
package names

import (
	"strings"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
)

// Subscriber is `subscribers/S`.
func Subscriber(subscriber uuid.UUID) string { return "subscribers/" + subscriber.String() }

// Connection is `connections/X`.
func Connection(connection uuid.UUID) string { return "connections/" + connection.String() }

// Document is `connections/X/documents/D`.
func Document(connection, document uuid.UUID) string {
	return Connection(connection) + "/documents/" + document.String()
}

// ParseSubscriber reads `subscribers/S`.
func ParseSubscriber(name string) (uuid.UUID, error) { return one(name, "subscribers/") }

// ParseConnection reads `connections/X`.
func ParseConnection(name string) (uuid.UUID, error) { return one(name, "connections/") }

// ParseDocument reads `connections/X/documents/D`.
func ParseDocument(name string) (connection, document uuid.UUID, err error) {
	before, after, _ := strings.Cut(name, "/documents/")
	if connection, err = ParseConnection(before); err != nil {
		return connection, document, failure.NotFound(name).Wrap(err)
	}
	if document, err = id.Parse(after); err != nil {
		return connection, document, failure.NotFound(name).Wrap(err)
	}
	return connection, document, nil
}

// SubscriberOf is the subscriber in `subscribers/S/companies/C`.
func SubscriberOf(company string) (uuid.UUID, error) {
	before, after, _ := strings.Cut(company, "/companies/")
	if _, err := id.Parse(after); err != nil {
		return uuid.Nil, failure.NotFound(company).Wrap(err)
	}
	subscriber, err := ParseSubscriber(before)
	if err != nil {
		return uuid.Nil, failure.NotFound(company).Wrap(err)
	}
	return subscriber, nil
}

// one reads a name of two parts. A name that can't be any resource's is NOT_FOUND, as one that is nobody's.
func one(name, collection string) (uuid.UUID, error) {
	text, ok := strings.CutPrefix(name, collection)
	if !ok {
		return uuid.Nil, failure.NotFound(name)
	}
	parsed, err := id.Parse(text)
	if err != nil {
		return uuid.Nil, failure.NotFound(name).Wrap(err)
	}
	return parsed, nil
}
