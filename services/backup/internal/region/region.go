// Package region knows where copies are kept: each region's object store, and to which other region a second copy goes.
package region

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	gcblob "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/blob"
)

// Stores are the object stores of all regions.
type Stores struct {
	shared *blob.Bucket
	own    map[string]*blob.Bucket
	second map[string]string
}

// Rules say what lies where.
type Rules struct {
	// Shared is the address of the store of every region that has none of its own.
	Shared string
	// Own are regions' own stores: `region=address`.
	Own []string
	// Second says where second copies go: `region=other`.
	Second []string
}

// name is how a region may be called: it becomes a part of objects' keys.
var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Open opens all stores. They must be closed.
func Open(ctx context.Context, r Rules) (*Stores, error) {
	s := &Stores{own: map[string]*blob.Bucket{}}
	addresses, err := pairs(r.Own)
	if err != nil {
		return nil, err
	}
	if s.second, err = pairs(r.Second); err != nil {
		return nil, err
	}
	for one, other := range s.second {
		if one == other || !name.MatchString(other) {
			return nil, fmt.Errorf("region: a second copy of %s in %q", one, other)
		}
	}
	if s.shared, err = blob.Open(ctx, r.Shared); err != nil {
		return nil, err
	}
	for region, address := range addresses {
		own, err := blob.Open(ctx, address)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.own[region] = own
	}
	return s, nil
}

// pairs reads `region=value`, each region once.
func pairs(list []string) (map[string]string, error) {
	found := map[string]string{}
	for _, text := range list {
		if text == "" {
			continue
		}
		region, value, ok := strings.Cut(text, "=")
		if !ok || value == "" || !name.MatchString(region) {
			return nil, errors.New("region: a setting is written region=value, e.g. eu-north=eu-south") // It may hold a secret.
		}
		if _, twice := found[region]; twice {
			return nil, fmt.Errorf("region: %s is set twice", region)
		}
		found[region] = value
	}
	return found, nil
}

// Of is the store of a region.
func (s *Stores) Of(region string) *blob.Bucket {
	if own, ok := s.own[region]; ok {
		return own
	}
	return s.shared
}

// All are the stores, each once.
func (s *Stores) All() []*blob.Bucket {
	all := []*blob.Bucket{s.shared}
	for _, one := range s.own {
		all = append(all, one)
	}
	return all
}

// Remove deletes an object of a region's. One that is not there is as good.
func (s *Stores) Remove(ctx context.Context, region, key string) error {
	if err := s.Of(region).Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return blob.Translate(err, key)
	}
	return nil
}

// RemoveAll deletes a region's objects whose keys begin with a prefix.
func (s *Stores) RemoveAll(ctx context.Context, region, prefix string) error {
	store := s.Of(region)
	for token := gcblob.FirstPageToken; len(token) > 0; {
		page, next, err := store.ListPage(ctx, token, 1000, &gcblob.ListOptions{Prefix: prefix})
		if err != nil {
			return blob.Translate(err, prefix)
		}
		for _, o := range page {
			if err := s.Remove(ctx, region, o.Key); err != nil {
				return err
			}
		}
		token = next
	}
	return nil
}

// Second is the region that a region's second copies go to; empty for none.
func (s *Stores) Second(region string) string { return s.second[region] }

// Close closes all stores.
func (s *Stores) Close() (err error) {
	err = s.shared.Close()
	for _, one := range s.own {
		err = errors.Join(err, one.Close())
	}
	return err
}
