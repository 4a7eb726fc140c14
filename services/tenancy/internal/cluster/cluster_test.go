package cluster

import (
	"testing"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func TestWhereANewDatabaseIsPlaced(t *testing.T) {
	north := func(n byte, capacity, databases int32, open bool) Cluster {
		return Cluster{ID: uuid.UUID{15: n}, Region: "north", Capacity: capacity, Databases: databases, Open: open}
	}
	west := Cluster{ID: uuid.UUID{15: 9}, Region: "west", Capacity: 100, Open: true}
	cases := map[string]struct {
		clusters []Cluster
		want     byte // 0 means full
	}{
		"on the only one with room":              {[]Cluster{north(1, 5, 5, true), north(2, 5, 4, true)}, 2},
		"on the one that is least full by share": {[]Cluster{north(1, 100, 50, true), north(2, 10, 4, true)}, 2},
		"on the first of two alike":              {[]Cluster{north(1, 10, 5, true), north(2, 10, 5, true)}, 1},
		"not on a closed one":                    {[]Cluster{north(1, 10, 0, false), north(2, 10, 9, true)}, 2},
		"never in another region":                {[]Cluster{west, north(1, 1, 1, true)}, 0},
		"nowhere without clusters":               {nil, 0},
		"not on one that was made too small":     {[]Cluster{north(1, 3, 5, true)}, 0},
	}
	for name, c := range cases {
		got, err := Place("north", c.clusters)
		if got.ID[15] != c.want || (c.want == 0) != (failure.Reason(err) == commonv1.Reason_REASON_REGION_FULL) {
			t.Errorf("%s: %v, %v", name, got.ID, err)
		}
	}
}
