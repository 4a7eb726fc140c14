package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/test/harness"
)

func TestTwoInstancesRunSideBySide(t *testing.T) {
	t.Parallel()
	one, other := suite(t), harness.Start(t, harness.Options{})
	a, b := one.State(), other.State()
	if a.HTTP == b.HTTP || a.Postgres == b.Postgres || a.Redis == b.Redis || a.NATS == b.NATS || a.Data == b.Data {
		t.Fatalf("they share something: %+v and %+v", a, b)
	}
	p := other.NewPerson(t, "Kaimiņš")
	stranger := &harness.Person{Client: one.Visitor(), Email: p.Email}
	harness.WantReason(t, stranger.SignIn(t.Context(), harness.Password), "SIGN_IN_REFUSED")

	program, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), program, "--data", b.Data).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "another kontor-local uses") {
		t.Errorf("a third one on the same data: %v, %s", err, output)
	}
}

func TestCtrlCLeavesNothingRunningAndTheDataStay(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	p := s.NewPerson(t, "Paliekošā")
	if err := s.Stop(t.Context()); err != nil { // It fails when a process is left.
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.State().Data, "kontor-local.json")); err == nil {
		t.Error("the state file still says where everything was")
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Refresh(t.Context()); err != nil {
		t.Errorf("the session from before: %v", err)
	}
	if err := p.SignIn(t.Context(), harness.Password); err != nil {
		t.Error(err)
	}
}

