// Package names writes and reads the names of tenancy's resources.
package names

import (
	"strings"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
)

// Account is `accounts/A`.
func Account(account uuid.UUID) string { return "accounts/" + account.String() }

// Subscriber is `subscribers/S`.
func Subscriber(subscriber uuid.UUID) string { return "subscribers/" + subscriber.String() }

// Member is `subscribers/S/members/M`.
func Member(subscriber, member uuid.UUID) string {
	return Subscriber(subscriber) + "/members/" + member.String()
}

// Invitation is `subscribers/S/invitations/I`.
func Invitation(subscriber, invitation uuid.UUID) string {
	return Subscriber(subscriber) + "/invitations/" + invitation.String()
}

// Company is `subscribers/S/companies/C`.
func Company(subscriber, company uuid.UUID) string {
	return Subscriber(subscriber) + "/companies/" + company.String()
}

// Session is `subscribers/S/companies/C/sessions/X`.
func Session(subscriber, company, session uuid.UUID) string {
	return Company(subscriber, company) + "/sessions/" + session.String()
}

// Cluster is `clusters/K`.
func Cluster(cluster uuid.UUID) string { return "clusters/" + cluster.String() }

// Target is `targets/T`.
func Target(target uuid.UUID) string { return "targets/" + target.String() }

// Upload is `subscribers/S/uploads/U`.
func Upload(subscriber, upload uuid.UUID) string {
	return Subscriber(subscriber) + "/uploads/" + upload.String()
}

// Staff is `staff/A`.
func Staff(account uuid.UUID) string { return "staff/" + account.String() }

// ParseAccount reads `accounts/A`.
func ParseAccount(name string) (uuid.UUID, error) { return one(name, "accounts") }

// ParseSubscriber reads `subscribers/S`.
func ParseSubscriber(name string) (uuid.UUID, error) { return one(name, "subscribers") }

// ParseConnection reads `connections/X`.
func ParseConnection(name string) (uuid.UUID, error) { return one(name, "connections") }

// ParseStaff reads `staff/A` into the account's id.
func ParseStaff(name string) (uuid.UUID, error) { return one(name, "staff") }

// ParseCluster reads `clusters/K`.
func ParseCluster(name string) (uuid.UUID, error) { return one(name, "clusters") }

// ParseTarget reads `targets/T`.
func ParseTarget(name string) (uuid.UUID, error) { return one(name, "targets") }

// ParseMember reads `subscribers/S/members/M`.
func ParseMember(name string) (subscriber, member uuid.UUID, err error) { return two(name, "members") }

// ParseInvitation reads `subscribers/S/invitations/I`.
func ParseInvitation(name string) (subscriber, invitation uuid.UUID, err error) {
	return two(name, "invitations")
}

// ParseCompany reads `subscribers/S/companies/C`.
func ParseCompany(name string) (subscriber, company uuid.UUID, err error) {
	return two(name, "companies")
}

// ParseSession reads `subscribers/S/companies/C/sessions/X`.
func ParseSession(name string) (subscriber, company, session uuid.UUID, err error) {
	before, after, ok := strings.Cut(name, "/sessions/")
	if !ok {
		return subscriber, company, session, failure.NotFound(name)
	}
	if subscriber, company, err = ParseCompany(before); err != nil {
		return subscriber, company, session, failure.NotFound(name).Wrap(err)
	}
	if session, err = id.Parse(after); err != nil {
		return subscriber, company, session, failure.NotFound(name).Wrap(err)
	}
	return subscriber, company, session, nil
}

// ParseUpload reads `subscribers/S/uploads/U`.
func ParseUpload(name string) (subscriber, upload uuid.UUID, err error) { return two(name, "uploads") }

// one reads a name of two parts. A name that can't be any resource's is NOT_FOUND, as one that is nobody's.
func one(name, collection string) (uuid.UUID, error) {
	text, ok := strings.CutPrefix(name, collection+"/")
	if !ok {
		return uuid.Nil, failure.NotFound(name)
	}
	parsed, err := id.Parse(text)
	if err != nil {
		return uuid.Nil, failure.NotFound(name).Wrap(err)
	}
	return parsed, nil
}

func two(name, collection string) (parent, child uuid.UUID, err error) {
	before, after, ok := strings.Cut(name, "/"+collection+"/")
	if !ok {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	if parent, err = one(before, "subscribers"); err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name).Wrap(err)
	}
	if child, err = id.Parse(after); err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name).Wrap(err)
	}
	return parent, child, nil
}
