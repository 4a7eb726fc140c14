package upload

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/dump"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/pgrestore"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

const (
	// examinations bounds how many archives one copy of the service reads at a time.
	examinations = 2
	// again is the pause between two looks whether the subscriber's last examination is over.
	again = 200 * time.Millisecond
	// maxReleaseLine bounds a line of the table that tells the release.
	maxReleaseLine = 64 << 10
)

// examiner examines uploads. An examination outlives the call that began it, so that a copy which takes longer than
// callers wait is examined by the time they come again.
type examiner struct {
	d       Deps
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	flights singleflight.Group
	room    chan struct{}
}

func newExaminer(d Deps) *examiner {
	ctx, end := context.WithCancel(context.Background())
	return &examiner{d: d, ctx: ctx, end: end, room: make(chan struct{}, examinations)}
}

func (e *examiner) close() {
	e.end()
	e.running.Wait()
}

// examine waits for an upload's examination, which it begins unless one is under way.
func (e *examiner) examine(ctx context.Context, u row) error {
	done := e.flights.DoChan(u.ID.String(), func() (any, error) {
		e.running.Add(1)
		defer e.running.Done()
		return nil, e.run(u)
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return failure.From(context.Cause(ctx))
	}
}

func (e *examiner) run(u row) error {
	free, err := e.alone(u.SubscriberID)
	if err != nil {
		return err
	}
	defer free()
	select {
	case e.room <- struct{}{}:
	case <-e.ctx.Done():
		return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "examination")
	}
	defer func() { <-e.room }()
	now, err := uploaddb.New(e.d.DB).GetUpload(e.ctx, uploaddb.GetUploadParams{ID: u.ID, SubscriberID: u.SubscriberID, Now: e.d.Clock.Now()})
	if err != nil || now.State != u.State { // Another copy of the service was first.
		return postgres.NotFound(err, names.Upload(u.SubscriberID, u.ID))
	}
	found, err := e.judge(u)
	refused, isRefusal := errors.AsType[*refusedError](err)
	if err != nil && !isRefusal {
		return failure.From(err)
	}
	return e.keep(u, found, refused)
}

// alone waits until nothing else of a subscriber is examined, by any copy of the service: nobody's many uploads keep
// others waiting. While it waits it holds neither a place nor a connection.
func (e *examiner) alone(owner uuid.UUID) (free func(), err error) {
	for {
		free, got, err := e.tryAlone(owner)
		if err != nil || got {
			return free, err
		}
		select {
		case <-e.ctx.Done():
			return nil, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "examination")
		case <-time.After(again):
		}
	}
}

func (e *examiner) tryAlone(owner uuid.UUID) (free func(), got bool, err error) {
	conn, err := e.d.DB.Acquire(e.ctx)
	if err != nil {
		return nil, false, err
	}
	const lock = "SELECT pg_try_advisory_lock(hashtextextended('uploads of ' || $1, 0))"
	if err := conn.QueryRow(e.ctx, lock, owner.String()).Scan(&got); err != nil || !got {
		conn.Release()
		return nil, false, postgres.Constraints{}.Translate(err)
	}
	return func() {
		// The lock goes with the connection where it can't be given back.
		if _, err := conn.Exec(context.WithoutCancel(e.ctx), "SELECT pg_advisory_unlock_all()"); err != nil {
			e.d.Log.Warn("the lock of a subscriber's uploads can't be given back", "subscriber", owner.String(), "error", err)
		}
		conn.Release()
	}, true, nil
}

// refusedError is a copy that can't be used.
type refusedError struct {
	refusal
	cause error
}

// Error is for the log.
func (e *refusedError) Error() string {
	return fmt.Sprintf("upload refused: %v: %v", e.reason, e.cause)
}

func refuse(reason commonv1.Reason, cause error, pairs ...string) error {
	values := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return &refusedError{refusal: refusal{reason: reason, values: values}, cause: cause}
}

// judge finds out what the upload is, the cheap questions first.
func (e *examiner) judge(u row) (dump.Release, error) {
	open := opener(e.d, u.ID)
	head, err := e.checksum(open, u)
	if err != nil {
		return dump.Release{}, err
	}
	if kind := dump.KindOf(head); kind != dump.Archive {
		return dump.Release{}, refuse(commonv1.Reason_REASON_COPY_KIND_UNKNOWN, nil, "kind", string(kind))
	}
	if err := e.readable(open); err != nil {
		return dump.Release{}, err
	}
	found, err := e.release(open)
	if err != nil {
		return dump.Release{}, err
	}
	return found, e.newest(found)
}

