package kit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// BeginLoad makes the kit's tables ready to take a copy's rows: it takes out what the migrations put there and holds back
// the triggers, since a copy's rows were checked and logged where they were written and FinishLoad checks them again.
// It wants the transaction that the rows come in and FinishLoad ends, as the role that owns the tables; until then
// nobody else can read the tables.
func (k *Kit) BeginLoad(ctx context.Context, tx pgx.Tx) error {
	var sql strings.Builder
	for _, table := range k.Tables {
		fmt.Fprintf(&sql, "ALTER TABLE %s DISABLE TRIGGER USER;\n", quote(table.Table))
	}
	for _, table := range slices.Backward(k.Tables) {
		fmt.Fprintf(&sql, "DELETE FROM %s;\n", quote(table.Table))
	}
	if err := script(ctx, tx, sql.String()); err != nil {
		return fmt.Errorf("make ready to load %s: %w", k, err)
	}
	return nil
}

// FinishLoad puts the triggers back, checks the loaded rows by the kit's rules (a *BrokenError says which do not hold) and
// tells the planner about them. Which accounts the copy's local users became is forgotten: that was elsewhere.
func (k *Kit) FinishLoad(ctx context.Context, tx pgx.Tx) error {
	var sql strings.Builder
	if users := k.LocalUsers; users != nil {
		fmt.Fprintf(&sql, "UPDATE %[1]s SET %[2]s = NULL WHERE %[2]s IS NOT NULL;\n", quote(users.Table), quote(users.Account))
	}
	for _, table := range k.Tables {
		fmt.Fprintf(&sql, "ALTER TABLE %[1]s ENABLE TRIGGER USER;\nANALYZE %[1]s;\n", quote(table.Table))
	}
	if err := script(ctx, tx, sql.String()); err != nil {
		return fmt.Errorf("finish loading %s: %w", k, err)
	}
	return k.Check(ctx, tx)
}

// BrokenError says which of a kit's rules the rows break.
type BrokenError struct {
	Rules []Broken
}

// Broken is one rule that does not hold.
type Broken struct {
	Key   string
	Title Text
	Rows  int64 // how many rows break it
}

// Error names the rules.
func (e *BrokenError) Error() string {
	lines := make([]string, len(e.Rules))
	for i, rule := range e.Rules {
		lines[i] = fmt.Sprintf("%s: %d rows", rule.Key, rule.Rows)
	}
	return "the rows break rules of the kit: " + strings.Join(lines, ", ")
}

// Check returns a *BrokenError when rows in the area break the kit's rules. The role must see all rows.
func (k *Kit) Check(ctx context.Context, db Querier) error {
	var broken []Broken
	for _, rule := range k.Verify {
		var rows int64
		if err := db.QueryRow(ctx, rule.Broken).Scan(&rows); err != nil {
			return fmt.Errorf("check rule %s of %s: %w", rule.Key, k, err)
		}
		if rows > 0 {
			broken = append(broken, Broken{Key: rule.Key, Title: rule.Title, Rows: rows})
		}
	}
	if len(broken) > 0 {
		return &BrokenError{Rules: broken}
	}
	return nil
}

// StepState is an item of the checklist and whether it is done.
type StepState struct {
	Step
	Finished bool
}

// Steps evaluates the checklist. The role must be able to read the tables that its conditions name.
func (k *Kit) Steps(ctx context.Context, db Querier) ([]StepState, error) {
	if len(k.Checklist) == 0 {
		return nil, nil
	}
	states, conditions := make([]StepState, len(k.Checklist)), make([]string, len(k.Checklist))
	done := make([]bool, len(k.Checklist))
	into := make([]any, len(k.Checklist))
	for i, step := range k.Checklist {
		states[i].Step, conditions[i], into[i] = step, "coalesce(("+step.Done+"), false)", &done[i]
	}
	if err := db.QueryRow(ctx, "SELECT "+strings.Join(conditions, ", ")).Scan(into...); err != nil {
		return nil, fmt.Errorf("evaluate the checklist of %s: %w", k, err)
	}
	for i := range states {
		states[i].Finished = done[i]
	}
	return states, nil
}

