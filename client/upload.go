package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

const (
	// pieceSize is how many bytes one message carries; Kontor's limit.
	pieceSize = 256 << 10
	// partSize is how many bytes go in one call. After each Kontor says what it has, which is the progress.
	partSize = 8 << 20
	// uploadTries is how often an upload is taken up again without a byte having got through since.
	uploadTries = 8
)

// Copy is a copy of an on-premises database on its way to Kontor.
type Copy struct {
	// Subscriber that it is for, `subscribers/S`.
	Subscriber string
	// Filename is shown to people.
	Filename string
	// Content is the file, Size its bytes.
	Content io.ReaderAt
	Size    int64
	// Progress hears how many bytes Kontor has; may be nil. It is not called by two goroutines at once.
	Progress func(received int64)
}

// UploadFile brings a file to Kontor, see Upload.
func (s *Session) UploadFile(ctx context.Context, subscriber, path string, progress func(received int64)) (*tenancyv1.Upload, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return s.Upload(ctx, Copy{Subscriber: subscriber, Filename: filepath.Base(path), Content: file, Size: info.Size(), Progress: progress})
}

// Upload brings a copy to Kontor and has it examined. It goes on from what Kontor has already: after a lost connection by
// itself, and when the same bytes were begun by an earlier call. Reasons of a refusal: COPY_KIND_UNKNOWN, COPY_DAMAGED,
// COPY_RELEASE_OLDER, COPY_RELEASE_NEWER, UPLOAD_CHECKSUM_MISMATCH (the file changed under way).
func (s *Session) Upload(ctx context.Context, file Copy) (*tenancyv1.Upload, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file.Content, 0, file.Size)); err != nil {
		return nil, fmt.Errorf("read %s: %w", file.Filename, err)
	}
	uploads := tenancyv1.NewUploadServiceClient(s.Conn())
	answer, err := uploads.CreateUpload(ctx, &tenancyv1.CreateUploadRequest{
		Parent: file.Subscriber, Filename: file.Filename, SizeBytes: file.Size, Sha256: sum.Sum(nil), RequestId: RequestID(),
	})
	if err != nil {
		return nil, err
	}
	u := uploading{Copy: file, to: uploads, at: answer.GetUpload()}
	if err := u.sendAll(ctx); err != nil {
		return nil, err
	}
	completed, err := uploads.CompleteUpload(ctx, &tenancyv1.CompleteUploadRequest{Name: u.at.GetName()})
	if err != nil {
		return nil, err
	}
	return completed.GetUpload(), nil
}

// uploading is an upload with what Kontor has of it.
type uploading struct {
	Copy
	to tenancyv1.UploadServiceClient
	at *tenancyv1.Upload
}

// sendAll sends until Kontor has all.
func (u *uploading) sendAll(ctx context.Context) error {
	u.tell()
	wait := firstWait
	for failed := 0; u.at.GetReceivedBytes() < u.Size; {
		before := u.at.GetReceivedBytes()
		err := u.send(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !u.resumable(err) {
			return err
		}
		if err := pause(ctx, max(wait, retryOf(asError(err)))); err != nil {
			return err
		}
		if err := u.ask(ctx); err != nil && !passing(err) {
			return err
		}
		if u.at.GetReceivedBytes() > before {
			failed, wait = 0, firstWait
			continue
		}
		if failed, wait = failed+1, min(2*wait, longestWait); failed == uploadTries {
			return fmt.Errorf("the upload does not get on, %d of %d bytes have arrived: %w", before, u.Size, err)
		}
	}
	return nil
}

// resumable tells whether to ask how much arrived and to go on from there.
func (u *uploading) resumable(err error) bool {
	switch Reason(err) {
	case "UPLOAD_OFFSET_MISMATCH", "UPLOAD_BROKEN_OFF":
		return true
	default:
		return passing(err) || Reason(err) == "" // Without a reason nobody of Kontor's said no: the way is cut.
	}
}

// send streams the next part of the file.
func (u *uploading) send(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := u.to.WriteUpload(ctx)
	if err != nil {
		return err
	}
	from := u.at.GetReceivedBytes()
	until := min(from+partSize, u.Size)
	piece := make([]byte, pieceSize)
	for offset := from; offset < until; {
		n, err := u.Content.ReadAt(piece[:min(pieceSize, until-offset)], offset)
		if n == 0 {
			return fmt.Errorf("read %s at %d: %w", u.Filename, offset, err)
		}
		request := &tenancyv1.WriteUploadRequest{Data: piece[:n]}
		if offset == from {
			request.Name, request.Offset = u.at.GetName(), from
		}
		if err := stream.Send(request); err != nil {
			if errors.Is(err, io.EOF) {
				break // The answer says why.
			}
			return err
		}
		offset += int64(n)
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	u.at = answer.GetUpload()
	u.tell()
	return nil
}

// ask learns how much Kontor has.
func (u *uploading) ask(ctx context.Context) error {
	answer, err := u.to.GetUpload(ctx, &tenancyv1.GetUploadRequest{Name: u.at.GetName()})
	if err != nil {
		return err
	}
	u.at = answer.GetUpload()
	u.tell()
	return nil
}

func (u *uploading) tell() {
	if u.Progress != nil {
		u.Progress(u.at.GetReceivedBytes())
	}
}

func asError(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
