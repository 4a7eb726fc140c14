package kit

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"
)

// maxPrefix leaves room for a group's name in PostgreSQL's 63 bytes.
const maxPrefix = 22

// grants reads grants.sql and tries it with a made-up prefix, so that a permission it misspells is found here.
func (c *checker) grants(folder fs.FS, d *Definition) *template.Template {
	content, err := readFile(folder, "grants.sql")
	if err != nil {
		c.add("grants.sql", "%v", err)
		return nil
	}
	parsed, err := template.New("grants.sql").Funcs(grantFunctions(d, "")).Option("missingkey=error").Parse(string(content))
	if err == nil {
		err = parsed.Execute(new(strings.Builder), nil)
	}
	if err != nil {
		c.add("grants.sql", "%v", err)
		return nil
	}
	return parsed
}

// grantFunctions are what grants.sql may call: group "books.read" and groups.
func grantFunctions(d *Definition, prefix string) template.FuncMap {
	return template.FuncMap{
		"group": func(name string) (string, error) {
			held, ok := d.Permissions[name]
			if !ok {
				return "", fmt.Errorf("%q is not among the kit's permissions", name)
			}
			return quoteRole(groupRole(prefix, held)), nil
		},
		"groups": func() string { return quoteRoles(d.groups(prefix)) },
	}
}

func groupRole(prefix string, held Permission) string { return prefix + "_" + held.Group }

func quoteRole(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteRoles(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteRole(name)
	}
	return strings.Join(quoted, ", ")
}

func (d *Definition) groups(prefix string) []string {
	var names []string
	for _, held := range d.Permissions {
		names = append(names, groupRole(prefix, held))
	}
	slices.Sort(names)
	return names
}

// GroupRoles returns the names of all of the kit's group roles in the company with this prefix, sorted. They have to
// stand, NOLOGIN, before Apply or Grant is told the prefix. Roles belong to a whole cluster, so the prefix must be one
// company's own; it has 1 to 22 of the characters a-z, 0-9 and _.
func (k *Kit) GroupRoles(prefix string) []string { return k.groups(prefix) }

// GroupsFor returns the group roles that a login gets for somebody's permissions, sorted. Permissions that the kit does
// not know give none. With readOnly, groups that write are left out: no licence to write, no right to.
func (k *Kit) GroupsFor(prefix string, permissions []string, readOnly bool) []string {
	var names []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(permissions))) {
		if held, ok := k.Permissions[name]; ok && (!readOnly || !held.Writes) {
			names = append(names, groupRole(prefix, held))
		}
	}
	slices.Sort(names)
	return names
}

// PermissionNames returns the permissions that the kit knows, sorted.
func (k *Kit) PermissionNames() []string { return slices.Sorted(maps.Keys(k.Permissions)) }

// Conflicts returns the duties that must be separate and that these permissions hold together.
func (k *Kit) Conflicts(permissions []string) []Duty {
	var found []Duty
	for _, duty := range k.Duties {
		if !slices.ContainsFunc(duty.Permissions, func(name string) bool { return !slices.Contains(permissions, name) }) {
			found = append(found, duty)
		}
	}
	return found
}

// CreateGroups makes those of the kit's group roles that are not there yet. The connection's role needs CREATEROLE.
func (k *Kit) CreateGroups(ctx context.Context, db Querier, prefix string) error {
	var sql strings.Builder
	for _, name := range k.groups(prefix) {
		fmt.Fprintf(&sql, "IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN CREATE ROLE %s NOLOGIN; END IF;\n",
			quoteText(name), quoteRole(name))
	}
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, "DO "+quoteText("BEGIN\n"+sql.String()+"END")); err != nil {
		return fmt.Errorf("create the group roles of %s: %w", k, err)
	}
	return nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix || !word.MatchString(prefix) {
		return fmt.Errorf("%q cannot begin a role's name: 1 to %d of a-z, 0-9 and _, a letter first", prefix, maxPrefix)
	}
	return nil
}

// quoteText writes a string constant that means itself whatever standard_conforming_strings says.
func quoteText(text string) string {
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

// grantSQL gives the group roles with this prefix exactly what the kit says, in the area and in kontor_meta.
func (k *Kit) grantSQL(prefix string) (string, error) {
	if err := checkPrefix(prefix); err != nil {
		return "", err
	}
	var sql strings.Builder
	own, area := quoteRoles(k.groups(prefix)), quote(k.Area)
	for _, schema := range []string{area, "kontor_meta"} {
		for _, kind := range []string{"TABLES", "SEQUENCES", "FUNCTIONS"} {
			fmt.Fprintf(&sql, "REVOKE ALL ON ALL %s IN SCHEMA %s FROM PUBLIC, %s;\n", kind, schema, own)
		}
		fmt.Fprintf(&sql, "REVOKE ALL ON SCHEMA %s FROM PUBLIC, %s;\n", schema, own)
	}
	fmt.Fprintf(&sql, "GRANT USAGE ON SCHEMA kontor_meta TO %s;\nGRANT SELECT ON kontor_meta.release TO %s;\n", own, own)
	fmt.Fprintf(&sql, "GRANT EXECUTE ON FUNCTION kontor_meta.year_from(), kontor_meta.year_to(), kontor_meta.acting_account() TO %s;\n", own)
	grants, err := k.grants.Clone()
	if err != nil {
		return "", fmt.Errorf("read grants of %s: %w", k, err)
	}
	if err := grants.Funcs(grantFunctions(&k.Definition, prefix)).Execute(&sql, nil); err != nil {
		return "", fmt.Errorf("fill in grants of %s: %w", k, err)
	}
	// Only the database's owner can say who may connect; elsewhere that is not ours to say.
	fmt.Fprintf(&sql, `
DO $grant$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = current_database() AND pg_catalog.pg_has_role(d.datdba, 'USAGE')) THEN
        EXECUTE format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', current_database());
        EXECUTE format('GRANT CONNECT ON DATABASE %%I TO %%s', current_database(), %s);
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
    END IF;
END $grant$;
`, quoteText(own))
	return sql.String(), nil
}
