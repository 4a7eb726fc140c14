package database

import (
	"fmt"

	"kontor.internal/kits/kit"
)

// KitOf is the kit of the release that an area is at.
func KitOf(set *kit.Set, area Area) (*kit.Kit, error) {
	version, err := kit.ParseVersion(area.Version)
	if err != nil {
		return nil, fmt.Errorf("area %s: %w", area.Area, err)
	}
	if k := set.Get(area.Product, version); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("area %s: there is no kit %s %s", area.Area, area.Product, area.Version)
}

// AreaOf is what a kit of an edition makes.
func AreaOf(k *kit.Kit, edition string) Area {
	return Area{Area: k.Area, Product: k.Product, Edition: edition, Version: k.Version.String()}
}
