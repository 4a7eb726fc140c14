package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// drawer is a source of files. Places are how many came before.
type drawer struct {
	files  []File
	bytes  map[string][]byte
	opened []string
	fail   func(f File, from io.Reader) (io.Reader, error)
	known  int // places before are lost
}

func newDrawer() *drawer {
	return &drawer{bytes: map[string][]byte{}, fail: func(_ File, from io.Reader) (io.Reader, error) { return from, nil }}
}

func (d *drawer) put(t *testing.T, name string, size int) {
	t.Helper()
	content := make([]byte, size)
	random := chance(t)
	for i := range content {
		content[i] = byte(random.IntN(256)) // All that COPY escapes is in it.
		if random.IntN(3) == 0 {
			content[i] = "\\\t\n\r\v\f\b\x00N"[random.IntN(9)]
		}
	}
	sum := sha256.Sum256(content)
	d.bytes[name] = content
	d.files = append(d.files, File{
		Name: name, Size: int64(size), SHA256: sum[:], ContentType: "application/xml", Time: time.Unix(1800000000, 123000).UTC(), About: `{"a": "\t\\N"}`,
	})
}

func (d *drawer) List(_ context.Context, after string, each func(File, string) error) error {
	begin := 0
	if after != "" {
		var err error
		if begin, err = strconv.Atoi(after); err != nil || begin < d.known {
			return ErrPlaceLost
		}
	}
	for i, f := range d.files[begin:] {
		if err := each(f, strconv.Itoa(begin+i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (d *drawer) Open(_ context.Context, f File) (io.ReadCloser, error) {
	d.opened = append(d.opened, f.Name)
	from, err := d.fail(f, bytes.NewReader(d.bytes[f.Name]))
	return io.NopCloser(from), err
}

// has says that a snapshot has the first n files, each as it was.
func (d *drawer) has(t *testing.T, repo Repository, k Known, n int) {
	t.Helper()
	files, err := OpenFiles(t.Context(), repo, k.Ref, &k.Head)
	require.NoError(t, err)
	require.EqualValues(t, n, files.Count)
	var listed []FiledFile
	require.NoError(t, files.List(t.Context(), 0, func(f FiledFile) error {
		listed = append(listed, f)
		return nil
	}))
	for i, f := range listed {
		require.Equal(t, d.files[i], f.File)
		require.EqualValues(t, i+1, f.Number)
		var content []byte
		require.NoError(t, files.Read(t.Context(), f, func(piece []byte) error {
			content = append(content, piece...)
			return nil
		}))
		require.True(t, bytes.Equal(d.bytes[f.Name], content))
	}
	require.Len(t, listed, n)
	if n == 0 {
		return
	}
	found, err := files.Find(t.Context(), d.files[n-1].Name)
	require.NoError(t, err)
	require.EqualValues(t, n, found.Number)
	require.NoError(t, files.List(t.Context(), int64(n-1), func(f FiledFile) error {
		require.Equal(t, found, f)
		return nil
	}))
	_, err = files.Find(t.Context(), "another")
	require.ErrorIs(t, err, ErrNoFile)
}

// Files come into the snapshots that are made after them; what a snapshot before had is referred to, not read again.
func TestFilesAreCopiedOnceAndStayInEverySnapshot(t *testing.T) {
	o := newOffice(t)
	login := o.books(t)
	for _, cache := range []string{t.TempDir(), ""} {
		repo, _ := folder(t)
		d := newDrawer()
		var last *Made
		sequence := uint64(0)
		next := func(want int, added ...string) *Made {
			t.Helper()
			sequence++
			order := o.order(login, cache, sequence, last)
			order.Files, d.opened = d, nil
			last = o.snapshot(t, repo, order)
			require.NoError(t, last.FilesFailed)
			require.EqualValues(t, want, last.Files)
			require.EqualValues(t, len(added), last.FilesAdded)
			require.Equal(t, added, d.opened, "nothing is read twice")
			require.Equal(t, order.Moment.UTC(), last.FilesMoment)
			d.has(t, repo, last.Known, want)
			return last
		}
		next(0)
		d.put(t, "a", 200_000)
		d.put(t, "empty", 0)
		first := next(2, "a", "empty")
		require.Greater(t, first.Added, int64(100_000))
		unchanged := next(2)
		require.Less(t, unchanged.Added, int64(10_000))
		for i := range 30 {
			d.put(t, fmt.Sprintf("more/%d", i), 1+i*3000)
		}
		all := next(32, names32()...)
		d.has(t, repo, first.Known, 2)

		order := o.order(login, cache, sequence+1, all)
		kept := o.snapshot(t, repo, order) // Without a source.
		require.EqualValues(t, 32, kept.Files)
		d.has(t, repo, kept.Known, 32)
	}
}

func names32() (all []string) {
	for i := range 30 {
		all = append(all, fmt.Sprintf("more/%d", i))
	}
	return all
}

// Whatever is wrong with files, the books are saved, with the files of before; and later all comes right.
func TestBooksAreSavedWhateverBecomesOfFiles(t *testing.T) {
	o := newOffice(t)
	login := o.books(t)
	wants := o.digest(t, login)
	for name, fail := range map[string]func(f File, from io.Reader) (io.Reader, error){
		"can't be opened": func(File, io.Reader) (io.Reader, error) { return nil, errors.New("no such object") },
		"fails":           func(_ File, from io.Reader) (io.Reader, error) { return iotest.TimeoutReader(from), nil },
	} {
		t.Run(name, func(t *testing.T) {
			repo, _ := folder(t)
			cache, d := t.TempDir(), newDrawer()
			make1 := func(sequence uint64, before *Made) *Made {
				order := o.order(login, cache, sequence, before)
				order.Files = d
				return o.snapshot(t, repo, order)
			}
			d.put(t, "good", 50_000)
			first := make1(1, nil)
			d.put(t, "also good", 70_000)
			d.put(t, "bad", 90_000)
			d.fail = func(f File, from io.Reader) (io.Reader, error) {
				if f.Name != "bad" {
					return from, nil
				}
				return fail(f, from)
			}
			second := make1(2, first)
			require.Error(t, second.FilesFailed)
			require.EqualValues(t, 1, second.Files)
			require.Zero(t, second.FilesAdded)
			d.has(t, repo, second.Known, 1)
			o.restores(t, repo, second.Known, wants)

			d.fail = newDrawer().fail
			third := make1(3, second)
			require.NoError(t, third.FilesFailed)
			d.has(t, repo, third.Known, 3)
		})
	}
}

// A file whose bytes are gone for good is listed without them; those after it are copied.
func TestALostFileKeepsNoOtherFromBeingCopied(t *testing.T) {
	o := newOffice(t)
	login := o.empty(t)
	for name, fail := range map[string]func(f File, from io.Reader) (io.Reader, error){
		"gone":            func(File, io.Reader) (io.Reader, error) { return nil, ErrFileLost },
		"gone as read":    func(File, io.Reader) (io.Reader, error) { return iotest.ErrReader(ErrFileLost), nil },
		"breaks off":      func(_ File, from io.Reader) (io.Reader, error) { return io.LimitReader(from, 40_000), nil },
		"has other bytes": func(f File, _ io.Reader) (io.Reader, error) { return bytes.NewReader(make([]byte, f.Size)), nil },
		"is longer": func(_ File, from io.Reader) (io.Reader, error) {
			return io.MultiReader(from, bytes.NewReader([]byte{1})), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo, _ := folder(t)
			d := newDrawer()
			d.put(t, "a", 50_000)
			d.put(t, "lost", 90_000)
			d.put(t, "b", 70_000)
			d.fail = func(f File, from io.Reader) (io.Reader, error) {
				if f.Name != "lost" {
					return from, nil
				}
				return fail(f, from)
			}
			order := o.order(login, "", 1, nil)
			order.Files = d
			made := o.snapshot(t, repo, order)
			require.NoError(t, made.FilesFailed)
			require.EqualValues(t, 3, made.Files)
			require.EqualValues(t, 1, made.FilesLost)
			files, err := OpenFiles(t.Context(), repo, made.Ref, &made.Head)
			require.NoError(t, err)
			for name, content := range d.bytes {
				f, err := files.Find(t.Context(), name)
				require.NoError(t, err)
				require.Equal(t, name == "lost", f.Lost)
				var got []byte
				err = files.Read(t.Context(), f, func(piece []byte) error {
					got = append(got, piece...)
					return nil
				})
				if f.Lost {
					require.ErrorIs(t, err, ErrFileLost)
					continue
				}
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got))
			}
		})
	}
}

// A source that was itself restored, or begun anew, knows no place of before: all of its files are copied anew.
func TestFilesAreCopiedAnewWhenTheirPlaceIsLost(t *testing.T) {
	o := newOffice(t)
	login := o.books(t)
	repo, _ := folder(t)
	d := newDrawer()
	d.put(t, "a", 10_000)
	order := o.order(login, "", 1, nil)
	order.Files = d
	first := o.snapshot(t, repo, order)
	d.known = 2
	d.put(t, "b", 10_000)
	order = o.order(login, "", 2, first)
	order.Files = d
	second := o.snapshot(t, repo, order)
	require.NoError(t, second.FilesFailed)
	require.EqualValues(t, 2, second.FilesAdded)
	d.has(t, repo, second.Known, 2)
	d.has(t, repo, first.Known, 1)
}

// Every byte that files need is found missing or altered, by verifying and by reading.
func TestDamagedFilesAreFound(t *testing.T) {
	o := newOffice(t)
	login := o.empty(t)
	repo, _ := folder(t)
	d := newDrawer()
	d.put(t, "a", 300_000)
	order := o.order(login, "", 1, nil)
	order.Files = d
	made := o.snapshot(t, repo, order)
	whole := shelve(t, repo)
	random := chance(t)
	for range soaked(t, 40) {
		damaged := repo
		altered := shelf{}
		for key, content := range whole {
			altered[key] = bytes.Clone(content)
		}
		key := made.Needs[random.IntN(len(made.Needs))]
		at := random.IntN(len(altered[key]))
		altered[key][at] ^= 1 << random.IntN(8)
		damaged.Store = altered
		require.ErrorIs(t, verify(t, damaged, made.Known), ErrDamaged, "%s at %d", key, at)
	}
}
