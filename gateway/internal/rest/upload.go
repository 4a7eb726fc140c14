package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// pieceBytes is how much of a body is passed on at a time; an upload never
// takes more memory than this.
const pieceBytes = 256 << 10

func uploadName(r *http.Request) string {
	return "subscribers/" + r.PathValue("subscriber") + "/uploads/" + r.PathValue("upload")
}

// uploadOffset tells how much of an upload has arrived.
func (s *Server) uploadOffset(w http.ResponseWriter, r *http.Request) {
	answer, err := tenancyv1.NewUploadServiceClient(s.Door).GetUpload(r.Context(), &tenancyv1.GetUploadRequest{Name: uploadName(r)})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answerUpload(w, http.StatusOK, answer.GetUpload())
}

// uploadAppend passes a body on, piece by piece, to the upload's end. When the
// body breaks off, what came before is kept.
func (s *Server) uploadAppend(w http.ResponseWriter, r *http.Request) {
	offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 {
		s.fail(w, r, failure.Invalid("Upload-Offset", "is not a byte offset"))
		return
	}
	// The stream outlives a visitor who goes away, so that it ends regularly
	// with what has come; a watchdog ends it when nothing moves on either side.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	watchdog := time.AfterFunc(2*s.Patience, func() {
		cancel(failure.New(commonv1.Reason_REASON_DEADLINE_EXCEEDED))
	})
	defer watchdog.Stop()
	stream, err := tenancyv1.NewUploadServiceClient(s.Door).WriteUpload(ctx)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	broken := sendPieces(readerFunc(func(p []byte) (int, error) {
		_ = control.SetReadDeadline(time.Now().Add(s.Patience)) // A test's writer has none.
		watchdog.Reset(2 * s.Patience)
		return r.Body.Read(p)
	}), offset, uploadName(r), func(piece *tenancyv1.WriteUploadRequest) bool { return stream.Send(piece) == nil })
	answer, err := stream.CloseAndRecv()
	switch {
	case err != nil && context.Cause(ctx) != nil:
		s.fail(w, r, context.Cause(ctx))
	case err != nil:
		s.fail(w, r, err)
	case broken != nil:
		s.fail(w, r, failure.New(commonv1.Reason_REASON_UPLOAD_BROKEN_OFF,
			"received_bytes", strconv.FormatInt(answer.GetUpload().GetReceivedBytes(), 10)).Wrap(broken))
	default:
		answerUpload(w, http.StatusNoContent, answer.GetUpload())
	}
}

// readerFunc reads by a function.
type readerFunc func(p []byte) (int, error)

// Read calls it.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// sendPieces reads the body to its end; it answers what the body broke off with.
// A piece that can't be sent means that the stream has ended: its answer tells.
func sendPieces(body io.Reader, offset int64, name string, send func(*tenancyv1.WriteUploadRequest) bool) error {
	if !send(&tenancyv1.WriteUploadRequest{Name: name, Offset: offset}) {
		return nil
	}
	buffer := make([]byte, pieceBytes)
	for {
		n, err := fill(body, buffer)
		if n > 0 && !send(&tenancyv1.WriteUploadRequest{Data: buffer[:n]}) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// fill reads until the buffer is full or the reader ends. Unlike io.ReadFull it
// leaves the reader's own word on how it ended: net/http's bodies tell the end
// (io.EOF) from a connection that broke (io.ErrUnexpectedEOF).
func fill(from io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = from.Read(buffer[n:])
		n += more
	}
	return n, err
}

func answerUpload(w http.ResponseWriter, code int, upload *tenancyv1.Upload) {
	w.Header().Set("Upload-Offset", strconv.FormatInt(upload.GetReceivedBytes(), 10))
	w.Header().Set("Upload-Length", strconv.FormatInt(upload.GetSizeBytes(), 10))
	w.WriteHeader(code)
}
