package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// exchange is the double of exchange's documents.
type exchange struct {
	exchangev1.UnimplementedDocumentCopyServiceServer
	mu        sync.Mutex
	documents []sent
	reads     int
	failing   error
}

// sent is a document of a company.
type sent struct {
	company string
	content []byte
	shown   *exchangev1.CompanyDocument
}

// send takes a document in.
func (d *exchange) send(company, filename string, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := sha256.Sum256(content)
	d.documents = append(d.documents, sent{company, content, &exchangev1.CompanyDocument{
		Document: &exchangev1.Document{
			Name: "connections/" + id.NewString() + "/documents/" + id.NewString(), Filename: filename, SizeBytes: int64(len(content)),
			CreateTime: timestamppb.New(time.Unix(1800000000, 0)),
		},
		ContentType: "application/xml", Sha256: sum[:], Place: strconv.Itoa(len(d.documents) + 1),
	}})
}

func (d *exchange) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
}

// after are a company's documents after a place.
func (d *exchange) after(company, place string) (some []*exchangev1.CompanyDocument, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, _ := strconv.Atoi(place)
	for i, s := range d.documents {
		if i >= from && s.company == company {
			some = append(some, s.shown)
		}
	}
	return some, d.failing
}

func (d *exchange) ListCompanyDocuments(_ context.Context, r *exchangev1.ListCompanyDocumentsRequest) (*exchangev1.ListCompanyDocumentsResponse, error) {
	some, err := d.after(r.GetCompany(), r.GetAfter())
	return &exchangev1.ListCompanyDocumentsResponse{Documents: some}, err
}

func (d *exchange) FindNewDocuments(_ context.Context, r *exchangev1.FindNewDocumentsRequest) (*exchangev1.FindNewDocumentsResponse, error) {
	answer := &exchangev1.FindNewDocumentsResponse{}
	for _, c := range r.GetCompanies() {
		if some, err := d.after(c.GetCompany(), c.GetAfter()); err != nil || len(some) > 0 {
			answer.Companies = append(answer.Companies, c.GetCompany())
		}
	}
	return answer, nil
}

func (d *exchange) ReadDocument(r *exchangev1.ReadDocumentRequest, stream grpc.ServerStreamingServer[exchangev1.ReadDocumentResponse]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	for _, s := range d.documents {
		if s.shown.GetDocument().GetName() == r.GetName() {
			return stream.Send(&exchangev1.ReadDocumentResponse{Data: s.content})
		}
	}
	return failure.NotFound(r.GetName())
}

func (b *bundle) documents(s *backupv1.Snapshot, size int32) (all []*backupv1.SnapshotDocument) {
	b.t.Helper()
	for token := ""; ; {
		page, err := backupv1.NewSnapshotDocumentServiceClient(b.As(b.owner)).ListSnapshotDocuments(b.t.Context(),
			&backupv1.ListSnapshotDocumentsRequest{Name: s.GetName(), PageSize: size, PageToken: token})
		require.NoError(b.t, err)
		all = append(all, page.GetDocuments()...)
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

func (b *bundle) document(name string, offset, length int64) (content []byte, err error) {
	b.t.Helper()
	stream, err := backupv1.NewSnapshotDocumentServiceClient(b.As(b.owner)).DownloadSnapshotDocument(b.t.Context(),
		&backupv1.DownloadSnapshotDocumentRequest{Name: name, Offset: offset, Length: length})
	require.NoError(b.t, err)
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return content, nil
		}
		if err != nil {
			return content, err
		}
		content = append(content, piece.GetData()...)
	}
}

