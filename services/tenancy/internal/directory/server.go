// Package directory joins what tenancy's concepts tell other services.
package directory

import (
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/invitation"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// Server is DirectoryService. Each concept serves its own methods: they are promoted from its part.
type Server struct {
	rest
	Subscribers
	Invitations
	Companies
}

// The parts, by names of their own.
type (
	Subscribers = *subscriber.Directory
	Invitations = *invitation.Directory
	Companies   = *company.Directory
)

// rest lies one level deeper than the parts, so that their methods win over its refusals.
type rest struct {
	tenancyv1.UnimplementedDirectoryServiceServer
}
