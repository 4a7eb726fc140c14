package tenancy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/upload"
)

const piece = 256 << 10

func (p person) uploads() tenancyv1.UploadServiceClient {
	return tenancyv1.NewUploadServiceClient(p.conn)
}

// announce announces a file.
func (p person) announce(subscriber string, content []byte) *tenancyv1.Upload {
	p.h.t.Helper()
	sum := sha256.Sum256(content)
	answer, err := p.uploads().CreateUpload(p.h.t.Context(), &tenancyv1.CreateUploadRequest{
		Parent: subscriber, Filename: "books.dump", SizeBytes: int64(len(content)), Sha256: sum[:], RequestId: newID(),
	})
	must(p.h.t, err)
	return answer.GetUpload()
}

// write sends bytes from an offset on.
func (p person) write(ctx context.Context, upload string, offset int64, content []byte) (*tenancyv1.Upload, error) {
	stream, err := p.uploads().WriteUpload(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.Send(&tenancyv1.WriteUploadRequest{Name: upload, Offset: offset}) // The answer tells what was wrong.
	for len(content) > 0 {
		n := min(piece, len(content))
		if stream.Send(&tenancyv1.WriteUploadRequest{Data: content[:n]}) != nil {
			break
		}
		content = content[n:]
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetUpload(), err
}

func (p person) complete(upload string) (*tenancyv1.Upload, error) {
	answer, err := p.uploads().CompleteUpload(p.h.t.Context(), &tenancyv1.CompleteUploadRequest{Name: upload})
	return answer.GetUpload(), err
}

func (p person) upload(name string) *tenancyv1.Upload {
	p.h.t.Helper()
	got, err := p.uploads().GetUpload(p.h.t.Context(), &tenancyv1.GetUploadRequest{Name: name})
	must(p.h.t, err)
	return got.GetUpload()
}

// bring uploads a file whole and has it examined.
func (p person) bring(subscriber string, content []byte) (*tenancyv1.Upload, error) {
	p.h.t.Helper()
	u := p.announce(subscriber, content)
	if _, err := p.write(p.h.t.Context(), u.GetName(), 0, content); err != nil {
		p.h.t.Fatal(err)
	}
	done, err := p.complete(u.GetName())
	if err != nil {
		return u, err
	}
	return done, nil
}

func TestACopyBecomesACompanyWithAllItsRows(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	u, err := owner.bring(s.GetName(), copyOf(t, "1.4.0", ""))
	must(t, err)
	if u.GetState() != tenancyv1.UploadState_UPLOAD_STATE_VERIFIED || u.GetProduct() != "books" || u.GetVersion() != "1.4.0" {
		t.Fatal(u)
	}
	r := newCompany(s.GetName())
	r.Activity, r.Upload = "", u.GetName()
	made, over := owner.addCompany(r)
	if over.GetState() != commonv1.Operation_STATE_SUCCEEDED || made.GetState() != tenancyv1.CompanyState_COMPANY_STATE_READY {
		t.Fatalf("%v %v", over, made)
	}
	var accounts, entries int
	must(t, h.cluster(h.databaseOf(made.GetName())).QueryRow(t.Context(),
		"SELECT (SELECT count(*) FROM books.accounts), (SELECT count(*) FROM books.journal_entries)").Scan(&accounts, &entries))
	if accounts == 0 || entries == 0 {
		t.Errorf("%d accounts, %d entries", accounts, entries)
	}
	if used := owner.upload(u.GetName()); used.GetState() != tenancyv1.UploadState_UPLOAD_STATE_USED {
		t.Error(used)
	}
	r.RequestId = newID()
	_, err = owner.companies().CreateCompany(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_STATE_UNFIT)
}

func TestACopyWithoutATableGivesTheUploadBack(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	u, err := owner.bring(s.GetName(), copyOf(t, "1.4.0", "", "--exclude-table-data=books.accounts"))
	must(t, err)
	r := newCompany(s.GetName())
	r.Activity, r.Upload = "", u.GetName()
	made, over := owner.addCompany(r)
	if made.GetState() != tenancyv1.CompanyState_COMPANY_STATE_FAILED || made.GetFailureReason() != "COPY_TABLE_MISSING" {
		t.Fatalf("%v %v", over, made)
	}
	if back := owner.upload(u.GetName()); back.GetState() != tenancyv1.UploadState_UPLOAD_STATE_VERIFIED {
		t.Error(back)
	}
}

func TestRowsThatBreakTheProductsRulesAreRefusedByName(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	unbalanced := `SET session_replication_role = replica;
		DELETE FROM books.journal_lines WHERE ctid = (SELECT min(ctid) FROM books.journal_lines)`
	u, err := owner.bring(s.GetName(), copyOf(t, "1.4.0", unbalanced))
	must(t, err)
	r := newCompany(s.GetName())
	r.Activity, r.Upload = "", u.GetName()
	made, over := owner.addCompany(r)
	if made.GetFailureReason() != "COPY_RULES_BROKEN" {
		t.Fatalf("%v %v", over, made)
	}
}

// released is what the hostile copies say of themselves.
const copyStatement = "COPY kontor_meta.release (area, product, edition, version"

func TestCopiesThatCanNotBeUsedAreRefusedAndSayWhy(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	good := copyOf(t, "1.4.0", "")
	touched := filepath.Join(t.TempDir(), "executed")
	command := `\! touch ` + touched + " ; SELECT 1/0;"
	hostile := bytes.Replace(good, []byte(copyStatement), []byte(command + strings.Repeat(" ", 200))[:len(copyStatement)], 1)
	if bytes.Equal(hostile, good) {
		t.Fatal("the archive has no such statement")
	}
	flipped := bytes.Clone(good)
	for i := 60; i < 90; i++ {
		flipped[len(flipped)*i/100] ^= 0x55
	}
	for name, c := range map[string]struct {
		content []byte
		reason  commonv1.Reason
		says    []string
	}{
		"an older release":          {copyOf(t, "1.3.0", ""), commonv1.Reason_REASON_COPY_RELEASE_OLDER, []string{"1.3.0", "1.4.0", "Install"}},
		"a newer release":           {copyOf(t, "1.4.0", "UPDATE kontor_meta.release SET version = '2.0.0'"), commonv1.Reason_REASON_COPY_RELEASE_NEWER, []string{"2.0.0", "1.4.0"}},
		"another product":           {copyOf(t, "1.4.0", "UPDATE kontor_meta.release SET product = 'fishing'"), commonv1.Reason_REASON_COPY_PRODUCT_UNKNOWN, []string{"fishing", "books"}},
		"a version that is none":    {copyOf(t, "1.4.0", "ALTER TABLE kontor_meta.release DROP CONSTRAINT release_version_is_semantic; UPDATE kontor_meta.release SET version = E'1.4.0\\n\\\\.\\nDROP TABLE x;'"), commonv1.Reason_REASON_COPY_DAMAGED, nil},
		"no release":                {copyOf(t, "1.4.0", "", "--exclude-schema=kontor_meta"), commonv1.Reason_REASON_COPY_DAMAGED, []string{"which program"}},
		"a text called dump":        {[]byte("-- \nDROP TABLE subscribers;\n"), commonv1.Reason_REASON_COPY_KIND_UNKNOWN, []string{"text file"}},
		"a plain SQL dump":          {[]byte("--\n-- PostgreSQL database dump\n--\n\\! true\n"), commonv1.Reason_REASON_COPY_KIND_UNKNOWN, []string{"plain SQL dump"}},
		"a ZIP file":                {zipFile(t), commonv1.Reason_REASON_COPY_KIND_UNKNOWN, []string{"ZIP file"}},
		"a header and no more":      {good[:20], commonv1.Reason_REASON_COPY_DAMAGED, []string{"table of contents"}},
		"an archive cut in two":     {good[:len(good)/2], commonv1.Reason_REASON_COPY_DAMAGED, nil},
		"an archive without a tail": {good[:len(good)-100], commonv1.Reason_REASON_COPY_DAMAGED, nil},
		"flipped bits":              {flipped, commonv1.Reason_REASON_COPY_DAMAGED, nil},
		"a command for psql in it":  {hostile, commonv1.Reason_REASON_COPY_DAMAGED, nil},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := owner.bring(s.GetName(), c.content)
			servicetest.WantReason(t, err, c.reason)
			for _, word := range c.says {
				if !strings.Contains(status.Convert(err).Message(), word) {
					t.Errorf("%q does not say %q", status.Convert(err).Message(), word)
				}
			}
			_, again := owner.complete(u.GetName())
			if again == nil || again.Error() != err.Error() {
				t.Errorf("the second answer is %v, the first was %v", again, err)
			}
			got := owner.upload(u.GetName())
			if got.GetState() != tenancyv1.UploadState_UPLOAD_STATE_REFUSED || "REASON_"+got.GetRefusalReason() != c.reason.String() {
				t.Error(got)
			}
			if _, err := os.Stat(touched); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a command in the copy was executed")
			}
		})
	}
}

