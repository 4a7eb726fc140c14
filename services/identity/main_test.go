package identity_test

import (
	"testing"

	"go.uber.org/goleak"

	"kontor.internal/libs/servers/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }
