package harness

import (
	"context"
	"path/filepath"
	"testing"
)

// Start builds kontor-local, starts a suite and stops it with the test; without
// Data, in a folder of the test's own. A failed test shows the suite's log.
func Start(t testing.TB, o Options) *Suite {
	t.Helper()
	var err error
	if o.Program == "" {
		if o.Program, err = Build(); err != nil {
			t.Fatal(err)
		}
	}
	if o.Data == "" {
		o.Data = filepath.Join(t.TempDir(), "data")
	}
	s, err := Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("kontor-local's log:\n" + s.LogTail())
		}
	})
	return s
}

// Needs skips a test whose subject this build of the suite does not have.
func (s *Suite) Needs(t testing.TB, services ...string) {
	t.Helper()
	for _, service := range services {
		if !s.Has(service) {
			t.Skipf("this build of the suite runs no %s", service)
		}
	}
}

// NewPerson is somebody who signed up.
func (s *Suite) NewPerson(t testing.TB, fullName string) *Person {
	t.Helper()
	s.Needs(t, "notification")
	p, err := s.SignUp(t.Context(), fullName)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// WaitMail waits for a mail by its recipient and a part of its subject.
func (s *Suite) WaitMail(t testing.TB, to, subject string) Mail {
	t.Helper()
	mail, err := s.inbox.Wait(context.WithoutCancel(t.Context()), Query{To: to, Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

// WantReason fails the test unless the error is a refusal with the reason.
func WantReason(t testing.TB, err error, reason string) {
	t.Helper()
	if got := Reason(err); got != reason {
		t.Errorf("got %v (reason %q), want %s", err, got, reason)
	}
}
