package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// identity stands in for the service: it answers who it was told is calling.
type identity struct {
	identityv1.UnimplementedKeyServiceServer
	identityv1.UnimplementedDirectoryServiceServer
	identityv1.UnimplementedAccountServiceServer
	identityv1.UnimplementedSessionServiceServer

	key jwk.Key

	mu        sync.Mutex
	seen      metadata.MD
	refreshed []string
	ended     []string
}

func (i *identity) register(r grpc.ServiceRegistrar) {
	identityv1.RegisterKeyServiceServer(r, i)
	identityv1.RegisterDirectoryServiceServer(r, i)
	identityv1.RegisterAccountServiceServer(r, i)
	identityv1.RegisterSessionServiceServer(r, i)
}

func (i *identity) GetJwks(context.Context, *identityv1.GetJwksRequest) (*identityv1.GetJwksResponse, error) {
	public, err := i.key.PublicKey()
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(set)
	return &identityv1.GetJwksResponse{Jwks: raw}, err
}

func (i *identity) CheckSession(context.Context, *identityv1.CheckSessionRequest) (*identityv1.CheckSessionResponse, error) {
	return &identityv1.CheckSessionResponse{Active: true}, nil
}

func (i *identity) GetAccount(ctx context.Context, r *identityv1.GetAccountRequest) (*identityv1.GetAccountResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen, _ = metadata.FromIncomingContext(ctx)
	switch r.GetName() {
	case "accounts/none":
		return nil, failure.NotFound(r.GetName())
	case "accounts/panic":
		return nil, errors.New("a text of the driver")
	}
	return &identityv1.GetAccountResponse{Account: &identityv1.Account{Name: r.GetName()}}, nil
}

func (i *identity) metadata() metadata.MD {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen.Copy()
}

func (i *identity) SignIn(_ context.Context, r *identityv1.SignInRequest) (*identityv1.SignInResponse, error) {
	if r.GetPassword() != "right" {
		return nil, failure.New(commonv1.Reason_REASON_SIGN_IN_REFUSED)
	}
	return &identityv1.SignInResponse{Tokens: &identityv1.SessionTokens{AccessToken: "access", RefreshToken: "refresh-1"}}, nil
}

func (i *identity) RefreshSession(_ context.Context, r *identityv1.RefreshSessionRequest) (*identityv1.RefreshSessionResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refreshed = append(i.refreshed, r.GetRefreshToken())
	next := fmt.Sprintf("refresh-%d", len(i.refreshed)+1)
	return &identityv1.RefreshSessionResponse{Tokens: &identityv1.SessionTokens{AccessToken: "access", RefreshToken: next}}, nil
}

func (i *identity) SignOut(_ context.Context, r *identityv1.SignOutRequest) (*identityv1.SignOutResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = append(i.ended, r.GetRefreshToken())
	return &identityv1.SignOutResponse{}, nil
}

// uploads stands in for tenancy's UploadService: it keeps what arrives as it
// arrives, in pieces of the size that the contract allows.
type uploads struct {
	tenancyv1.UnimplementedUploadServiceServer

	// announced is the size that every upload was announced with.
	announced int64
	// piece hears of every piece kept.
	piece chan int

	mu   sync.Mutex
	kept []byte
}

func (u *uploads) register(r grpc.ServiceRegistrar) { tenancyv1.RegisterUploadServiceServer(r, u) }

func (u *uploads) bytes() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return bytes.Clone(u.kept)
}

func (u *uploads) upload(name string) *tenancyv1.Upload {
	return &tenancyv1.Upload{Name: name, SizeBytes: u.announced, ReceivedBytes: int64(len(u.bytes()))}
}

func (u *uploads) GetUpload(_ context.Context, r *tenancyv1.GetUploadRequest) (*tenancyv1.GetUploadResponse, error) {
	return &tenancyv1.GetUploadResponse{Upload: u.upload(r.GetName())}, nil
}

func (u *uploads) WriteUpload(stream grpc.ClientStreamingServer[tenancyv1.WriteUploadRequest, tenancyv1.WriteUploadResponse]) error {
	head, err := stream.Recv()
	if err != nil {
		return err
	}
	if head.GetOffset() != int64(len(u.bytes())) {
		return failure.New(commonv1.Reason_REASON_CONFLICT)
	}
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&tenancyv1.WriteUploadResponse{Upload: u.upload(head.GetName())})
		}
		if err != nil {
			return err
		}
		if len(piece.GetData()) > 256<<10 {
			return failure.Invalid("data", "is too large")
		}
		u.mu.Lock()
		u.kept = append(u.kept, piece.GetData()...)
		u.mu.Unlock()
		u.piece <- len(piece.GetData())
	}
}

// licensing stands in for the service: it has one file and one operation.
type licensing struct {
	licensingv1.UnimplementedContractServiceServer
	commonv1.UnimplementedOperationServiceServer

	// file is what every contract is.
	file []byte
	// breakAfter is how many bytes are sent before the file can't be read on; 0 for all.
	breakAfter int
}

func (l *licensing) register(r grpc.ServiceRegistrar) {
	licensingv1.RegisterContractServiceServer(r, l)
	commonv1.RegisterOperationServiceServer(r, l)
}

func (l *licensing) DownloadContract(r *licensingv1.DownloadContractRequest, stream grpc.ServerStreamingServer[licensingv1.DownloadContractResponse]) error {
	if r.GetOffset() > int64(len(l.file)) {
		return failure.Invalid("offset", "lies behind the end of the file")
	}
	sum := sha256.Sum256(l.file)
	answer := &licensingv1.DownloadContractResponse{Info: &commonv1.FileInfo{
		Filename: "līgums 1.pdf", ContentType: "application/pdf", SizeBytes: int64(len(l.file)), Sha256: sum[:],
	}}
	rest := l.file[r.GetOffset():]
	if r.GetLength() > 0 && r.GetLength() < int64(len(rest)) {
		rest = rest[:r.GetLength()]
	}
	sent := 0
	for {
		n := min(len(rest), 100<<10)
		answer.Data, rest = rest[:n], rest[n:]
		if err := stream.Send(answer); err != nil {
			return err
		}
		if sent += n; l.breakAfter > 0 && sent >= l.breakAfter {
			return errors.New("the disk broke")
		}
		if len(rest) == 0 {
			return nil
		}
		answer = &licensingv1.DownloadContractResponse{}
	}
}

func (l *licensing) GetOperation(_ context.Context, r *commonv1.GetOperationRequest) (*commonv1.GetOperationResponse, error) {
	return &commonv1.GetOperationResponse{Operation: &commonv1.Operation{Name: r.GetName()}}, nil
}

func (l *licensing) WatchOperation(r *commonv1.WatchOperationRequest, stream grpc.ServerStreamingServer[commonv1.WatchOperationResponse]) error {
	for range 2 {
		if err := stream.Send(&commonv1.WatchOperationResponse{Operation: &commonv1.Operation{Name: r.GetName()}}); err != nil {
			return err
		}
	}
	return failure.New(commonv1.Reason_REASON_SESSION_REVOKED)
}
