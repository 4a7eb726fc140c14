// Package house starts the whole suite on one machine: private servers, all
// services, the gateway, a catcher for mail and SMS, a control page.
package house

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// marker says that a folder is kontor-local's, so that nothing else is ever
// deleted or written over.
const marker = "kontor-local.folder"

// Folder is where an instance keeps its data.
type Folder struct {
	Path    string
	lock    *os.File
	secrets map[string]string
}

// DefaultFolder is where an instance's data lies unless told otherwise: in the
// user's data folder, outside any clone.
func DefaultFolder(name string) (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no home folder: say where with --data: %w", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "kontor", name), nil
}

// OpenFolder takes a folder for one instance, making it when it is not there.
// With reset, what was in it is deleted first.
func OpenFolder(path string, reset bool) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkOurs(path); err != nil {
		return nil, err
	}
	// PostgreSQL may run as another user and must get through to its part.
	if err := os.MkdirAll(path, 0o711); err != nil { //nolint:gosec // see above; what is inside is closed.
		return nil, err
	}
	f := &Folder{Path: path, secrets: map[string]string{}}
	if f.lock, err = os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another kontor-local uses %s: give this one its own with --data or --name", path), f.lock.Close())
	}
	if reset {
		err = f.clear()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(path, marker), []byte("Data of kontor-local. Delete it with kontor-local --reset.\n"), 0o600)
	}
	if err == nil {
		err = f.readSecrets()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkOurs refuses a folder with something in it that is not ours.
func checkOurs(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(path, marker)); err != nil {
		return fmt.Errorf("%s is not empty and not kontor-local's: it is left alone", path)
	}
	return nil
}

func (f *Folder) clear() error {
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == "lock" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(f.Path, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Close gives the folder free.
func (f *Folder) Close() error { return f.lock.Close() }

// Join gives a path inside.
func (f *Folder) Join(parts ...string) string {
	return filepath.Join(append([]string{f.Path}, parts...)...)
}

func (f *Folder) secretsFile() string { return f.Join("secrets.json") }

func (f *Folder) readSecrets() error {
	raw, err := os.ReadFile(f.secretsFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, &f.secrets)
}

// Secret gives a secret by name, 32 random bytes in base64 without padding,
// made when first asked for. Call it before the services start, from one goroutine.
func (f *Folder) Secret(name string) (string, error) {
	if s, ok := f.secrets[name]; ok {
		return s, nil
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // Never fails.
	f.secrets[name] = base64.RawURLEncoding.EncodeToString(raw[:])
	return f.secrets[name], f.WriteJSON(f.secretsFile(), f.secrets)
}

// WriteJSON replaces a file that only its owner may read.
func (f *Folder) WriteJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// quoteName quotes a name for SQL.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText quotes a text for SQL.
func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
