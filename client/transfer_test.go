package client_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"kontor.internal/client"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func sample(size int) []byte {
	made := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(made)
	return made
}

func send(t *testing.T, d *double, file []byte) (*tenancyv1.Upload, []int64, error) {
	t.Helper()
	var progress []int64
	upload, err := signIn(t, d).Upload(t.Context(), client.Copy{
		Subscriber: "subscribers/s", Filename: "books.dump", Content: bytes.NewReader(file), Size: int64(len(file)),
		Progress: func(received int64) { progress = append(progress, received) },
	})
	return upload, progress, err
}

func TestAnUploadThatIsCutGoesOnFromWhatArrived(t *testing.T) {
	file := sample(20 << 20)
	d := &double{cutAt: 10 << 20}
	upload, progress, err := send(t, d, file)
	if err != nil {
		t.Fatal(err)
	}
	if upload.GetState() != tenancyv1.UploadState_UPLOAD_STATE_VERIFIED || !bytes.Equal(d.bytes, file) {
		t.Errorf("%v, %d bytes arrived", upload, len(d.bytes))
	}
	if !slices.IsSorted(progress) || progress[0] != 0 || progress[len(progress)-1] != int64(len(file)) || len(progress) < 4 {
		t.Errorf("the progress was %v", progress)
	}
}

func TestAnUploadThatWasBegunBeforeSendsTheRestOnly(t *testing.T) {
	file := sample(3 << 20)
	d := &double{bytes: slices.Clone(file[:1<<20])}
	s := signIn(t, d)
	d.upload = &tenancyv1.Upload{Name: "subscribers/s/uploads/u", ReceivedBytes: 1 << 20, Sha256: hash(file)}
	_, err := s.Upload(t.Context(), client.Copy{Subscriber: "subscribers/s", Filename: "books.dump", Content: bytes.NewReader(file), Size: int64(len(file))})
	if err != nil || !bytes.Equal(d.bytes, file) || d.calls != 1 {
		t.Errorf("%d bytes arrived in %d calls: %v", len(d.bytes), d.calls, err)
	}
}

func TestACopyThatIsRefusedSaysWhy(t *testing.T) {
	d := &double{}
	s := signIn(t, d)
	d.refusal = refuse(codes.FailedPrecondition, "COPY_RELEASE_OLDER", "Kopija ir no vecāka laidiena", 0)
	_, err := s.Upload(t.Context(), client.Copy{Subscriber: "subscribers/s", Filename: "old.dump", Content: bytes.NewReader([]byte("x")), Size: 1})
	if client.Reason(err) != "COPY_RELEASE_OLDER" {
		t.Errorf("got %v", err)
	}
}

func operation(state commonv1.Operation_State, done int64) *commonv1.Operation {
	return &commonv1.Operation{Name: "subscribers/s/operations/o", State: state, Done: done, Total: 2}
}

func TestAnOperationIsFollowedOverACutConnectionToItsResult(t *testing.T) {
	company, err := anypb.New(&tenancyv1.Company{Name: "subscribers/s/companies/c"})
	if err != nil {
		t.Fatal(err)
	}
	last := operation(commonv1.Operation_STATE_SUCCEEDED, 2)
	last.Result = company
	d := &double{drop: 1, states: []*commonv1.Operation{
		operation(commonv1.Operation_STATE_QUEUED, 0), operation(commonv1.Operation_STATE_RUNNING, 1), last,
	}}
	var seen []int64
	ended, err := signIn(t, d).Wait(t.Context(), last.GetName(), func(o *commonv1.Operation) { seen = append(seen, o.GetDone()) })
	if err != nil {
		t.Fatal(err)
	}
	var made tenancyv1.Company
	if err := client.Result(ended, &made); err != nil || made.GetName() != "subscribers/s/companies/c" {
		t.Errorf("the result is %v, %v", &made, err)
	}
	if !slices.Equal(seen, []int64{0, 1, 2}) || d.calls != 2 {
		t.Errorf("seen %v in %d calls", seen, d.calls)
	}
}

func TestAnOperationThatFailedOrWasCancelledIsAnError(t *testing.T) {
	failed := operation(commonv1.Operation_STATE_FAILED, 1)
	s, err := status.New(codes.FailedPrecondition, "broken").WithDetails(&errdetails.ErrorInfo{Reason: "COPY_BROKEN", Domain: "kontor"})
	if err != nil {
		t.Fatal(err)
	}
	failed.Error = s.Proto()
	if _, err := signIn(t, &double{states: []*commonv1.Operation{failed}}).Wait(t.Context(), failed.GetName(), nil); client.Reason(err) != "COPY_BROKEN" {
		t.Errorf("failed: %v", err)
	}
	cancelled := operation(commonv1.Operation_STATE_CANCELLED, 1)
	if _, err := signIn(t, &double{states: []*commonv1.Operation{cancelled}}).Wait(t.Context(), failed.GetName(), nil); !errors.Is(err, client.ErrCancelled) {
		t.Errorf("cancelled: %v", err)
	}
}
