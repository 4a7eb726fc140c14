package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// quietShare of the processors' time may be in use on a machine that is quiet.
	quietShare = 0.15
	// quietWithin bounds the wait for it: others may use the machine too.
	quietWithin = 20 * time.Second
)

// quiet waits until the machine has little to do: what a measurement leaves to be done, such as writing evidence to
// PostgreSQL, would slow the next one.
func quiet(ctx context.Context) error {
	ctx, end := context.WithTimeout(ctx, quietWithin)
	defer end()
	busy, all, err := processors()
	if err != nil {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // What is measured next is measured on a busy machine.
		case <-tick.C:
		}
		busyNow, allNow, err := processors()
		if err != nil {
			return err
		}
		if float64(busyNow-busy) < quietShare*float64(allNow-all) {
			return nil
		}
		busy, all = busyNow, allNow
	}
}

// processors are the ticks that all processors have been busy, and all ticks.
func processors() (busy, all int64, err error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	// cpu user nice system idle iowait …
	line, _, _ := strings.Cut(string(raw), "\n")
	for i, field := range strings.Fields(line)[1:] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		const idle, wait = 3, 4
		all += ticks
		if i != idle && i != wait {
			busy += ticks
		}
	}
	return busy, all, nil
}
