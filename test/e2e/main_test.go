// Package e2e tries the suite through its gateway only, as programs and people
// outside do.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kontor.internal/test/harness"
)

// shared is one suite for all tests that neither stop it nor move its clock.
// Each makes people of its own.
var shared struct {
	sync.Mutex
	suite *harness.Suite
	dir   string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.suite != nil {
		if err := shared.suite.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared suite:", err)
			code = 1
		}
	}
	_ = os.RemoveAll(shared.dir)
	_ = harness.RemoveBuild()
	os.Exit(code)
}

// suite is the shared one, started by whoever needs it first.
func suite(t *testing.T) *harness.Suite {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.suite == nil {
		shared.suite = startShared(t)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("kontor-local's log:\n" + shared.suite.LogTail())
		}
	})
	return shared.suite
}

func startShared(t *testing.T) *harness.Suite {
	t.Helper()
	program, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	if shared.dir, err = os.MkdirTemp("", "kontor-e2e-"); err != nil {
		t.Fatal(err)
	}
	// The suite outlives the test that starts it.
	s, err := harness.Launch(context.WithoutCancel(t.Context()), harness.Options{Program: program, Data: filepath.Join(shared.dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits until the answer is yes.
func eventually(t *testing.T, within time.Duration, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if harness.Poll(ctx, func() (bool, error) { return so(), nil }) != nil {
		t.Fatalf("within %s it did not happen that %s", within, what)
	}
}
