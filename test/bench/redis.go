package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kontor.internal/libs/id"
	"kontor.internal/test/harness"
)

const (
	// manyPools with manySeats each are live at once.
	manyPools, manySeats = 1000, 100
)

// commands are calls of Redis's functions as the service makes them.
type commands struct{ open, claim []string }

// overhear listens at the server to the first claim of a pool.
func overhear(ctx context.Context, suite *harness.Suite, claim func() error) (c commands, err error) {
	ctx, end := context.WithTimeout(ctx, 10*time.Second)
	defer end()
	listen, err := redisProgram(ctx, suite, "redis-cli", "monitor")
	if err != nil {
		return c, err
	}
	heard, err := listen.StdoutPipe()
	if err != nil {
		return c, err
	}
	if err := listen.Start(); err != nil {
		return c, err
	}
	defer func() {
		end()
		_ = listen.Wait() // It was killed.
	}()
	lines := bufio.NewScanner(heard)
	lines.Scan() // It says OK when it listens.
	if err := claim(); err != nil {
		return c, err
	}
	// The claim that finds its pool closed is made again when the pool is open.
	for lines.Scan() && (c.open == nil || c.claim == nil) {
		called, err := arguments(lines.Text())
		if err != nil {
			return c, err
		}
		switch function(called) {
		case "open":
			c.open = called
		case "claim":
			if c.open != nil {
				c.claim = called
			}
		}
	}
	if c.open == nil || c.claim == nil {
		return c, errors.New("no first claim was overheard at Redis")
	}
	return c, nil
}

// live fills Redis with the seats of many pools, and measures what they take. Each pool is another's copy under other
// ids: a thousand licences would take an hour to be agreed on.
func (b *seatBench) live(ctx context.Context) error {
	fill, err := redisProgram(ctx, b.suite, "redis-cli", "--pipe")
	if err != nil {
		return err
	}
	// redis-cli ends with its input.
	input, err := fill.StdinPipe()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	fill.Stdout, fill.Stderr = &said, &said
	if err := fill.Start(); err != nil {
		return err
	}
	written := b.write(input)
	if err := errors.Join(written, input.Close(), fill.Wait()); err != nil {
		return fmt.Errorf("redis-cli: %w: %s", err, said.Bytes())
	}
	if !strings.Contains(said.String(), "errors: 0,") {
		return fmt.Errorf("redis-cli: %s", said.Bytes())
	}
	used, err := b.settled(ctx)
	if err != nil {
		return err
	}
	Figure{Name: "seat_memory_100k", Value: used / 1e6, Unit: "MB", Goal: "<=60"}.Print(b.out)
	return nil
}

func (b *seatBench) write(to io.Writer) error {
	out := bufio.NewWriter(to)
	for range manyPools {
		of := strings.NewReplacer(tail(b.subscriber), id.NewString(), tail(b.licence), id.NewString(), tail(b.company), id.NewString())
		send(out, b.commands.open, of)
		for n := range manySeats {
			mine := strings.NewReplacer(tail(b.owner.Account.GetName()), id.NewString(), "claims-0", fmt.Sprintf("claims-%d", n))
			claim := make([]string, len(b.commands.claim))
			for i, text := range b.commands.claim {
				claim[i] = mine.Replace(text)
			}
			claim[b.commands.seat()] = id.NewString()
			send(out, claim, of)
		}
	}
	return out.Flush()
}

// seat is where the id of the seat stands in a claim: its first argument.
func (c commands) seat() int { return first(c.claim) + 2 }

// function is what a command calls first of a pool's functions: after the keys come its name, how many arguments it has,
// and these.
func function(command []string) string {
	if len(command) < 3 || !strings.HasSuffix(command[1], "_change") || len(command) <= first(command) {
		return ""
	}
	return command[first(command)]
}

// first is where a call's arguments begin, after its keys.
func first(command []string) int {
	keys, _ := strconv.Atoi(command[2])
	return 3 + keys
}

// send writes a command in Redis's protocol. What went wrong is told by the writer's Flush.
func send(out *bufio.Writer, command []string, with *strings.Replacer) {
	_, _ = fmt.Fprintf(out, "*%d\r\n", len(command))
	for _, text := range command {
		text = with.Replace(text)
		_, _ = fmt.Fprintf(out, "$%d\r\n%s\r\n", len(text), text)
	}
}

func tail(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// settled is what all data in Redis takes once the evidence of the claims is in PostgreSQL and Redis has dropped it: when
// it shrinks no more.
func (b *seatBench) settled(ctx context.Context) (float64, error) {
	const within, still = time.Minute, 0.001
	over := time.NewTimer(within)
	defer over.Stop()
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	used, err := b.memory(ctx)
	for err == nil {
		select {
		case <-over.C:
			return used, nil // What is not taken over by then counts.
		case <-tick.C:
		}
		before := used
		if used, err = b.memory(ctx); err == nil && used > before*(1-still) {
			return used, nil
		}
	}
	return 0, err
}

// memory is what all data in Redis takes, in bytes.
func (b *seatBench) memory(ctx context.Context) (float64, error) {
	ask, err := redisProgram(ctx, b.suite, "redis-cli", "info", "memory")
	if err != nil {
		return 0, err
	}
	output, err := ask.Output()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(output)) {
		if value, ok := strings.CutPrefix(line, "used_memory:"); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("redis-cli says %q", output)
}

// redisProgram is one of Redis's own programs, directed at the suite's server.
func redisProgram(ctx context.Context, suite *harness.Suite, program string, args ...string) (*exec.Cmd, error) {
	address, err := url.Parse(suite.State().RedisURL)
	if err != nil {
		return nil, err
	}
	// redis-benchmark takes the password as an argument only. The server is there for this measurement alone.
	password, _ := address.User.Password()
	where := []string{"-h", address.Hostname(), "-p", address.Port(), "-a", password}
	return exec.CommandContext(ctx, program, append(where, args...)...), nil
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// arguments reads a line that the server's MONITOR wrote.
func arguments(line string) ([]string, error) {
	var list []string
	for _, text := range quoted.FindAllString(line, -1) {
		one, err := strconv.Unquote(text)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", text, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// benchmarkRedis has redis-benchmark repeat a command, and answers its rate.
func benchmarkRedis(ctx context.Context, suite *harness.Suite, clients int, command []string) (float64, error) {
	run, err := redisProgram(ctx, suite, "redis-benchmark", append([]string{
		"-c", strconv.Itoa(clients), "-n", "40000", "--csv",
	}, command...)...)
	if err != nil {
		return 0, err
	}
	output, err := run.Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	// The last row is the figures, after one of their names: test, rps, six latencies.
	rows := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	values := quoted.FindAllString(string(rows[len(rows)-1]), -1)
	if len(values) < 8 {
		return 0, fmt.Errorf("redis-benchmark says %q", output)
	}
	return strconv.ParseFloat(strings.Trim(values[len(values)-7], `"`), 64)
}
