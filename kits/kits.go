// Package kits embeds the sample product kits that ship with the project: books in two releases, and payroll. Tests, the
// demo and a first installation run on them; a vendor's own kits come from the release storage instead.
package kits

import (
	"embed"
	"fmt"

	"kontor.internal/kits/kit"
)

// Files holds the kits as <product>/<version>/….
//
//go:embed books payroll
var Files embed.FS

// Load reads and checks all of them.
func Load() (*kit.Set, error) {
	set, err := kit.LoadSet(Files)
	if err != nil {
		return nil, fmt.Errorf("read the sample kits: %w", err)
	}
	return set, nil
}
