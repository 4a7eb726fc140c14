package demo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"kontor.internal/client/bookkeeper"
	"kontor.internal/test/demo"
	"kontor.internal/test/harness"
)

func TestMain(m *testing.M) {
	// The demo starts its own executable as an accounting program that it can kill.
	if len(os.Args) > 1 && os.Args[1] == demo.ProgramArgument {
		if err := bookkeeper.Run(context.Background(), os.Args[2:], os.Getenv, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	_ = harness.RemoveBuild()
	os.Exit(code)
}

// logged shows a play in the test's log.
type logged struct{ *testing.T }

func (l logged) Write(text []byte) (int, error) {
	l.Logf("%s", text)
	return len(text), nil
}

func TestTheMainJobIsPlayedWithThePowerCutAfterRandomSteps(t *testing.T) {
	program, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	const cuts = 2 // Each costs a minute in which seats are counted anew.
	after := map[int]bool{}
	for len(after) < cuts {
		after[1+rand.IntN(len(demo.Steps())-1)] = true // After the last one nothing would be looked at any more.
	}
	t.Logf("the power is cut after steps %v", after)
	err = demo.Run{
		Options:   harness.Options{Program: program, Data: filepath.Join(t.TempDir(), "data"), TestClock: true},
		Documents: t.TempDir(), Out: logged{t}, SampleMiB: 2, KillAfter: func(step int) bool { return after[step] },
	}.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}
