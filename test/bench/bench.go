// Package bench measures the suite and prints one line a figure. Nothing
// passes or fails by it: the reader decides.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Figure is one measured figure.
type Figure struct {
	// Name in snake case.
	Name string
	// Value in Unit.
	Value float64
	Unit  string
	// P50 and P99 of single requests; 0 when there is no such thing.
	P50, P99 time.Duration
	// Ratio of Value to Of's, measured in the same run; 0 for none.
	Ratio float64
	Of    string
	// Goal in words, `>=0.25 of direct`; `none` without one.
	Goal string
}

// Print writes the figure's line.
func (f Figure) Print(out io.Writer) {
	line := fmt.Sprintf("bench name=%s value=%.4g unit=%s", f.Name, f.Value, f.Unit)
	if f.P50 > 0 {
		line += fmt.Sprintf(" p50_ms=%.2f p99_ms=%.2f", millis(f.P50), millis(f.P99))
	}
	if f.Of != "" {
		line += fmt.Sprintf(" ratio=%.3f of=%s", f.Ratio, f.Of)
	}
	_, _ = fmt.Fprintln(out, line+" goal="+cmp.Or(f.Goal, "none")) // Standard output that is closed has no reader to tell.
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// load is a rate with its latencies.
type load struct {
	perSecond float64
	p50, p99  time.Duration
}

// drive calls request from so many workers for a time, after a warm-up of a
// fifth of it that is not counted, and tries times a worker at the most (0 for
// as often as the time allows).
func drive(ctx context.Context, workers, tries int, lasting time.Duration, request func(ctx context.Context, worker, n int) error) (load, error) {
	counted := time.Now().Add(lasting / 5)
	end := counted.Add(lasting)
	took := make([][]time.Duration, workers)
	failed := make([]error, workers)
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for n := 0; failed[worker] == nil && time.Now().Before(end) && (tries == 0 || n < tries); n++ {
				began := time.Now()
				failed[worker] = request(ctx, worker, n)
				if began.After(counted) {
					took[worker] = append(took[worker], time.Since(began))
				}
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return load{}, err
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return load{}, errors.New("no request was answered in time")
	}
	slices.Sort(all)
	return load{
		perSecond: float64(len(all)) / lasting.Seconds(),
		p50:       all[len(all)/2], p99: all[len(all)*99/100],
	}, nil
}
