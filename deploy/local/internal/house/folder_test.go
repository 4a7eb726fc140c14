package house

import (
	"os"
	"path/filepath"
	"testing"
)

func openFolder(t *testing.T, path string, reset bool) *Folder {
	t.Helper()
	f, err := OpenFolder(path, reset)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestAFolderBelongsToOneInstanceAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first := openFolder(t, path, false)
	if _, err := OpenFolder(path, false); err == nil {
		t.Fatal("two share a folder")
	}
	if _, err := OpenFolder(path, true); err == nil {
		t.Fatal("one was reset under the other")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openFolder(t, path, false)
}

func TestSecretsStayUntilTheFolderIsReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	secret := func(reset bool) string {
		f := openFolder(t, path, reset)
		defer func() { _ = f.Close() }()
		s, err := f.Secret("tried")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := secret(false)
	if len(first) < 43 || secret(false) != first {
		t.Error("the secret changed")
	}
	about, err := os.Stat(filepath.Join(path, "secrets.json"))
	if err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others may read it", about.Mode(), err)
	}
	if secret(true) == first {
		t.Error("the secret outlived the reset")
	}
}

func TestAFolderOfSomebodyElseIsLeftAlone(t *testing.T) {
	path := t.TempDir()
	precious := filepath.Join(path, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, reset := range []bool{false, true} {
		if _, err := OpenFolder(path, reset); err == nil {
			t.Errorf("reset %v: it was taken", reset)
		}
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