// LocalUser is a user that the program on the premises had.
type LocalUser struct {
	Name        string
	FullName    string
	Rights      []string // as the local program named them
	Unknown     []string // those of them that the kit does not map
	Permissions []string // what the others mean here, sorted
	Account     string   // the account that the user became; empty until prepared
}

// ReadLocalUsers returns the local users by name, none where the area keeps no users.
func (k *Kit) ReadLocalUsers(ctx context.Context, db Querier) ([]LocalUser, error) {
	if k.LocalUsers == nil {
		return nil, nil
	}
	where := k.LocalUsers
	name := quote(where.Name)
	rows, err := db.Query(ctx, fmt.Sprintf("SELECT %s, coalesce(%s, ''), coalesce(%s, '{}'), coalesce(%s, '') FROM %s ORDER BY %s",
		name, quote(where.FullName), quote(where.Rights), quote(where.Account), quote(where.Table), name))
	if err != nil {
		return nil, fmt.Errorf("read local users: %w", err)
	}
	users, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (LocalUser, error) {
		var user LocalUser
		err := row.Scan(&user.Name, &user.FullName, &user.Rights, &user.Account)
		for _, right := range user.Rights {
			permissions, ok := where.Permissions[right]
			if !ok {
				user.Unknown = append(user.Unknown, right)
			}
			user.Permissions = append(user.Permissions, permissions...)
		}
		slices.Sort(user.Permissions)
		user.Permissions = slices.Compact(user.Permissions)
		return user, err
	})
	if err != nil {
		return nil, fmt.Errorf("read local users: %w", err)
	}
	return users, nil
}

// LinkLocalUser writes down which account a local user became, and returns whether there is such a user.
func (k *Kit) LinkLocalUser(ctx context.Context, db Querier, user, account string) (bool, error) {
	if k.LocalUsers == nil {
		return false, nil
	}
	where := k.LocalUsers
	// Identifiers come from the checked kit and are quoted; values are parameters
	done, err := db.Exec(ctx, fmt.Sprintf("UPDATE %s SET %s = $2 WHERE %s = $1", quote(where.Table), quote(where.Account), quote(where.Name)),
		user, account)
	if err != nil {
		return false, fmt.Errorf("link local user: %w", err)
	}
	return done.RowsAffected() > 0, nil
}

// Binding says for whom a login role acts in a database and which fiscal years it may see.
type Binding struct {
	Login    string // the login role
	Account  string // accounts/A; stands in the change log and beside approvals
	YearFrom int    // first fiscal year; 0 for no bound
	YearTo   int    // last fiscal year; 0 for no bound
}

// Bind binds a login role, in place of what it was bound to before. A login that is not bound can't read a table that
// fiscal years bound, so every login is bound when it is handed out. It takes the role that owns kontor_meta.
func Bind(ctx context.Context, db Querier, binding Binding) error {
	_, err := db.Exec(ctx, `INSERT INTO kontor_meta.role_bounds (login, account, year_from, year_to, set_at)
		VALUES ($1, $2, nullif($3::integer, 0), nullif($4::integer, 0), clock_timestamp())
		ON CONFLICT ON CONSTRAINT role_bounds_pkey DO UPDATE SET account = excluded.account,
		year_from = excluded.year_from, year_to = excluded.year_to, set_at = excluded.set_at`,
		binding.Login, binding.Account, binding.YearFrom, binding.YearTo)
	if err != nil {
		return fmt.Errorf("bind login: %w", err)
	}
	return nil
}

// Unbind takes a login role's binding away. Repeating it changes nothing.
func Unbind(ctx context.Context, db Querier, login string) error {
	if _, err := db.Exec(ctx, "DELETE FROM kontor_meta.role_bounds WHERE login = $1", login); err != nil {
		return fmt.Errorf("unbind login: %w", err)
	}
	return nil
}
