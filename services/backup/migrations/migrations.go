// Package migrations holds backup's schema, from which sqlc generates too.
package migrations

import "embed"

// FS has the goose files at its root.
//
//go:embed *.sql
var FS embed.FS