func zipFile(t *testing.T) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	_, err := w.Create("books.dump")
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

func TestAnUploadGoesOnWhereItBroke(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	content := bytes.Repeat([]byte("0123456789abcdef"), 640<<10) // 10 MiB: more than a part.
	u := owner.announce(s.GetName(), content)
	_, err := owner.complete(u.GetName())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_INCOMPLETE)

	ctx, cut := context.WithCancel(t.Context())
	stream, err := owner.uploads().WriteUpload(ctx)
	must(t, err)
	must(t, stream.Send(&tenancyv1.WriteUploadRequest{Name: u.GetName()}))
	for at := 0; at < 9<<20; at += piece {
		must(t, stream.Send(&tenancyv1.WriteUploadRequest{Data: content[at : at+piece]}))
	}
	servicetest.Eventually(t, "a whole part is there", func() bool { return owner.upload(u.GetName()).GetReceivedBytes() >= 8<<20 })
	cut()
	var arrived int64
	servicetest.Eventually(t, "what came before the cut is kept", func() bool {
		arrived = owner.upload(u.GetName()).GetReceivedBytes()
		return arrived > 8<<20
	})
	_, err = owner.write(t.Context(), u.GetName(), 1, content[1:])
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_OFFSET_MISMATCH)
	_, err = owner.write(t.Context(), u.GetName(), arrived, content)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_TOO_LARGE)
	arrived = owner.upload(u.GetName()).GetReceivedBytes() // What came before the byte too much is kept as well.
	done, err := owner.write(t.Context(), u.GetName(), arrived, content[arrived:])
	must(t, err)
	if done.GetReceivedBytes() != int64(len(content)) {
		t.Fatal(done)
	}
	_, err = owner.complete(u.GetName()) // The bytes are right: only what they are is wrong.
	servicetest.WantReason(t, err, commonv1.Reason_REASON_COPY_KIND_UNKNOWN)
	_, err = owner.write(t.Context(), u.GetName(), int64(len(content)), nil)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_COPY_KIND_UNKNOWN)
}

