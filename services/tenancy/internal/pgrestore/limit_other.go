//go:build !linux

package pgrestore

// limit leaves a process with the time that all have: only Linux can bind one that runs.
func limit(int, Limits) error { return nil }
