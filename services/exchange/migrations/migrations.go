// Package migrations holds the schema of exchange's database.
package migrations

import "embed"

// FS are the migrations, in the order of their names.
//
//go:embed *.sql
var FS embed.FS
