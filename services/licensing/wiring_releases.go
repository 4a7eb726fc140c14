package licensing

import (
	"context"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/release"
)

// serveReleases registers what is published.
func serveReleases(ctx context.Context, s *service.Service, p parts) (*release.Staff, error) {
	signer, err := release.OpenSigner(ctx, s.DB, p.sealer, clock.System{})
	if err != nil {
		return nil, err
	}
	deps := release.Deps{
		DB: s.DB, Catalogue: p.catalogue, Book: p.book, Texts: p.texts, Signer: signer, Links: p.links, Objects: p.objects,
		Clock: p.clock, IDs: id.New, Pages: s.Pages,
	}
	staff := release.NewStaff(deps)
	licensingv1.RegisterReleaseServiceServer(s.GRPC(), release.NewServer(deps))
	licensingv1.RegisterReleaseStaffServiceServer(s.GRPC(), staff)
	return staff, nil
}
