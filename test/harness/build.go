package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
)

var (
	build = sync.OnceValues(buildProgram)
	built atomic.Pointer[string] // the folder to delete at the end
)

// Build gives kontor-local, built from the source around the working folder
// once a process.
func Build() (string, error) { return build() }

// RemoveBuild deletes what Build made, if it made anything.
func RemoveBuild() error {
	if dir := built.Load(); dir != nil {
		return os.RemoveAll(*dir)
	}
	return nil
}

func buildProgram() (string, error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "kontor-program-")
	if err != nil {
		return "", err
	}
	built.Store(&dir)
	program := filepath.Join(dir, "kontor-local")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/kontor-local")
	cmd.Dir = filepath.Join(root, "deploy", "local")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kontor-local: %w\n%s", err, output)
	}
	return program, nil
}

// sourceRoot is the folder above the working one that holds go.work.
func sourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.work in any folder above: not in the source")
		}
		dir = filepath.Dir(dir)
	}
}
