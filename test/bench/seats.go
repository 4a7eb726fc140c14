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
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/service"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/test/harness"
)

// manyClaimers claim and release at once.
const manyClaimers = 64

// Seats measures claiming and releasing seats at licensing itself, two calls each, beside what redis-benchmark gets from
// the function that claims, on the same server. It repeats one claim that the service made, which from the second time on
// freshens the lease of the seat that is held.
func (c *Customer) Seats(ctx context.Context, suite *harness.Suite, out io.Writer) (err error) {
	folder := filepath.Join(suite.State().Data, "tls", "gateway")
	conn, err := service.Dial(service.DialOptions{
		Name: "licensing", Addrs: suite.State().Services["licensing"],
		TLS: mtls.Files{CA: suite.State().CA, Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	seats := licensingv1.NewSeatServiceClient(conn)
	cycle := func(ctx context.Context, worker, _ int) error {
		ctx = caller.With(ctx, caller.Caller{Token: c.owner.Token, Address: "127.0.0.1"})
		seat, err := seats.ClaimSeat(ctx, c.claim(fmt.Sprintf("claims-%d", worker)))
		if err != nil {
			return err
		}
		_, err = seats.ReleaseSeat(ctx, &licensingv1.ReleaseSeatRequest{Name: seat.GetSeat().GetName(), Token: seat.GetToken()})
		return err
	}
	command, err := c.claimCommand(ctx, suite, func() error { return cycle(ctx, 0, 0) })
	if err != nil {
		return err
	}
	for _, workers := range []int{1, manyClaimers} {
		l, err := drive(ctx, workers, 0, lasting, cycle)
		if err != nil {
			return err
		}
		plain, err := benchmarkRedis(ctx, suite, workers, command)
		if err != nil {
			return err
		}
		Figure{Name: fmt.Sprintf("redis_claim_%d", workers), Value: plain, Unit: "req/s"}.Print(out)
		Figure{Name: fmt.Sprintf("seat_claim_release_%d", workers), Value: l.perSecond, Unit: "req/s", P50: l.p50, P99: l.p99}.Print(out)
	}
	return nil
}

// claimCommand is the call of the claiming function as the service makes it, overheard at the server.
func (c *Customer) claimCommand(ctx context.Context, suite *harness.Suite, claim func() error) ([]string, error) {
	ctx, end := context.WithTimeout(ctx, 10*time.Second)
	defer end()
	listen, err := redisProgram(ctx, suite, "redis-cli", "monitor")
	if err != nil {
		return nil, err
	}
	heard, err := listen.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := listen.Start(); err != nil {
		return nil, err
	}
	defer func() {
		end()
		_ = listen.Wait() // It was killed.
	}()
	lines := bufio.NewScanner(heard)
	lines.Scan() // It says OK when it listens.
	if err := claim(); err != nil {
		return nil, err
	}
	for lines.Scan() {
		if strings.Contains(lines.Text(), `_claim"`) {
			return arguments(lines.Text())
		}
	}
	return nil, errors.New("no claim was overheard at Redis")
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
		"-c", strconv.Itoa(clients), "-n", "60000", "--csv",
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
