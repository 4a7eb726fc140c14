package service

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// room is how much may be allocated before the collector runs, in bytes, where the heap is smaller than that. A busy
	// service with a small heap would collect all the time: Go lets a heap just double.
	room = 64 << 20
	// leastHeap is taken for what lives before the first collection.
	leastHeap = 4 << 20
	// usualPercent is Go's own.
	usualPercent = 100
	liveHeap     = "/gc/heap/live:bytes"
	gcPercent    = "/gc/gogc:percent"
)

// mark is collected at every collection. Its pointer keeps it out of the allocator for tiny things.
type mark struct{ _ *mark }

// giveRoom adapts, after each collection, how soon the next one comes, until it is stopped. Who sets GOGC decides instead.
func giveRoom() (stop func()) {
	var stopped atomic.Bool
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	var again func(*mark)
	again = func(m *mark) {
		if !stopped.Load() {
			adapt()
			runtime.SetFinalizer(m, again)
		}
	}
	again(&mark{})
	return func() { stopped.Store(true) }
}

func adapt() {
	read := []metrics.Sample{{Name: liveHeap}, {Name: gcPercent}}
	metrics.Read(read)
	if want := percentFor(read[0].Value.Uint64()); want != read[1].Value.Uint64() {
		debug.SetGCPercent(int(want))
	}
}

// percentFor is GOGC's value that gives a heap of that size its room, in steps of 100: each change stops the program for a
// moment.
func percentFor(live uint64) uint64 {
	return max(usualPercent, room/max(live, leastHeap)*usualPercent)
}