func TestTwoWritersNeverMixAFile(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	content := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 1<<17)
	u := owner.announce(s.GetName(), content)
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() { _, errs[i] = owner.write(t.Context(), u.GetName(), 0, content) })
	}
	both.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_OFFSET_MISMATCH)
	}
	if got := owner.upload(u.GetName()).GetReceivedBytes(); won != 1 || got != int64(len(content)) {
		t.Errorf("%d writers won, %d bytes are there: %v", won, got, errs)
	}
}

func TestBytesThatWereNotAnnouncedAreRefusedAndMayBeSentAnew(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	content := copyOf(t, "1.4.0", "")
	u := owner.announce(s.GetName(), content)
	other := bytes.Clone(content)
	other[len(other)-1] ^= 1
	_, err := owner.write(t.Context(), u.GetName(), 0, other)
	must(t, err)
	_, err = owner.complete(u.GetName())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_CHECKSUM_MISMATCH)
	again, err := owner.bring(s.GetName(), content)
	must(t, err)
	if again.GetName() == u.GetName() {
		t.Error("the spoilt upload was given again")
	}
}

func TestTwoCompletionsAtOnceAnswerTheSame(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	content := copyOf(t, "1.4.0", "")
	u := owner.announce(s.GetName(), content)
	_, err := owner.write(t.Context(), u.GetName(), 0, content)
	must(t, err)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			done, err := owner.complete(u.GetName())
			if err != nil || done.GetState() != tenancyv1.UploadState_UPLOAD_STATE_VERIFIED {
				t.Errorf("%v, %v", done, err)
			}
		})
	}
	both.Wait()
}

