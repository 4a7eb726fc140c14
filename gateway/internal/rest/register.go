package rest

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// routes puts one service's REST routes on a mux.
type routes func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error

// of makes routes of the two functions that are generated for a service.
func of[C any](client func(grpc.ClientConnInterface) C, handle func(context.Context, *runtime.ServeMux, C) error) routes {
	return func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return handle(ctx, mux, client(conn))
	}
}

// register puts the routes of every public service on the mux. A test compares
// this list with the contract, so none is forgotten.
func register(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	for _, add := range []routes{
		of(commonv1.NewOperationServiceClient, commonv1.RegisterOperationServiceHandlerClient),

		of(identityv1.NewAccountServiceClient, identityv1.RegisterAccountServiceHandlerClient),
		of(identityv1.NewKeyServiceClient, identityv1.RegisterKeyServiceHandlerClient),
		of(identityv1.NewSessionServiceClient, identityv1.RegisterSessionServiceHandlerClient),

		of(tenancyv1.NewClusterServiceClient, tenancyv1.RegisterClusterServiceHandlerClient),
		of(tenancyv1.NewCompanyServiceClient, tenancyv1.RegisterCompanyServiceHandlerClient),
		of(tenancyv1.NewInvitationServiceClient, tenancyv1.RegisterInvitationServiceHandlerClient),
		of(tenancyv1.NewLocalUserServiceClient, tenancyv1.RegisterLocalUserServiceHandlerClient),
		of(tenancyv1.NewMemberServiceClient, tenancyv1.RegisterMemberServiceHandlerClient),
		of(tenancyv1.NewOpeningServiceClient, tenancyv1.RegisterOpeningServiceHandlerClient),
		of(tenancyv1.NewStaffServiceClient, tenancyv1.RegisterStaffServiceHandlerClient),
		of(tenancyv1.NewSubscriberServiceClient, tenancyv1.RegisterSubscriberServiceHandlerClient),
		of(tenancyv1.NewUploadServiceClient, tenancyv1.RegisterUploadServiceHandlerClient),

		of(licensingv1.NewCatalogueServiceClient, licensingv1.RegisterCatalogueServiceHandlerClient),
		of(licensingv1.NewContractServiceClient, licensingv1.RegisterContractServiceHandlerClient),
		of(licensingv1.NewEntitlementServiceClient, licensingv1.RegisterEntitlementServiceHandlerClient),
		of(licensingv1.NewKeyServiceClient, licensingv1.RegisterKeyServiceHandlerClient),
		of(licensingv1.NewLicenceServiceClient, licensingv1.RegisterLicenceServiceHandlerClient),
		of(licensingv1.NewReleaseServiceClient, licensingv1.RegisterReleaseServiceHandlerClient),
		of(licensingv1.NewReleaseStaffServiceClient, licensingv1.RegisterReleaseStaffServiceHandlerClient),
		of(licensingv1.NewSeatServiceClient, licensingv1.RegisterSeatServiceHandlerClient),
		of(licensingv1.NewSeatReportServiceClient, licensingv1.RegisterSeatReportServiceHandlerClient),
		of(licensingv1.NewGuestSeatServiceClient, licensingv1.RegisterGuestSeatServiceHandlerClient),
		of(licensingv1.NewTravelSeatServiceClient, licensingv1.RegisterTravelSeatServiceHandlerClient),

		of(backupv1.NewSnapshotDocumentServiceClient, backupv1.RegisterSnapshotDocumentServiceHandlerClient),
		of(backupv1.NewSnapshotServiceClient, backupv1.RegisterSnapshotServiceHandlerClient),
		of(backupv1.NewExportServiceClient, backupv1.RegisterExportServiceHandlerClient),
		of(backupv1.NewKeepingServiceClient, backupv1.RegisterKeepingServiceHandlerClient),

		of(exchangev1.NewConnectionServiceClient, exchangev1.RegisterConnectionServiceHandlerClient),
		of(exchangev1.NewDocumentServiceClient, exchangev1.RegisterDocumentServiceHandlerClient),
		of(exchangev1.NewKeyServiceClient, exchangev1.RegisterKeyServiceHandlerClient),

		of(notificationv1.NewLetterServiceClient, notificationv1.RegisterLetterServiceHandlerClient),
	} {
		if err := add(ctx, mux, conn); err != nil {
			return err
		}
	}
	return nil
}
