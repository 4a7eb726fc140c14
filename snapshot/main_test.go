package snapshot

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"kontor.internal/libs/servers/servertest"
)

// TestMain runs the tests; or, in a process that a test started to be killed, what that one asked for.
func TestMain(m *testing.M) {
	if order := os.Getenv(dyingEnvironment); order != "" {
		os.Exit(dieOf(order))
	}
	goleak.VerifyTestMain(m, servertest.IgnoreShared())
}