// checksum reads all bytes and answers the first.
func (e *examiner) checksum(open pgrestore.Open, u row) (head []byte, err error) {
	content, err := open(e.ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	sum := sha256.New()
	first := &headWriter{}
	size, err := io.Copy(io.MultiWriter(sum, first), content)
	if err != nil {
		return nil, err
	}
	if size != u.SizeBytes || string(sum.Sum(nil)) != string(u.Sha256) {
		return nil, refuse(commonv1.Reason_REASON_UPLOAD_CHECKSUM_MISMATCH, nil)
	}
	return first.kept, nil
}

// headWriter keeps as much of the beginning as a kind is told by.
type headWriter struct{ kept []byte }

// Write keeps what there is room for.
func (w *headWriter) Write(p []byte) (int, error) {
	w.kept = append(w.kept, p[:min(len(p), dump.HeadBytes-len(w.kept))]...)
	return len(p), nil
}

// readable has pg_restore read the table of contents, and then every byte of the data.
func (e *examiner) readable(open pgrestore.Open) error {
	nothing := func(io.Reader) error { return nil }
	if err := e.d.Restore.Run(e.ctx, open, nothing, "--list"); err != nil {
		return e.asDamaged(err, "its table of contents can't be read")
	}
	if err := e.d.Restore.Run(e.ctx, open, nothing, "-f", "-"); err != nil {
		return e.asDamaged(err, "its data can't be read to the end")
	}
	return nil
}

func (e *examiner) asDamaged(err error, detail string) error {
	if errors.Is(err, pgrestore.ErrTooLarge) {
		return refuse(commonv1.Reason_REASON_COPY_TOO_LARGE, err, "limit_bytes", strconv.FormatInt(e.d.Restore.Limits().Bytes, 10))
	}
	if errors.Is(err, pgrestore.ErrArchive) && e.ctx.Err() == nil {
		return refuse(commonv1.Reason_REASON_COPY_DAMAGED, err, "detail", detail)
	}
	return err
}

// release reads what made the books, or the copy's one data area.
func (e *examiner) release(open pgrestore.Open) (found dump.Release, err error) {
	var releases []dump.Release
	read := func(script io.Reader) (err error) {
		releases, err = dump.Releases(dump.NewReader(script, maxReleaseLine))
		return err
	}
	err = e.d.Restore.Run(e.ctx, open, read, "--data-only", "--schema=kontor_meta", "--table=release", "-f", "-")
	switch {
	case errors.Is(err, dump.ErrNoRelease):
		return found, refuse(commonv1.Reason_REASON_COPY_DAMAGED, err, "detail", "it does not say which program made it")
	case errors.Is(err, dump.ErrScript), errors.Is(err, dump.ErrTruncated), errors.Is(err, dump.ErrLongLine):
		return found, refuse(commonv1.Reason_REASON_COPY_DAMAGED, err, "detail", "what it says about its program can't be read")
	case err != nil:
		return found, e.asDamaged(err, "what it says about its program can't be read")
	}
	for _, release := range releases {
		if release.Area == "books" || len(releases) == 1 {
			return release, nil
		}
	}
	return releases[0], nil
}

// newest refuses a copy of another release than the newest.
func (e *examiner) newest(found dump.Release) error {
	k := e.d.Kits.Newest(found.Product)
	if k == nil {
		return refuse(commonv1.Reason_REASON_COPY_PRODUCT_UNKNOWN, nil,
			"product", printable(found.Product), "known", strings.Join(e.d.Kits.Products(), ", "))
	}
	version, err := kit.ParseVersion(found.Version)
	if err != nil {
		return refuse(commonv1.Reason_REASON_COPY_DAMAGED, err, "detail", "what it says about its program can't be read")
	}
	values := []string{"product", found.Product, "version", version.String(), "newest", k.Version.String()}
	switch order := version.Compare(k.Version); {
	case order < 0:
		return refuse(commonv1.Reason_REASON_COPY_RELEASE_OLDER, nil, values...)
	case order > 0:
		return refuse(commonv1.Reason_REASON_COPY_RELEASE_NEWER, nil, values...)
	}
	return nil
}

// printable is a stranger's word as it can be shown.
func printable(word string) string {
	const longest = 50
	word = strings.Map(func(r rune) rune {
		if r < ' ' || r == '\u007f' || r == '\ufffd' {
			return '?'
		}
		return r
	}, word)
	if runes := []rune(word); len(runes) > longest {
		return string(runes[:longest])
	}
	return word
}

// keep writes down what was found. Another copy of the service may have been first: its word stands.
func (e *examiner) keep(u row, found dump.Release, refused *refusedError) error {
	p := uploaddb.ExaminedParams{
		ID: u.ID, State: int16(tenancyv1.UploadState_UPLOAD_STATE_VERIFIED), RefusalValues: []byte("{}"),
	}
	if refused != nil {
		values, err := json.Marshal(refused.values)
		if err != nil {
			return err
		}
		p.State, p.Refusal, p.RefusalValues = int16(tenancyv1.UploadState_UPLOAD_STATE_REFUSED), failure.Name(refused.reason), values
		e.d.Log.Info("a copy was refused", "upload", u.ID.String(), "reason", p.Refusal, "cause", refused.cause)
	}
	if version, err := kit.ParseVersion(found.Version); err == nil && e.d.Kits.Newest(found.Product) != nil {
		p.Product, p.Edition, p.Version = found.Product, printable(found.Edition), version.String()
	}
	return e.write(p)
}

// write writes down what was found. Of a copy that can't be used the bytes go at once.
func (e *examiner) write(p uploaddb.ExaminedParams) error {
	var gone []uuid.UUID
	err := postgres.InTx(e.ctx, e.d.DB, func(tx pgx.Tx) error {
		gone = nil
		q := uploaddb.New(tx)
		changed, err := q.Examined(e.ctx, p)
		if err != nil || changed == 0 || p.State != int16(tenancyv1.UploadState_UPLOAD_STATE_REFUSED) {
			return err
		}
		gone, err = q.DeleteParts(e.ctx, p.ID)
		return err
	})
	for _, object := range gone {
		remove(e.ctx, e.d, objectKey(p.ID, object))
	}
	return err
}
