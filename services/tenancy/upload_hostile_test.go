package tenancy_test

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"path/filepath"
	"testing"

	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// storedBytes is how much the object store holds.
func (h *house) storedBytes() (n int64) {
	h.t.Helper()
	must(h.t, filepath.WalkDir(h.objects, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(entry.Name()) == ".attrs" {
			return err
		}
		info, err := entry.Info()
		n += info.Size()
		return err
	}))
	return n
}

// However often rubbish is sent, nothing of it stays.
func TestARefusedCopyLeavesNoBytes(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	for i := range byte(25) { // More than may be open.
		content := bytes.Repeat([]byte{'x', i}, 5000)
		u := owner.announce(s.GetName(), append(content, 'y'))
		_, err := owner.write(t.Context(), u.GetName(), 0, append(content, 'z'))
		must(t, err)
		_, err = owner.complete(u.GetName())
		servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_CHECKSUM_MISMATCH)
		_, err = owner.bring(s.GetName(), content)
		servicetest.WantReason(t, err, commonv1.Reason_REASON_COPY_KIND_UNKNOWN)
	}
	if n := h.storedBytes(); n != 0 {
		t.Errorf("%d bytes stay", n)
	}
}

func TestASubscribersUploadsAreBoundedTogether(t *testing.T) {
	o := setupOffice(t, "KONTOR_UPLOAD_SHARE_BYTES=1000")
	announce := func(size int64) error {
		sum := sha256.Sum256([]byte(newID()))
		_, err := o.owner.uploads().CreateUpload(t.Context(), &tenancyv1.CreateUploadRequest{
			Parent: o.subscriber, Filename: "a", SizeBytes: size, Sha256: sum[:], RequestId: newID(),
		})
		return err
	}
	must(t, announce(600))
	servicetest.WantReason(t, announce(401), commonv1.Reason_REASON_UPLOADS_TOO_LARGE)
	must(t, announce(400))
}

// A few bytes that unpack to a great many are refused before anything is filled with them.
func TestACopyThatUnpacksToTooMuchIsRefused(t *testing.T) {
	o := setupOffice(t, "KONTOR_COPY_MAX_BYTES=3000000")
	u, err := o.owner.bring(o.subscriber, copyOf(t, "1.4.0", `INSERT INTO books.accounts (number, name, kind)
		SELECT (10000000 + n)::text, repeat('bomb ', 20), 'asset' FROM generate_series(1, 30000) AS n`))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_COPY_TOO_LARGE)
	if got := o.owner.upload(u.GetName()); got.GetState() != tenancyv1.UploadState_UPLOAD_STATE_REFUSED {
		t.Error(got)
	}
}

// While a subscriber's copy is examined its next ones wait, and nobody else's.
func TestExaminationsOfOneSubscriberKeepNobodyElseWaiting(t *testing.T) {
	h := setup(t)
	busy, busySubscriber := h.owner("ilze@liepa.example")
	other, otherSubscriber := h.owner("janis@ozols.example")
	conn, err := h.DB.Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended('uploads of ' || $1, 0))", idOf(busySubscriber.GetName()).String())
	must(t, err)
	waiting := make(chan error, 5)
	for i := range byte(5) {
		content := []byte{'w', 'a', 'i', 't', i}
		u := busy.announce(busySubscriber.GetName(), content)
		_, err := busy.write(t.Context(), u.GetName(), 0, content)
		must(t, err)
		go func() { _, err := busy.complete(u.GetName()); waiting <- err }()
	}
	_, err = other.bring(otherSubscriber.GetName(), []byte("something else"))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_COPY_KIND_UNKNOWN)
	select {
	case err := <-waiting:
		t.Errorf("one was examined beside the first: %v", err)
	default:
	}
	_, err = conn.Exec(t.Context(), "SELECT pg_advisory_unlock_all()")
	must(t, err)
	for range 5 {
		servicetest.WantReason(t, <-waiting, commonv1.Reason_REASON_COPY_KIND_UNKNOWN)
	}
}

// An operation that was cancelled before anybody began it gives back the copy that it took.
func TestACopyThatNobodyBeganToUseIsGivenBack(t *testing.T) {
	o := setupOffice(t)
	u, err := o.owner.bring(o.subscriber, copyOf(t, "1.4.0", ""))
	must(t, err)
	o.exec("UPDATE upload SET state = 4 WHERE id = $1", idOf(u.GetName()))
	o.exec("INSERT INTO area_upload (company_id, upload_id, operation) VALUES ($1, $2, $3)",
		idOf(o.company), idOf(u.GetName()), "operations/"+newID())
	servicetest.Eventually(t, "the copy is given back", func() bool {
		return o.owner.upload(u.GetName()).GetState() == tenancyv1.UploadState_UPLOAD_STATE_VERIFIED
	})
}