// Documents of the exchange are in every snapshot that is made after them, copied once, and read out of it.
func TestDocumentsAreInSnapshots(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.backup.snapshot.looked_into")
	other := b.tenancy.company(b.subscriber)
	contents := [][]byte{[]byte("<Invoice/>"), {}, bytes.Repeat([]byte("\\N\t\r\n\x00ā"), 20_000)}
	for i, content := range contents {
		b.exchange.send(b.company, fmt.Sprintf("invoice %d.xml", i), content)
		b.exchange.send(other, "another's.xml", []byte("another's"))
	}
	first := b.snapshot()
	require.EqualValues(t, 3, first.GetDocuments())
	require.EqualValues(t, 3, first.GetDocumentsAdded())
	require.Equal(t, first.GetCreateTime().AsTime(), first.GetDocumentsTime().AsTime())
	listed := b.documents(first, 2)
	require.Len(t, listed, 3)
	for i, d := range listed {
		require.Equal(t, fmt.Sprintf("invoice %d.xml", i), d.GetDocument().GetFilename())
		got, err := b.document(d.GetName(), 0, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(contents[i], got))
	}
	part, err := b.document(listed[2].GetName(), 70_000, 1_000)
	require.NoError(t, err)
	require.Equal(t, contents[2][70_000:71_000], part)
	_, err = b.document(first.GetName()+"/documents/4", 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_DOCUMENT_MISSING)
	_, err = b.document(listed[0].GetName(), 11, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	looked := &backupv1.SnapshotLookedInto{}
	require.NoError(t, servicetest.Next(t, told).Decode(looked))
	require.Equal(t, first.GetName()+"/documents", looked.GetDocuments())

	b.exchange.send(b.company, "later.xml", []byte("later"))
	second := b.snapshot()
	require.EqualValues(t, 4, second.GetDocuments())
	require.EqualValues(t, 1, second.GetDocumentsAdded())
	require.Equal(t, 4, b.exchange.reads, "each was read once")
	require.Len(t, b.documents(first, 0), 3)
	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_GOOD, b.verify(second).GetVerifyState())

	b.licensing.refuse(licensingv1.Action_ACTION_READ)
	_, err = b.document(listed[0].GetName(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
}

// A document whose bytes exchange has lost is listed without them, and keeps no other from being copied.
func TestALostDocumentIsListedAsLost(t *testing.T) {
	b := setup(t)
	b.exchange.send(b.company, "lost.xml", []byte("lost"))
	b.exchange.documents[0].content = []byte("else")
	b.exchange.send(b.company, "whole.xml", []byte("whole"))
	made := b.snapshot()
	require.EqualValues(t, 2, made.GetDocuments())
	require.EqualValues(t, 1, made.GetDocumentsLost())
	require.Empty(t, made.GetDocumentsFailure())
	listed := b.documents(made, 0)
	require.True(t, listed[0].GetLost())
	_, err := b.document(listed[0].GetName(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_SNAPSHOT_DOCUMENT_MISSING)
	whole, err := b.document(listed[1].GetName(), 0, 0)
	require.NoError(t, err)
	require.Equal(t, "whole", string(whole))
}

// While exchange does not answer, books are saved; its documents come with a later snapshot.
func TestBooksAreSavedWhileExchangeIsAway(t *testing.T) {
	b := setup(t)
	b.exchange.send(b.company, "a.xml", []byte("a"))
	b.snapshot()
	b.exchange.send(b.company, "b.xml", []byte("b"))
	b.exchange.fail(failure.New(commonv1.Reason_REASON_UNAVAILABLE))
	away := b.snapshot()
	require.EqualValues(t, 1, away.GetDocuments())
	require.Equal(t, "UNAVAILABLE", away.GetDocumentsFailure())
	require.True(t, away.GetDocumentsTime().AsTime().Before(away.GetCreateTime().AsTime()))
	b.exchange.fail(nil)
	back := b.snapshot()
	require.EqualValues(t, 2, back.GetDocuments())
	require.Empty(t, back.GetDocumentsFailure())
	b.exchange.fail(failure.New(commonv1.Reason_REASON_DOCUMENT_PLACE_UNKNOWN))
	lost := b.snapshot()
	require.Equal(t, "DOCUMENT_PLACE_UNKNOWN", lost.GetDocumentsFailure())
	require.EqualValues(t, 2, lost.GetDocuments())
}

// A company that nobody connected to is not left out when documents came for it.
func TestACompanyWithNewDocumentsIsNotLeftOut(t *testing.T) {
	b := setup(t)
	b.schedule()
	for left := 0; left < 10 && b.schedule().GetUnchangedTime() == nil; left++ {
		last := b.schedule().GetLastSnapshot()
		b.Advance(2*time.Hour + time.Second)
		servicetest.Eventually(t, "the company is left out, or copied", func() bool {
			s := b.schedule()
			return s.GetUnchangedTime() != nil || s.GetLastSnapshot() != last
		})
		servicetest.Eventually(t, "the insurance is made", func() bool { return len(of(b.list(), archived)) == 1 })
	}
	require.NotNil(t, b.schedule().GetUnchangedTime())
	last := b.schedule().GetLastSnapshot()
	b.exchange.send(b.company, "a.xml", []byte("a"))
	b.Advance(2*time.Hour + time.Second)
	servicetest.Eventually(t, "it is copied", func() bool { return b.schedule().GetLastSnapshot() != last })
	require.EqualValues(t, 1, of(b.list(), inRepository)[0].GetDocuments())
}
