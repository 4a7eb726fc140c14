// Package migrations holds tenancy's schema. Files 00001 to 00099 are of
// subscribers, members, invitations, access and staff; 00100 and later of
// companies and their databases.
package migrations

import "embed"

// FS holds the goose files.
//
//go:embed *.sql
var FS embed.FS
