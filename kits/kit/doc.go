// Package kit reads product kits and applies them to company databases.
//
// A kit is a release's folder: kit.yaml, migrations, grants, chart-of-accounts templates and release notes. Load reads and
// checks one, LoadSet a tree of them. Kit.Apply brings one data area of a database to the kit's release, whatever release it
// was at and however often it is called, in one transaction. The platform's own schema kontor_meta (releases, bounds of
// login roles, change log) comes first and is part of this package.
//
// Nothing here knows a ledger table: what Kontor does with a company's books it reads from the kit.
package kit
