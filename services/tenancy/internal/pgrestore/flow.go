package pgrestore

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// flow counts what goes into a program and what comes out.
type flow struct {
	limits   Limits
	fed, got atomic.Int64
	stalled  atomic.Bool
}

// in counts an archive's bytes.
func (f *flow) in(archive io.Reader) io.Reader {
	return counted{archive, func(n int) error { f.fed.Add(int64(n)); return nil }}
}

// out counts a script's bytes, and fails with ErrTooLarge where there are too many.
func (f *flow) out(script io.Reader) io.Reader {
	return counted{script, func(n int) error {
		got := f.got.Add(int64(n))
		if got > f.limits.Bytes || got > max(f.limits.Free, f.limits.Ratio*f.fed.Load()) {
			return ErrTooLarge
		}
		return nil
	}}
}

// watch gives up when nothing flows for too long, until what it returns is called.
func (f *flow) watch(giveUp context.CancelFunc) (stop func()) {
	var (
		watching sync.WaitGroup
		done     = make(chan struct{})
	)
	watching.Go(func() {
		tick := time.NewTicker(f.limits.Stall)
		defer tick.Stop()
		for last := int64(-1); ; {
			now := f.fed.Load() + f.got.Load()
			if now == last {
				f.stalled.Store(true)
				giveUp()
				return
			}
			last = now
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
	}
}

// counted tells of every read.
type counted struct {
	io.Reader
	count func(n int) error
}

// Read reads and tells.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if over := c.count(n); over != nil {
		return n, over
	}
	return n, err
}