func TestTheSameBytesAreOneUploadAndTooManyOrTooMuchIsRefused(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	stranger, theirs := h.owner("janis@ozols.example")
	first := owner.announce(s.GetName(), []byte("one"))
	if again := owner.announce(s.GetName(), []byte("one")); again.GetName() != first.GetName() {
		t.Error("the same bytes were announced as another upload")
	}
	if other := stranger.announce(theirs.GetName(), []byte("one")); other.GetName() == first.GetName() {
		t.Error("the bytes of another subscriber were found")
	}
	_, err := stranger.uploads().GetUpload(t.Context(), &tenancyv1.GetUploadRequest{Name: first.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = stranger.complete(first.GetName())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = stranger.write(t.Context(), first.GetName(), 0, []byte("one"))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	mixed := strings.Replace(first.GetName(), s.GetName(), theirs.GetName(), 1)
	_, err = stranger.write(t.Context(), mixed, 0, []byte("one"))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)

	sum := sha256.Sum256([]byte("two"))
	r := &tenancyv1.CreateUploadRequest{Parent: s.GetName(), Filename: "two", SizeBytes: 3, Sha256: sum[:], RequestId: newID()}
	one, err := owner.uploads().CreateUpload(t.Context(), r)
	must(t, err)
	same, err := owner.uploads().CreateUpload(t.Context(), r)
	must(t, err)
	if one.GetUpload().GetName() != same.GetUpload().GetName() {
		t.Error("a repeated request made another upload")
	}
	r.Filename = "other"
	_, err = owner.uploads().CreateUpload(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
	r.RequestId, r.SizeBytes = newID(), 20<<30+1
	_, err = owner.uploads().CreateUpload(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_TOO_LARGE)
	for i := range byte(18) {
		owner.announce(s.GetName(), []byte{'x', i})
	}
	r.RequestId, r.SizeBytes = newID(), 5
	_, err = owner.uploads().CreateUpload(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOADS_FULL)
}

func TestUploadsWhoseTimeIsOverAreGoneWithTheirBytes(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	u := owner.announce(s.GetName(), []byte("one"))
	_, err := owner.write(t.Context(), u.GetName(), 0, []byte("one"))
	must(t, err)
	if h.objectsKept() != 1 {
		t.Fatalf("%d objects", h.objectsKept())
	}
	h.Advance(8 * 24 * time.Hour)
	_, err = owner.uploads().GetUpload(t.Context(), &tenancyv1.GetUploadRequest{Name: u.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	again := owner.announce(s.GetName(), []byte("one"))
	if again.GetName() == u.GetName() {
		t.Error("an upload whose time is over was found")
	}

	store, err := blob.Open(t.Context(), "file://"+h.objects)
	must(t, err)
	defer func() { must(t, store.Close()) }()
	uploads := upload.New(upload.Deps{DB: h.DB, Clock: clock.NewFake(time.Now().Add(8 * 24 * time.Hour)), Store: store, Log: slog.New(slog.DiscardHandler)})
	defer uploads.Close()
	must(t, uploads.Purge(t.Context()))
	if h.objectsKept() != 0 {
		t.Errorf("%d objects are kept", h.objectsKept())
	}
}

func TestObjectsThatNoRowNamesAreSwept(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	u := owner.announce(s.GetName(), []byte("one"))
	_, err := owner.write(t.Context(), u.GetName(), 0, []byte("one"))
	must(t, err)
	store, err := blob.Open(t.Context(), "file://"+h.objects)
	must(t, err)
	defer func() { must(t, store.Close()) }()
	must(t, store.Put(t.Context(), "uploads/"+newID()+"/"+newID(), []byte("lost"), ""))
	uploads := upload.New(upload.Deps{DB: h.DB, Clock: clock.System{}, Store: store, Log: slog.New(slog.DiscardHandler)})
	defer uploads.Close()
	must(t, uploads.Sweep(t.Context(), time.Now().Add(-time.Hour)))
	if h.objectsKept() != 2 {
		t.Error("an object was swept that may be named yet")
	}
	must(t, uploads.Sweep(t.Context(), time.Now().Add(time.Hour)))
	if h.objectsKept() != 1 || owner.upload(u.GetName()).GetReceivedBytes() != 3 {
		t.Errorf("%d objects are kept", h.objectsKept())
	}
}

// objectsKept counts the objects of uploads.
func (h *house) objectsKept() (n int) {
	h.t.Helper()
	must(h.t, filepath.WalkDir(h.objects, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	}))
	return n
}
