package kit

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// chart is a chart-of-accounts template.
type chart struct {
	columns []string // of the table, in the template's order
	rows    [][]string
	names   map[string][]string // language to the names of the rows
}

// charts reads charts/<activity>.csv for each activity.
func (c *checker) charts(folder fs.FS, keys *Charts) map[string]chart {
	if keys == nil {
		return nil
	}
	charts := map[string]chart{}
	for _, activity := range keys.Activities {
		name := "charts/" + activity + ".csv"
		content, err := readFile(folder, name)
		if err != nil {
			c.add(name, "%v", err)
			continue
		}
		if charts[activity], err = parseChart(content); err != nil {
			c.add(name, "%v", err)
		}
	}
	return charts
}

// parseChart reads a template: a heading, then a row an account. The first column is the account's number. A column
// named parent refers to the number of another row.
func parseChart(content []byte) (chart, error) {
	records, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		return chart{}, err
	}
	if len(records) < 2 {
		return chart{}, errors.New("there are no accounts in it")
	}
	parsed := chart{names: map[string][]string{}, rows: make([][]string, len(records)-1)}
	for i, heading := range records[0] {
		if language, isName := strings.CutPrefix(heading, "name_"); isName {
			for _, record := range records[1:] {
				parsed.names[language] = append(parsed.names[language], record[i])
			}
			continue
		}
		if !word.MatchString(heading) || slices.Contains(parsed.columns, heading) {
			return chart{}, fmt.Errorf("%q is not the name of a column, or stands there twice", heading)
		}
		parsed.columns = append(parsed.columns, heading)
		for j, record := range records[1:] {
			parsed.rows[j] = append(parsed.rows[j], record[i])
		}
	}
	return parsed, parsed.check()
}

func (c chart) check() error {
	for _, language := range languages {
		if len(c.names[language]) == 0 || slices.Contains(c.names[language], "") {
			return fmt.Errorf("an account has no name_%s", language)
		}
	}
	if len(c.columns) == 0 {
		return errors.New("there is no column of numbers")
	}
	numbers := map[string]bool{}
	for _, row := range c.rows {
		if row[0] == "" || numbers[row[0]] {
			return fmt.Errorf("account number %q is empty or stands there twice", row[0])
		}
		numbers[row[0]] = true
	}
	at := slices.Index(c.columns, "parent")
	for _, row := range c.rows {
		if at >= 0 && row[at] != "" && !numbers[row[at]] {
			return fmt.Errorf("account %s stands under %s, which is not in the chart", row[0], row[at])
		}
	}
	return nil
}

// ErrNoChart says that the kit has no chart of accounts for the kind of activity.
var ErrNoChart = errors.New("the kit has no chart of accounts for this kind of activity")

// FillChart fills the chart of accounts from the template for a kind of activity, with names in the given language, and
// returns how many accounts it made. Where there are accounts already it makes none: what people adapted stays.
func (k *Kit) FillChart(ctx context.Context, db Querier, activity, language string) (int, error) {
	template, ok := k.charts[activity]
	if !ok {
		return 0, ErrNoChart
	}
	names, ok := template.names[language]
	if !ok {
		names = template.names["en"]
	}
	columns := append([]string{k.Charts.Name}, template.columns...)
	values := make([]any, len(columns))
	values[0] = names
	for i := range template.columns {
		column := make([]*string, len(template.rows))
		for j := range template.rows {
			if template.rows[j][i] != "" {
				column[j] = &template.rows[j][i]
			}
		}
		values[i+1] = column
	}
	table := quote(k.Charts.Table)
	flag, set := "", ""
	if k.Charts.TemplateFlag != "" {
		flag, set = ", "+quote(k.Charts.TemplateFlag), ", true"
	}
	arrays := make([]string, len(columns))
	for i := range columns {
		arrays[i] = fmt.Sprintf("$%d::text[]", i+1)
		columns[i] = quote(columns[i])
	}
	list := strings.Join(columns, ", ")
	// Identifiers come from the checked kit and are quoted; values are parameters
	done, err := db.Exec(ctx, fmt.Sprintf(
		"INSERT INTO %s (%s%s) SELECT %s%s FROM unnest(%s) AS t (%s) WHERE NOT EXISTS (SELECT FROM %s) ON CONFLICT DO NOTHING",
		table, list, flag, list, set, strings.Join(arrays, ", "), list, table), values...)
	if err != nil {
		return 0, fmt.Errorf("fill the chart of accounts: %w", err)
	}
	return int(done.RowsAffected()), nil
}

// quote quotes a name, or a schema's and a table's name joined by a dot.
func quote(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }
