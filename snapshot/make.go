package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
	"kontor.internal/snapshot/pgtool"
)

// Repository is where one company's snapshots lie.
type Repository struct {
	// Store has the objects.
	Store Store
	// Folder in the store that is the company's own, without a slash at its end.
	Folder string
	// Keys of the company.
	Keys Keys
}

func (r Repository) inner() repository { return repository{store: r.Store, folder: r.Folder + "/"} }

// Order says of what to make a snapshot.
type Order struct {
	// Tools are pg_dump and pg_restore.
	Tools pgtool.Tools
	// Login opens the database. It must be able to read all of it.
	Login *pgtool.Login
	// Ref names the new snapshot. Its sequence is higher than any before. It is of this attempt alone: who tries again takes
	// another id, or a lost attempt could still be in the way.
	Ref Ref
	// Moment is now, read before the order is carried out.
	Moment time.Time
	// Previous is the snapshot to compare with, and its head; nil makes one that stands alone.
	Previous *Known
	// Whole reads every row, also of tables that surely did not change.
	Whole bool
	// Cache is a folder of this machine, the company's own, for what the next snapshot needs; it may be lost. Empty: none.
	Cache string
	// Connections that read tables at once; 0 means 3.
	Connections int
	// Extensions that the database may have; nil means DefaultExtensions.
	Extensions []string
	// Rest has it looked, in the end, whether nobody else is connected.
	Rest bool
	// Files that the company has beside its database; nil has those of the snapshot before taken over.
	Files Files
	// Progress hears how many bytes of rows were read, now and then, from many goroutines; it may be nil.
	Progress func(done, expected int64)
}

// connections read and fill tables at once where nothing else is said.
const connections = 3

// Known is a snapshot with the head that it must have.
type Known struct {
	Ref
	Head Head
}

// Made is what became of an order.
type Made struct {
	// Known names it.
	Known
	// Rows and Bytes of the whole snapshot: its tables' lines.
	Rows, Bytes int64
	// Read is how many of the bytes were read from the database; the rest surely had not changed.
	Read int64
	// Added is how many bytes the repository grew by.
	Added int64
	// Chunks of the tables that were read: not changed, stored as changes, stored whole.
	Same, Changed, Whole int64
	// Needs are the keys of all objects that it needs, its manifest's too, for the ledger's Commit.
	Needs []string
	// Rest by which it is known later, without connecting, that nothing has changed since; nil when somebody was connected, or
	// it was not asked for.
	Rest *Rest
	// Files that the snapshot has, their bytes, and how many came with it.
	Files, FileBytes, FilesAdded int64
	// FilesLost of them have no bytes: their source no longer had them.
	FilesLost int64
	// FilesMoment is the moment up to which files were copied; FilesFailed says why it is not the snapshot's, if so. Books are
	// saved whatever becomes of files.
	FilesMoment time.Time
	FilesFailed error
	// FilesPlace is the place of the last one, as their source named it.
	FilesPlace string
	// ReadBack is how many chunks of the snapshot before were read from the repository, because the cache did not have them.
	ReadBack int64
}

// maker is an order being carried out.
type maker struct {
	Order
	repo     repository
	keys     Keys
	naming   *naming
	packer   *packer
	reader   *reader
	source   *source
	previous *snapshotv1.Manifest
	counters map[uint32]*snapshotv1.TableState // before the snapshot's moment
	tables   []*plan
	files    filed
	read     atomic.Int64
	expected int64

	same, changed, whole, readBack atomic.Int64
}

// Make makes a snapshot. When it fails or is killed, what it left behind goes with later collections, and the order can be given
// again under another id. Only a commit whose answer was lost may leave a whole snapshot, which nobody knows of.
func Make(ctx context.Context, r Repository, o Order) (*Made, error) {
	m := &maker{Order: o, repo: r.inner(), keys: r.Keys}
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}
	defer m.end(ctx)
	manifest, err := m.carryOut(ctx)
	if err != nil {
		return nil, err
	}
	made, err := m.commit(ctx, manifest)
	if err == nil && o.Rest {
		made.Rest, _ = m.rest(ctx, manifest) // The snapshot stands, whatever is not known of the time after it.
	}
	return made, err
}

// prepare connects, looks whether a copy is possible, and begins to read as of one moment.
func (m *maker) prepare(ctx context.Context) (err error) {
	if err := m.keys.check(); err != nil {
		return err
	}
	if m.naming, err = m.keys.naming(); err != nil {
		return err
	}
	if m.Connections == 0 {
		m.Connections = connections
	}
	if m.Extensions == nil {
		m.Extensions = DefaultExtensions
	}
	if m.Cache != "" {
		if err := os.MkdirAll(m.Cache, 0o700); err != nil {
			return fmt.Errorf("snapshot: cache: %w", err)
		}
	}
	m.reader = newReader(m.repo, m.keys, m.naming)
	if m.Previous != nil {
		if m.previous, err = m.reader.readManifest(ctx, m.Previous.Ref, &m.Previous.Head); err != nil {
			return err
		}
	}
	m.source = &source{login: m.Login}
	if m.source.conn, err = connect(ctx, m.Login); err != nil {
		return err
	}
	m.packer = newPacker(ctx, m.repo, m.keys)
	return nil
}

// end gives back what was taken. After a commit there is nothing left to give back but connections and files.
func (m *maker) end(ctx context.Context) {
	m.packer.abort()
	for _, t := range m.tables {
		for _, p := range t.parts {
			p.memory.close()
			p.note.drop()
		}
	}
	m.files.drop()
	_ = m.source.close(context.WithoutCancel(ctx)) // It was only read.
}

