package licence

import (
	"strings"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
)

const (
	subscribers = "subscribers/"
	licences    = "/licences/"
)

// SubscriberName is a subscriber's resource name.
func SubscriberName(subscriber uuid.UUID) string { return subscribers + subscriber.String() }

// ParseSubscriber reads `subscribers/S`. Another name is NOT_FOUND.
func ParseSubscriber(name string) (uuid.UUID, error) {
	rest, ok := strings.CutPrefix(name, subscribers)
	parsed, err := id.Parse(rest)
	if !ok || err != nil {
		return uuid.Nil, failure.NotFound(name)
	}
	return parsed, nil
}

// Name is a licence's resource name.
func Name(subscriber, licence uuid.UUID) string {
	return SubscriberName(subscriber) + licences + licence.String()
}

// ParseName reads `subscribers/S/licences/L`. Another name is NOT_FOUND.
func ParseName(name string) (subscriber, licence uuid.UUID, err error) {
	return ParseChild(name, licences)
}

// ParseChild reads `subscribers/S`, a collection such as `/contracts/`, and an id. Another name is NOT_FOUND.
func ParseChild(name, collection string) (subscriber, child uuid.UUID, err error) {
	parent, rest, ok := strings.Cut(name, collection)
	if !ok {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	child, err = id.Parse(rest)
	if err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	if subscriber, err = ParseSubscriber(parent); err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	return subscriber, child, nil
}

// AccountName is an account's resource name; empty for none.
func AccountName(account uuid.UUID) string {
	if account == uuid.Nil {
		return ""
	}
	return "accounts/" + account.String()
}

// ParseAccount reads `accounts/A`.
func ParseAccount(name string) (uuid.UUID, error) {
	rest, ok := strings.CutPrefix(name, "accounts/")
	parsed, err := id.Parse(rest)
	if !ok || err != nil {
		return uuid.Nil, failure.NotFound(name)
	}
	return parsed, nil
}
