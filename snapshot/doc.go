// Package snapshot makes, checks and restores snapshots of company databases:
// consistent copies, encrypted under the company's own keys, that cost about as
// much as what changed since the one before. docs/snapshot-format.md tells the
// form in words; proto/kontor/snapshot/v1 is its schema.
//
// How a snapshot comes to be, in the order of the files to read:
//
//	source.go    what is in the database, as of one moment (an exported PostgreSQL snapshot)
//	cut.go       rows in the key's order become chunks that begin at keys
//	delta.go     a changed chunk becomes the rows that changed against the last whole one
//	pack.go      chunks and tree nodes become encrypted records of packs
//	tree.go      a part's chunks become a tree of which unchanged branches are shared
//	manifest.go  the root: what was there, and where it lies
//	cache.go     what the next snapshot needs to know of this one, so that it reads nothing back
//	ranges.go    what surely did not change is counted, not read
//	make.go      all of it together; tables.go plans what is read, storing.go stores what of it is new
//
// A repository is written by many at once without locks: packs have random
// names, and a snapshot exists from the moment its manifest does.
package snapshot
