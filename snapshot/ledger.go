package snapshot

import "slices"

// Generation counts a repository's collections.
type Generation int64

// Suspects are keys of objects that a collection found unneeded: packs, and manifests of snapshots that were not committed.
type Suspects []string

// Ledger is what whoever commits a repository's snapshots keeps for its collections. Each of its methods is called in one
// transaction that locks it, together with what it says there.
//
// Collections and snapshots go on at the same time. A collection first lists what there is; then it raises the generation and
// learns what is committed; then it takes away what the collection before suspected and nothing needs; then it settles what it
// suspects itself. A snapshot notes the generation in which it begins, and clears what it needs of suspicion when it is committed.
//
// So when an object goes in generation n+1, it was there, and unneeded, when the generation became n, and nothing that was
// committed since needs it. A snapshot that wrote it, or found it through one that needed it, began before n, and can't be
// committed in n+1 any more.
type Ledger struct {
	// Generation that it is.
	Generation Generation
	// Suspects of the last collection that settled, without what was cleared since.
	Suspects Suspects
	// Collecting says that a collection has raised the generation and not settled yet.
	Collecting bool
	// Cleared since then.
	Cleared []string
}

// Raise begins a generation, and gives what may be taken away in it. It goes with reading which snapshots are committed.
func (l *Ledger) Raise() Suspects {
	l.Generation++
	l.Collecting, l.Cleared = true, nil
	return slices.Clone(l.Suspects)
}

// Settle ends a collection with what it suspects.
func (l *Ledger) Settle(found Suspects) {
	l.Suspects = without(found, l.Cleared)
	l.Collecting, l.Cleared = false, nil
}

// Commit says whether a snapshot that began in a generation may be committed now, and clears what it needs. It goes with
// writing down that the snapshot is committed.
func (l *Ledger) Commit(began Generation, needs []string) bool {
	if l.Generation-began > 1 {
		return false
	}
	l.Suspects = without(l.Suspects, needs)
	if l.Collecting {
		l.Cleared = append(l.Cleared, needs...)
	}
	return true
}

func without(all Suspects, some []string) Suspects {
	known := make(map[string]bool, len(some))
	for _, key := range some {
		known[key] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(key string) bool { return known[key] })
}