// What was answered before the power cut stands after it, and every event of
// it is delivered: each person who was told "registered" gets the letter.
func TestAPowerCutLosesNothingThatWasAnswered(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.Needs(t, "notification")
	kept := s.NewPerson(t, "Agrākā")
	const cuts, peopleEach = 3, 8
	var told []*harness.Person
	for cut := range cuts {
		told = append(told, registerUntilCut(t, s, peopleEach, cut)...)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range told {
		// A letter that was being sent at the cut is sent again when its job counts
		// as lost, more than a minute later.
		var letters []harness.Mail
		eventually(t, 3*time.Minute, "the letter to "+p.Email+" comes", func() bool {
			var err error
			letters, err = s.Inbox().List(t.Context(), harness.Query{To: p.Email, Subject: "Confirm"})
			return err == nil && len(letters) > 0
		})
		token, err := letters[0].Token()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Activate(t.Context(), token, harness.Password); err != nil {
			t.Errorf("%s, who was told to be registered before the cut: %v", p.Email, err)
		}
	}
	if err := kept.SignIn(t.Context(), harness.Password); err != nil {
		t.Errorf("an account from before the cuts: %v", err)
	}
}

// registerUntilCut registers people side by side and kills the suite when a
// number of them, another at each cut, were answered. It gives those.
func registerUntilCut(t *testing.T, s *harness.Suite, people, cut int) []*harness.Person {
	t.Helper()
	answered := make(chan *harness.Person, people)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var work errgroup.Group
	for n := range people {
		work.Go(func() error {
			p := &harness.Person{Client: s.Visitor(), Email: harness.NewEmail(fmt.Sprintf("cut%d-%d", cut, n)), FullName: "Anna"}
			if p.Register(ctx) == nil { // Others were not answered, and may try again.
				answered <- p
			}
			return nil
		})
	}
	go func() {
		_ = work.Wait() // No work fails.
		close(answered)
	}()
	told := make([]*harness.Person, 0, people)
	for range 1 + cut*2 {
		p, ok := <-answered
		if !ok {
			t.Fatalf("only %d people were answered before any cut", len(told))
		}
		told = append(told, p)
	}
	if err := s.KillAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	for p := range answered {
		told = append(told, p)
	}
	return told
}

func TestResetLeavesAStrangeFolderAlone(t *testing.T) {
	t.Parallel()
	program, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	mine := filepath.Join(folder, "thesis.txt")
	if err := os.WriteFile(mine, []byte("ten years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), program, "--data", folder, "--reset").CombinedOutput()
	if err == nil || !strings.Contains(string(output), "left alone") {
		t.Errorf("got %v, %s", err, output)
	}
	if content, err := os.ReadFile(mine); err != nil || string(content) != "ten years of work" {
		t.Errorf("the file in it: %q, %v", content, err)
	}
}

func TestResetBeginsAnew(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	p := s.NewPerson(t, "Aizmirstā")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	program, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	again := harness.Start(t, harness.Options{Program: program, Data: s.State().Data, Reset: true})
	gone := &harness.Person{Client: again.Visitor(), Email: p.Email}
	harness.WantReason(t, gone.SignIn(t.Context(), harness.Password), "SIGN_IN_REFUSED")
}

func TestWithTwoCopiesTheDeathAndTheStallOfOneAreNotNoticed(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Processes: true, Copies: 2})
	if got := len(s.State().Services["identity"]); got != 2 {
		t.Fatalf("identity runs in %d copies", got)
	}
	p := s.NewPerson(t, "Divkāršā")
	work := func(what string) {
		t.Helper()
		for range 20 { // Both copies get some.
			var me identityv1.GetAccountResponse
			if err := p.Get(t.Context(), "/v1/accounts/me", &me); err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
		}
		if err := p.SignIn(t.Context(), harness.Password); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	act := func(copyName string, do harness.Action) {
		t.Helper()
		if err := s.Copy(t.Context(), copyName, do); err != nil {
			t.Fatal(err)
		}
	}
	work("with both")
	act("identity-1", harness.Kill)
	work("with identity-1 killed")
	act("identity-1", harness.Begin)
	eventually(t, 30*time.Second, "identity-1 runs again", func() bool { return s.State().PIDs["identity-1"] != 0 })
	act("identity-2", harness.Kill)
	eventually(t, 30*time.Second, "the copy that was started again serves", func() bool {
		return p.Get(t.Context(), "/v1/accounts/me", nil) == nil
	})
	work("with identity-2 killed and identity-1 started again")
	act("identity-2", harness.Begin)
	s.NewPerson(t, "Pēc tam") // Letters and subscribers, too, are made by whoever lives.
}

func TestTheClockMovesOnlyWhenAskedForAtTheStart(t *testing.T) {
	t.Parallel()
	if _, err := suite(t).MoveClock(t.Context(), 24*time.Hour); err == nil {
		t.Error("the clock of a suite without --test-clock moved")
	}
	s := harness.Start(t, harness.Options{TestClock: true})
	now, err := s.MoveClock(t.Context(), 744*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(now); ahead < 743*time.Hour || ahead > 745*time.Hour {
		t.Errorf("the suite's time is %s", now)
	}
	// Sessions live by real time: an account of today signs in and stays so.
	p := s.NewPerson(t, "Nākotne")
	if err := p.Get(t.Context(), "/v1/accounts/me", nil); err != nil {
		t.Error(err)
	}
}

func TestStoresThatFailComeBackWithoutARestartOfTheSuite(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	p := s.NewPerson(t, "Izturīgā")
	for _, store := range []string{"postgres", "redis", "nats"} {
		if err := s.Store(t.Context(), store, harness.Restart); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "requests are served after a restart of "+store, func() bool {
			return p.Get(t.Context(), "/v1/accounts/me", nil) == nil
		})
		s.NewPerson(t, "Pēc "+store) // Rows, limits and events work again.
	}
}

func TestASlowAndBrokenWayToTheGatewayHarmsNobody(t *testing.T) {
	t.Parallel()
	s := suite(t)
	p := s.NewPerson(t, "Lēnā")
	proxy, err := s.Proxy(strings.TrimPrefix(s.State().HTTP, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	through := p.By("https://" + proxy.Address())
	if err := proxy.Spoil("latency", "downstream", map[string]int{"latency": 200}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := through.Get(t.Context(), "/v1/accounts/me", nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("the slow way took %s: the request went past it", took)
	}
	proxy.Cut()
	if err := through.Get(t.Context(), "/v1/accounts/me", nil); err == nil {
		t.Error("a request went through a way that is cut")
	}
	if err := p.Get(t.Context(), "/v1/accounts/me", nil); err != nil {
		t.Errorf("the straight way: %v", err)
	}
	if err := proxy.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := through.Get(t.Context(), "/v1/accounts/me", nil); err != nil {
		t.Errorf("the mended way: %v", err)
	}
}
