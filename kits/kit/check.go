package kit

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	word       = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	areaForm   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
	permission = regexp.MustCompile(`^[a-z]+(\.[a-z_]+)+$`)
	currency   = regexp.MustCompile(`^[A-Z]{3}$`)
)

// maxSheetName is Excel's own limit.
const maxSheetName = 31

// checker gathers every problem of a kit, so that its author sees them all at once.
type checker struct {
	problems []Problem
	area     string
	held     map[string]Permission
}

func (c *checker) add(path, format string, values ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, values...)})
}

func (c *checker) definition(d *Definition) {
	c.area, c.held = d.Area, d.Permissions
	c.match("product", d.Product, word)
	c.text("title", d.Title)
	c.words("editions", d.Editions)
	if d.Version.IsZero() {
		c.add("version", "is missing")
	}
	c.match("area", d.Area, areaForm)
	if d.Area == "kontor_meta" || d.Area == "public" || d.Area == "information_schema" || strings.HasPrefix(d.Area, "pg_") {
		c.add("area", "%q is taken", d.Area)
	}
	if d.Platform.IsZero() {
		c.add("platform", "is missing")
	} else if d.Platform.Compare(Platform) > 0 {
		c.add("platform", "needs platform %s; this one is %s", d.Platform, Platform)
	}
	c.permissions(d.Permissions)
	c.localUsers(d.LocalUsers)
	c.chartKeys(d.Charts)
	c.catalogues(d.Catalogues)
	c.tables(d.Tables)
	c.rest(d)
}

func (c *checker) permissions(held map[string]Permission) {
	if len(held) == 0 {
		c.add("permissions", "is missing")
	}
	groups, reading := map[string]string{}, false
	for _, name := range slices.Sorted(maps.Keys(held)) {
		path := "permissions." + name
		if !permission.MatchString(name) {
			c.add(path, "is not a permission's name (words joined by dots)")
		}
		c.match(path+".group", held[name].Group, word)
		if other, twice := groups[held[name].Group]; twice {
			c.add(path+".group", "is the group of %s too", other)
		}
		groups[held[name].Group] = name
		reading = reading || !held[name].Writes
	}
	if len(held) > 0 && !reading {
		c.add("permissions", "none is for reading (writes: false), so a read-only licence could open nothing")
	}
}

func (c *checker) localUsers(users *LocalUsers) {
	if users == nil {
		return
	}
	c.table("local_users.table", users.Table)
	for key, column := range map[string]string{"name": users.Name, "full_name": users.FullName, "rights": users.Rights, "account": users.Account} {
		c.match("local_users."+key, column, word)
	}
	if len(users.Permissions) == 0 {
		c.add("local_users.permissions", "is missing")
	}
	for _, right := range slices.Sorted(maps.Keys(users.Permissions)) {
		path := "local_users.permissions." + right
		if len(users.Permissions[right]) == 0 {
			c.add(path, "gives no permission")
		}
		c.known(path, users.Permissions[right])
	}
}

func (c *checker) chartKeys(charts *Charts) {
	if charts == nil {
		return
	}
	c.table("charts.table", charts.Table)
	c.match("charts.name", charts.Name, word)
	if charts.TemplateFlag != "" {
		c.match("charts.template_flag", charts.TemplateFlag, word)
	}
	c.words("charts.activities", charts.Activities)
}

func (c *checker) catalogues(catalogues []Catalogue) {
	keys := c.distinct("key")
	for i, catalogue := range catalogues {
		path := fmt.Sprintf("catalogues[%d]", i)
		keys(path, catalogue.Key)
		c.match(path+".key", catalogue.Key, word)
		c.text(path+".title", catalogue.Title)
		c.known(path+".permission", []string{catalogue.Permission})
		if catalogue.Existing != ExistingUpdate && catalogue.Existing != ExistingRefuse {
			c.add(path+".existing", "must be update or refuse")
		}
		if len(catalogue.Sheets) == 0 {
			c.add(path+".sheets", "is missing")
		}
		names := c.distinct("sheet")
		for j, sheet := range catalogue.Sheets {
			sheetPath := fmt.Sprintf("%s.sheets[%d]", path, j)
			names(sheetPath, sheet.Sheet)
			c.sheet(sheetPath, sheet)
		}
	}
}

