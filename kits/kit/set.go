package kit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// Set is the kits of several products and releases. It does not change once it is made.
type Set struct {
	kits map[string][]*Kit // by product, oldest first
}

// NewSet makes a set. Two kits of the same product and version are an error, as are two products in one data area.
func NewSet(kits ...*Kit) (*Set, error) {
	set := &Set{kits: map[string][]*Kit{}}
	areas := map[string]string{}
	for _, k := range kits {
		if set.Get(k.Product, k.Version) != nil {
			return nil, fmt.Errorf("there are two kits of %s", k)
		}
		if other, taken := areas[k.Area]; taken && other != k.Product {
			return nil, fmt.Errorf("products %s and %s both keep area %s", other, k.Product, k.Area)
		}
		areas[k.Area] = k.Product
		set.kits[k.Product] = append(set.kits[k.Product], k)
		slices.SortFunc(set.kits[k.Product], func(a, b *Kit) int { return a.Version.Compare(b.Version) })
	}
	return set, nil
}

// LoadSet reads a tree of kits: <product>/<version>/kit.yaml. Folders without a kit.yaml two levels down are passed over.
func LoadSet(tree fs.FS) (*Set, error) {
	files, err := fs.Glob(tree, "*/*/kit.yaml")
	if err != nil {
		return nil, fmt.Errorf("look for kits: %w", err)
	}
	var kits []*Kit
	for _, file := range files {
		folder := path.Dir(file)
		sub, err := fs.Sub(tree, folder)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", folder, err)
		}
		k, err := Load(sub)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", folder, err)
		}
		if want := path.Join(k.Product, k.Version.String()); want != folder {
			return nil, fmt.Errorf("load %s: kit.yaml says it is %s", folder, want)
		}
		kits = append(kits, k)
	}
	if len(kits) == 0 {
		return nil, errors.New("there are no kits")
	}
	return NewSet(kits...)
}

// Products returns the products' codes, sorted.
func (s *Set) Products() []string { return slices.Sorted(maps.Keys(s.kits)) }

// Kits returns a product's kits, oldest first.
func (s *Set) Kits(product string) []*Kit { return slices.Clone(s.kits[product]) }

// Newest returns a product's newest kit, nil where there is none.
func (s *Set) Newest(product string) *Kit {
	kits := s.kits[product]
	if len(kits) == 0 {
		return nil
	}
	return kits[len(kits)-1]
}

// Get returns the kit of a product's release, nil where there is none.
func (s *Set) Get(product string, version Version) *Kit {
	for _, k := range s.kits[product] {
		if k.Version == version {
			return k
		}
	}
	return nil
}

// NewestOf returns the newest kit for a data area, nil where none keeps it.
func (s *Set) NewestOf(area string) *Kit {
	for _, kits := range s.kits {
		if newest := kits[len(kits)-1]; newest.Area == area {
			return newest
		}
	}
	return nil
}
