package bench

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// peak is the most memory, in bytes, that this process had resident while it did something.
func peak(do func() error) (bytes int64, err error) {
	debug.FreeOSMemory()
	const resetPeak = "5"
	if err := os.WriteFile("/proc/self/clear_refs", []byte(resetPeak), 0); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no peak in /proc/self/status: %q", status)
}