// carryOut stores all there is and returns the manifest that tells of it.
func (m *maker) carryOut(ctx context.Context) (*snapshotv1.Manifest, error) {
	var err error
	if m.counters, err = readCounters(ctx, m.source.conn); err != nil {
		return nil, err
	}
	if err := m.source.begin(ctx); err != nil {
		return nil, err
	}
	if err := refuse(ctx, m.source.tx, m.Extensions); err != nil {
		return nil, err
	}
	manifest, err := m.describe(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.plan(ctx, manifest, m.counters); err != nil {
		return nil, err
	}
	work, working := errgroup.WithContext(ctx)
	work.Go(func() error { return m.storeSchema(working, manifest) })
	work.Go(func() error { return m.storeTables(working) })
	if err := work.Wait(); err != nil {
		return nil, err
	}
	if err := m.storeFiles(ctx, manifest); err != nil {
		return nil, err
	}
	if err := m.packer.close(); err != nil {
		return nil, err
	}
	m.collect(manifest)
	return manifest, nil
}

// describe reads everything but rows and definitions.
func (m *maker) describe(ctx context.Context) (*snapshotv1.Manifest, error) {
	tx := m.source.tx
	f := &snapshotv1.Manifest{
		Company: m.keys.Company[:], Snapshot: m.Ref.Snapshot[:], Sequence: m.Ref.Sequence, Moment: timestamppb.New(m.Moment),
		Database: &snapshotv1.Database{}, ReadWhole: m.Whole || m.previous == nil,
	}
	if m.Previous != nil {
		f.PreviousHead = m.Previous.Head[:]
	}
	err := tx.QueryRow(ctx, `SELECT datname, pg_catalog.current_setting('server_version_num')::int, pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype
		FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).
		Scan(&f.Database.Name, &f.Database.ServerVersion, &f.Database.Encoding, &f.Database.Collation, &f.Database.Ctype)
	if err != nil {
		return nil, err
	}
	if f.Server, err = readServer(ctx, tx); err != nil {
		return nil, err
	}
	if f.SchemaState, err = catalogState(ctx, tx, f.Server); err != nil {
		return nil, err
	}
	if f.Sequences, err = readSequences(ctx, tx); err != nil {
		return nil, err
	}
	f.MaterializedViews, err = readViews(ctx, tx)
	return f, err
}

// commit makes the snapshot exist: everything that its manifest names is durable already.
func (m *maker) commit(ctx context.Context, manifest *snapshotv1.Manifest) (*Made, error) {
	object, head, err := sealManifest(m.keys, m.naming, m.Ref, manifest)
	if err != nil {
		return nil, err
	}
	to, err := m.repo.store.Create(ctx, m.repo.manifest(m.Ref))
	if err != nil {
		return nil, err
	}
	if _, err := to.Write(object); err != nil {
		to.Abort()
		return nil, err
	}
	if err := to.Commit(); err != nil {
		return nil, err
	}
	for _, t := range m.tables {
		for _, p := range t.parts {
			p.note.keep()
		}
	}
	m.files.keep()
	made := &Made{
		Known: Known{m.Ref, head}, Read: m.read.Load(), Added: m.packer.stored.Load() + int64(len(object)),
		Same: m.same.Load(), Changed: m.changed.Load(), Whole: m.whole.Load(), ReadBack: m.readBack.Load(),
	}
	made.Needs = []string{m.repo.manifest(m.Ref)}
	for id := range slices.Chunk(manifest.GetPacks(), 16) {
		made.Needs = append(made.Needs, m.repo.pack(Pack(id)))
	}
	made.Files, made.FilesAdded, made.FilesFailed = int64(manifest.GetFiles().GetList().GetRows()), m.files.added, m.files.failed
	made.FilesLost = int64(manifest.GetFiles().GetLost())
	made.FilesPlace = manifest.GetFiles().GetCursor()
	made.FileBytes = int64(manifest.GetFiles().GetContents().GetBytes())
	if moment := manifest.GetFiles().GetMoment(); moment != nil {
		made.FilesMoment = moment.AsTime()
	}
	for _, t := range manifest.GetTables() {
		made.Rows += int64(t.GetRows())
		made.Bytes += int64(t.GetBytes())
	}
	return made, nil
}

// pieceBytes of a byte stream make a record.
const pieceBytes = 256 << 10

// storeSchema stores the definitions, unless they surely are those of the snapshot before.
func (m *maker) storeSchema(ctx context.Context, manifest *snapshotv1.Manifest) error {
	if m.previous != nil && !m.Whole && len(m.previous.GetSchemaState()) > 0 && string(m.previous.GetSchemaState()) == string(manifest.GetSchemaState()) {
		manifest.Schema = m.previous.GetSchema()
		return nil
	}
	pieces := &pieceWriter{m: m}
	err := m.Tools.Schema(ctx, m.Login, m.source.id, pieces)
	if err = errors.Join(err, pieces.flush()); err != nil {
		return err
	}
	manifest.Schema = pieces.made
	return nil
}

// pieceWriter stores a byte stream in pieces.
type pieceWriter struct {
	m    *maker
	open []byte
	made []*snapshotv1.Piece
}

func (w *pieceWriter) Write(p []byte) (int, error) {
	w.open = append(w.open, p...)
	for len(w.open) >= pieceBytes {
		if err := w.put(w.open[:pieceBytes]); err != nil {
			return 0, err
		}
		w.open = append(w.open[:0], w.open[pieceBytes:]...)
	}
	return len(p), nil
}

func (w *pieceWriter) flush() error {
	if len(w.open) == 0 {
		return nil
	}
	return w.put(w.open)
}

func (w *pieceWriter) put(content []byte) error {
	name := w.m.naming.name(kindPiece, content)
	encoded, err := encode(nil, content)
	if err != nil {
		return err
	}
	at, err := w.m.packer.put(record{kind: kindPiece, name: name}, encoded)
	if err != nil {
		return err
	}
	w.made = append(w.made, &snapshotv1.Piece{Name: name[:], Location: toLocation(at), Bytes: uint32(len(content))})
	return nil
}

// cacheOf is the file in which a part is remembered.
func (m *maker) cacheOf(t *snapshotv1.Relation, from []string) string {
	return cacheFile(m.Cache, m.naming, t, from)
}

// sweepCache removes files of parts that are no more, and of attempts that died.
func (m *maker) sweepCache(used map[string]bool) {
	for _, own := range []string{"*" + partSuffix, newPrefix + "*"} {
		files, _ := filepath.Glob(filepath.Join(m.Cache, own)) // The patterns are right.
		for _, file := range files {
			if !used[file] {
				_ = os.Remove(file) // It is only in the way.
			}
		}
	}
}