func (c *checker) sheet(path string, sheet Sheet) {
	if sheet.Sheet == "" || utf8.RuneCountInString(sheet.Sheet) > maxSheetName || strings.ContainsAny(sheet.Sheet, `[]:*?/\`) {
		c.add(path+".sheet", `must have 1 to %d characters and none of [ ] : * ? / \`, maxSheetName)
	}
	c.table(path+".table", sheet.Table)
	var names []string
	for _, column := range sheet.Columns {
		names = append(names, column.Column)
	}
	c.words(path+".columns", names)
	headers := c.distinct("header")
	for i, column := range sheet.Columns {
		columnPath := fmt.Sprintf("%s.columns[%d]", path, i)
		headers(columnPath, column.Header)
		if column.CurrencyColumn != "" && !slices.Contains(names, column.CurrencyColumn) {
			c.add(columnPath+".currency_column", "%q is not a column of this sheet", column.CurrencyColumn)
		}
		c.column(columnPath, column)
	}
	if len(sheet.Unique) == 0 {
		c.add(path+".unique", "is missing")
	}
	for _, key := range sheet.Unique {
		if !slices.Contains(names, key) {
			c.add(path+".unique", "%q is not a column of this sheet", key)
		}
	}
}

func (c *checker) column(path string, column Column) {
	money, scaled := column.Type == TypeMoney, column.Type == TypeDecimal || column.Type == TypeScaled
	switch column.Type {
	case TypeText, TypeTextList, TypeInteger, TypeDecimal, TypeScaled, TypeMoney, TypeDate, TypeBoolean:
	default:
		c.add(path+".type", "%q is no type of column", column.Type)
	}
	if column.Header == "" {
		c.add(path+".header", "is missing")
	}
	c.text(path+".text", column.Text)
	if column.Required && column.Default != nil {
		c.add(path+".default", "has no meaning in a required column")
	}
	if money == (column.CurrencyColumn == "" && column.Currency == "") || (column.CurrencyColumn != "" && column.Currency != "") {
		c.add(path, "money names its currency_column or its currency, and nothing else does")
	}
	if column.Currency != "" {
		c.match(path+".currency", column.Currency, currency)
	}
	if scaled != (column.Scale > 0) || column.Scale > 9 || column.Scale < 0 {
		c.add(path+".scale", "decimal and scaled say 1 to 9 decimals, and nothing else does")
	}
	if column.Type != TypeText && column.MaxLength != 0 || column.MaxLength < 0 {
		c.add(path+".max_length", "is for text, and above 0")
	}
	if column.Type != TypeText && column.Type != TypeTextList && len(column.Values) > 0 {
		c.add(path+".values", "are for text and text_list")
	}
	if column.References != "" {
		at := strings.LastIndexByte(column.References, '.')
		c.table(path+".references", column.References[:max(at, 0)])
		c.match(path+".references", column.References[at+1:], word)
	}
}

func (c *checker) tables(tables []Table) {
	names := c.distinct("table")
	for i, table := range tables {
		path := fmt.Sprintf("tables[%d]", i)
		names(path, table.Table)
		c.table(path+".table", table.Table)
		c.words(path+".columns", table.Columns)
	}
}

func (c *checker) rest(d *Definition) {
	rules, duties := c.distinct("key"), c.distinct("key")
	for i, rule := range d.Verify {
		path := fmt.Sprintf("verify[%d]", i)
		rules(path, rule.Key)
		c.match(path+".key", rule.Key, word)
		c.text(path+".title", rule.Title)
		c.sql(path+".broken", rule.Broken)
	}
	for i, duty := range d.Duties {
		path := fmt.Sprintf("duties[%d]", i)
		duties(path, duty.Key)
		c.match(path+".key", duty.Key, word)
		c.text(path+".title", duty.Title)
		c.known(path+".permissions", duty.Permissions)
		if len(duty.Permissions) < 2 {
			c.add(path+".permissions", "needs two permissions or more")
		}
	}
	steps, exports := c.distinct("key"), c.distinct("name")
	for i, step := range d.Checklist {
		path := fmt.Sprintf("checklist[%d]", i)
		steps(path, step.Key)
		c.match(path+".key", step.Key, word)
		c.text(path+".title", step.Title)
		c.sql(path+".done", step.Done)
	}
	for i, export := range d.Export {
		path := fmt.Sprintf("export[%d]", i)
		exports(path, export.Name)
		c.table(path+".table", export.Table)
		c.match(path+".name", export.Name, word)
		c.words(path+".order", export.Order)
		if len(export.Columns) > 0 {
			c.words(path+".columns", export.Columns)
		}
	}
}

func (c *checker) match(path, value string, form *regexp.Regexp) {
	switch {
	case value == "":
		c.add(path, "is missing")
	case !form.MatchString(value):
		c.add(path, "%q is not of the form %s", value, form)
	}
}

// words checks a list of names: at least one, each once.
func (c *checker) words(path string, values []string) {
	if len(values) == 0 {
		c.add(path, "is missing")
	}
	for i, value := range values {
		c.match(path, value, word)
		if slices.Contains(values[:i], value) {
			c.add(path, "names %q twice", value)
		}
	}
}

func (c *checker) text(path string, text Text) {
	for _, language := range languages {
		if strings.TrimSpace(text[language]) == "" {
			c.add(path+"."+language, "is missing")
		}
	}
}

func (c *checker) known(path string, permissions []string) {
	for _, name := range permissions {
		if _, ok := c.held[name]; !ok {
			c.add(path, "%q is not among the kit's permissions", name)
		}
	}
}

// table checks the form area.table within the kit's own area.
func (c *checker) table(path, name string) {
	area, table, _ := strings.Cut(name, ".")
	switch {
	case name == "":
		c.add(path, "is missing")
	case area != c.area || !word.MatchString(table):
		c.add(path, "%q does not name a table of the area as %s.table", name, c.area)
	}
}

// sql refuses what could not stand inside another statement.
func (c *checker) sql(path, text string) {
	switch {
	case strings.TrimSpace(text) == "":
		c.add(path, "is missing")
	case strings.ContainsRune(text, ';'):
		c.add(path, "must be one expression without a semicolon")
	}
}

// distinct returns a function that complains when a list has the same name twice.
func (c *checker) distinct(key string) func(path, name string) {
	seen := map[string]string{}
	return func(path, name string) {
		if earlier, twice := seen[name]; twice && name != "" {
			c.add(path+"."+key, "%q stands in %s already", name, earlier)
			return
		}
		seen[name] = path
	}
}
