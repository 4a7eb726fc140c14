package contract

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	gcblob "gocloud.dev/blob"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/jobs"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

const (
	contentType = "application/pdf"
	folder      = "contracts/"
	// pieceBytes is the most that one message of a download carries.
	pieceBytes = 256 << 10
	// sweepAge is how old a document without a contract must be to be swept: no request lasts that long.
	sweepAge = 24 * time.Hour
	// sweepBatch is how many documents are looked up at a time.
	sweepBatch = 500
)

func documentKey(c Contract) string {
	return folder + c.Subscriber.String() + "/" + c.ID.String() + ".pdf"
}

// send streams a part of a document; a length of 0 means to the end.
func (s *Server) send(stream grpc.ServerStreamingServer[licensingv1.DownloadContractResponse], c Contract, offset, length int64) (err error) {
	if length == 0 || length > c.Size-offset {
		length = c.Size - offset
	}
	reader, err := s.deps.Objects.NewRangeReader(stream.Context(), c.Key, offset, length, nil)
	if err != nil {
		return blob.Translate(err, Name(c.Subscriber, c.ID))
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	info := &commonv1.FileInfo{Filename: c.Filename, ContentType: contentType, SizeBytes: c.Size, Sha256: c.SHA256}
	if err := stream.Send(&licensingv1.DownloadContractResponse{Info: info}); err != nil {
		return err
	}
	for piece := make([]byte, pieceBytes); ; {
		n, err := io.ReadFull(reader, piece)
		if n > 0 {
			if err := stream.Send(&licensingv1.DownloadContractResponse{Data: piece[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return blob.Translate(err, Name(c.Subscriber, c.ID))
		}
	}
}

// GetContractCopy answers a contract's whole PDF, checked against its hash.
func (s *Server) GetContractCopy(ctx context.Context, req *licensingv1.GetContractCopyRequest) (*licensingv1.GetContractCopyResponse, error) {
	c, err := s.find(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	pdf, err := s.deps.Objects.ReadAll(ctx, c.Key)
	if err != nil {
		return nil, blob.Translate(err, req.GetName())
	}
	if sum := sha256.Sum256(pdf); !slices.Equal(sum[:], c.SHA256) {
		return nil, fmt.Errorf("contract %s: the stored document has another hash", c.Number)
	}
	answer := &licensingv1.GetContractCopyResponse{Number: c.Number, Pdf: pdf, Filename: c.Filename}
	if c.Acceptance != nil {
		answer.AcceptedBy = licence.AccountName(c.Acceptance.Account)
		answer.AcceptTime = timestamppb.New(c.Acceptance.Time)
	}
	return answer, nil
}

// Periodic is the timer that sweeps documents which a crash left without a contract.
func (s *Server) Periodic() jobs.Periodic {
	return jobs.Periodic{Name: "contract_sweep", Every: 6 * time.Hour, Run: s.Sweep}
}

// Sweep removes documents that belong to no contract.
func (s *Server) Sweep(ctx context.Context) error {
	return s.sweep(ctx, time.Now().Add(-sweepAge)) //nolint:forbidigo // The object store's times are real.
}

func (s *Server) sweep(ctx context.Context, before time.Time) error {
	objects := s.deps.Objects.List(&gcblob.ListOptions{Prefix: folder})
	var keys []string
	for {
		object, err := objects.Next(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return blob.Translate(err, folder)
		}
		if err == nil && object.ModTime.Before(before) {
			keys = append(keys, object.Key)
		}
		if len(keys) >= sweepBatch || err != nil {
			if err := s.sweepKeys(ctx, keys); err != nil {
				return err
			}
			keys = keys[:0]
		}
		if err != nil {
			return nil //nolint:nilerr // The end of the list.
		}
	}
}

func (s *Server) sweepKeys(ctx context.Context, keys []string) error {
	known, err := s.deps.Store.Known(ctx, s.deps.DB, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if slices.Contains(known, key) {
			continue
		}
		if err := s.deps.Objects.Delete(ctx, key); err != nil {
			return blob.Translate(err, key)
		}
	}
	return nil
}
