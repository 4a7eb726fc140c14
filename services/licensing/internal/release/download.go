package release

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	// linkLife is how long a link can be used.
	linkLife = 15 * time.Minute
	// linkUse binds sealed links to their purpose.
	linkUse = "kit link"
	links   = "kitLinks/"
	// pieceBytes is the most that one message of a download carries.
	pieceBytes = 256 << 10
	kitType    = "application/octet-stream"
)

// link is what stands, sealed, in a link to a kit.
type link struct {
	Release uuid.UUID `json:"r"`
	Kit     uuid.UUID `json:"k"`
	Until   time.Time `json:"u"`
}

// CreateKitLink makes a link to a kit that a subscriber may have.
func (s *Server) CreateKitLink(ctx context.Context, req *licensingv1.CreateKitLinkRequest) (*licensingv1.CreateKitLinkResponse, error) {
	release, kit, err := ParseKitName(req.GetKit())
	if err != nil {
		return nil, err
	}
	if _, err := s.opened(ctx, req.GetSubscriber(), Name(release)); err != nil {
		return nil, err
	}
	k, err := s.deps.Store.Kit(ctx, s.deps.DB, release, kit)
	if err != nil {
		return nil, err
	}
	l := link{Release: release, Kit: kit, Until: s.deps.Clock.Now().Add(linkLife)}
	name, err := s.seal(l)
	if err != nil {
		return nil, err
	}
	return &licensingv1.CreateKitLinkResponse{Link: name, ExpireTime: timestamppb.New(l.Until), Kit: k.proto(whole)}, nil
}

func (s *Server) seal(l link) (string, error) {
	content, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("release: link: %w", err)
	}
	sealed, err := s.deps.Links.Seal(linkUse, content)
	return links + base64.RawURLEncoding.EncodeToString(sealed), err
}

// unseal reads a link. One that is not ours, or over, is KIT_LINK_INVALID.
func (s *Server) unseal(name string) (l link, err error) {
	text, ok := strings.CutPrefix(name, links)
	if !ok {
		return l, failure.NotFound(name)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		var content []byte
		if content, _, err = s.deps.Links.Open(linkUse, sealed); err == nil {
			err = json.Unmarshal(content, &l)
		}
	}
	if err != nil || !s.deps.Clock.Now().Before(l.Until) {
		return l, failure.New(commonv1.Reason_REASON_KIT_LINK_INVALID).Wrap(err)
	}
	return l, nil
}

// DownloadKit streams the kit of a link. A release that was taken back since is not handed out any more.
func (s *Server) DownloadKit(req *licensingv1.DownloadKitRequest, stream grpc.ServerStreamingServer[licensingv1.DownloadKitResponse]) error {
	ctx := stream.Context()
	l, err := s.unseal(req.GetName())
	if err != nil {
		return err
	}
	r, err := s.deps.Store.Get(ctx, s.deps.DB, l.Release)
	if err != nil {
		return err
	}
	if r.State() != Published {
		return failure.New(commonv1.Reason_REASON_RELEASE_WITHDRAWN, "why", r.WithdrawReason)
	}
	for _, k := range r.Kits {
		if k.ID == l.Kit && k.complete() {
			return s.send(stream, k, req.GetOffset(), req.GetLength())
		}
	}
	return failure.New(commonv1.Reason_REASON_KIT_LINK_INVALID)
}

// send streams a part of a kit; a length of 0 means to the end.
func (s *Server) send(stream grpc.ServerStreamingServer[licensingv1.DownloadKitResponse], k Kit, offset, length int64) (err error) {
	if offset > k.Size {
		return failure.Invalid("offset", "lies behind the end of the file")
	}
	if length == 0 || length > k.Size-offset {
		length = k.Size - offset
	}
	reader, err := s.deps.Objects.NewRangeReader(stream.Context(), k.Key, offset, length, nil)
	if err != nil {
		return blob.Translate(err, KitName(k.Release, k.ID))
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	info := &commonv1.FileInfo{Filename: k.Filename, ContentType: kitType, SizeBytes: k.Size, Sha256: k.SHA256}
	if err := stream.Send(&licensingv1.DownloadKitResponse{Info: info}); err != nil {
		return err
	}
	for piece := make([]byte, pieceBytes); ; {
		n, err := io.ReadFull(reader, piece)
		if n > 0 {
			if err := stream.Send(&licensingv1.DownloadKitResponse{Data: piece[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return blob.Translate(err, KitName(k.Release, k.ID))
		}
	}
}
