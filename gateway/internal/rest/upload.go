package rest

import (
	"errors"
	"io"
	"net/http"
	"strconv"

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
	s.answerUpload(w, http.StatusOK, answer.GetUpload())
}

// uploadAppend passes a body on, piece by piece, to the upload's end. When the
// body breaks off, what came before is kept.
func (s *Server) uploadAppend(w http.ResponseWriter, r *http.Request) {
	offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 {
		s.fail(w, r, failure.Invalid("Upload-Offset", "is not a byte offset"))
		return
	}
	stream, err := tenancyv1.NewUploadServiceClient(s.Door).WriteUpload(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	broken := sendPieces(r.Body, offset, uploadName(r), func(piece *tenancyv1.WriteUploadRequest) bool { return stream.Send(piece) == nil })
	answer, err := stream.CloseAndRecv()
	switch {
	case err != nil:
		s.fail(w, r, err)
	case broken != nil:
		s.fail(w, r, failure.New(commonv1.Reason_REASON_UPLOAD_BROKEN_OFF,
			"received_bytes", strconv.FormatInt(answer.GetUpload().GetReceivedBytes(), 10)).Wrap(broken))
	default:
		s.answerUpload(w, http.StatusNoContent, answer.GetUpload())
	}
}

// sendPieces reads the body to its end; it answers what the body broke off with.
// A piece that can't be sent means that the stream has ended: its answer tells.
func sendPieces(body io.Reader, offset int64, name string, send func(*tenancyv1.WriteUploadRequest) bool) error {
	request := &tenancyv1.WriteUploadRequest{Name: name, Offset: offset}
	if !send(request) {
		return nil
	}
	buffer := make([]byte, pieceBytes)
	for {
		n, err := io.ReadFull(body, buffer)
		if n > 0 && !send(&tenancyv1.WriteUploadRequest{Data: buffer[:n]}) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && bodyEnded(body):
			return nil
		case err != nil:
			return err
		}
	}
}

// bodyEnded tells a body's regular end from one that broke off: both end a
// ReadFull early.
func bodyEnded(body io.Reader) bool {
	_, err := body.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func (s *Server) answerUpload(w http.ResponseWriter, code int, upload *tenancyv1.Upload) {
	w.Header().Set("Upload-Offset", strconv.FormatInt(upload.GetReceivedBytes(), 10))
	w.Header().Set("Upload-Length", strconv.FormatInt(upload.GetSizeBytes(), 10))
	w.WriteHeader(code)
}
