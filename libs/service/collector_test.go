package service //nolint:testpackage // the rule is not to be seen from outside.

import "testing"

func TestASmallHeapGetsRoomAndALargeOneIsLeftToGo(t *testing.T) {
	for live, want := range map[uint64]uint64{
		0: 1600, 1 << 20: 1600, 8 << 20: 800, 20 << 20: 300, 33 << 20: 100, 64 << 20: 100, 10 << 30: 100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes: %d %%, want %d", live, got, want)
		}
	}
}
