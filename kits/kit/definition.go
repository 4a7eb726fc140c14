package kit

// Definition is kit.yaml. Every key that is not optional must be there; unknown keys are refused. kits/README.md says the
// same in prose, for whoever writes a kit.
type Definition struct {
	Product  string   `yaml:"product"`  // the product's code in the catalogue
	Title    Text     `yaml:"title"`    // its name
	Editions []string `yaml:"editions"` // editions this kit serves; the first is taken where none is named
	Version  Version  `yaml:"version"`  // the release
	Area     string   `yaml:"area"`     // data area: the schema that this product's tables stand in
	Platform Version  `yaml:"platform"` // oldest platform (package constant Platform) that can carry it

	Permissions map[string]Permission `yaml:"permissions"` // by Kontor's name of the permission, e.g. books.read
	LocalUsers  *LocalUsers           `yaml:"local_users"` // optional: the area keeps no users
	Charts      *Charts               `yaml:"charts"`      // optional: the area has no chart of accounts
	Catalogues  []Catalogue           `yaml:"catalogues"`  // what can be imported from a sheet
	Tables      []Table               `yaml:"tables"`      // what an uploaded copy may carry, in load order
	Verify      []Rule                `yaml:"verify"`      // what must hold once a copy was loaded
	Duties      []Duty                `yaml:"duties"`      // permissions that one person should not hold together
	Checklist   []Step                `yaml:"checklist"`   // what waits for people once a company was added
	Export      []Export              `yaml:"export"`      // what goes into open formats
}

// Text is a text by language code. English and Latvian are compulsory.
type Text map[string]string

// In returns the text in a language, or in English where the kit has no such language.
func (t Text) In(language string) string {
	if text, ok := t[language]; ok {
		return text
	}
	return t["en"]
}

// Permission says which group role carries a permission in a company's database.
type Permission struct {
	Group  string `yaml:"group"`  // suffix of the group role's name; the company's prefix goes before it
	Writes bool   `yaml:"writes"` // a licence that is read-only does not give this group
}

// LocalUsers says where the program on the premises kept its users and what their rights mean here.
type LocalUsers struct {
	Table       string              `yaml:"table"`       // area.table
	Name        string              `yaml:"name"`        // column of the user's name, the table's key
	FullName    string              `yaml:"full_name"`   // column of first and last name
	Rights      string              `yaml:"rights"`      // column of the rights, an array of text
	Account     string              `yaml:"account"`     // column for the account that the user became
	Permissions map[string][]string `yaml:"permissions"` // local right to permissions
}

// Charts says which table the chart-of-accounts templates in charts/<activity>.csv go into. Columns of a template named
// name_<language> give the column Name in that language; all others go into the column of the same name.
type Charts struct {
	Table        string   `yaml:"table"`         // area.table
	Name         string   `yaml:"name"`          // column that takes the name in the chosen language
	TemplateFlag string   `yaml:"template_flag"` // column set to true in rows from a template; optional
	Activities   []string `yaml:"activities"`    // kinds of activity, each a template
}

// Catalogue is one workbook that can be imported and exported. An import of all its sheets is one transaction.
type Catalogue struct {
	Key        string   `yaml:"key"`
	Title      Text     `yaml:"title"`
	Permission string   `yaml:"permission"` // whoever imports holds it
	Existing   Existing `yaml:"existing"`   // what happens to rows that are there already
	Sheets     []Sheet  `yaml:"sheets"`
}

// Existing is what an import does with a row whose unique key is in the table already.
type Existing string

// The ways to treat existing rows.
const (
	ExistingUpdate Existing = "update" // the sheet's columns replace the row's
	ExistingRefuse Existing = "refuse" // an error of that row: entries and vouchers are not overwritten
)

// Sheet maps one sheet to one table.
type Sheet struct {
	Sheet   string   `yaml:"sheet"` // the sheet's name, 31 characters at the most
	Table   string   `yaml:"table"` // area.table
	Unique  []string `yaml:"unique"`
	Columns []Column `yaml:"columns"`
}

// Column maps one column of a sheet to one column of its table.
type Column struct {
	Column         string   `yaml:"column"`          // the table's column
	Header         string   `yaml:"header"`          // the sheet's heading
	Type           Type     `yaml:"type"`            // how a cell is read and written
	Required       bool     `yaml:"required"`        // an empty cell is an error
	Default        *string  `yaml:"default"`         // what an empty cell means, written as a cell; without one it means NULL
	MaxLength      int      `yaml:"max_length"`      // of text, in characters; 0 for no limit
	Scale          int      `yaml:"scale"`           // decimals of decimal and scaled
	CurrencyColumn string   `yaml:"currency_column"` // money: the column of the same row that names its currency
	Currency       string   `yaml:"currency"`        // money: whose minor unit it is where the row has no such column
	Values         []string `yaml:"values"`          // the only allowed values of text and text_list
	References     string   `yaml:"references"`      // area.table.column that the value must be found in
	Text           Text     `yaml:"text"`            // the description in the template
}

// Type is how a sheet's cell and a table's column belong together.
type Type string

// The types of columns.
const (
	TypeText     Type = "text"
	TypeTextList Type = "text_list" // cell: separated by commas; column: array of text
	TypeInteger  Type = "integer"
	TypeDecimal  Type = "decimal" // column: numeric with Scale decimals
	TypeScaled   Type = "scaled"  // cell: Scale decimals; column: integer of units of the last decimal (21.00 as 2100)
	TypeMoney    Type = "money"   // cell: with the currency's decimals; column: integer of minor units
	TypeDate     Type = "date"
	TypeBoolean  Type = "boolean" // cell: yes or no in the workbook's language, 1 or 0
)

// Table names a table and its columns.
type Table struct {
	Table   string   `yaml:"table"` // area.table
	Columns []string `yaml:"columns"`
}

// Rule is a query that counts the rows which break it.
type Rule struct {
	Key    string `yaml:"key"`
	Title  Text   `yaml:"title"`
	Broken string `yaml:"broken"` // SELECT of one integer
}

// Duty is a set of permissions that must be separate.
type Duty struct {
	Key         string   `yaml:"key"`
	Permissions []string `yaml:"permissions"`
	Title       Text     `yaml:"title"`
}

// Step is one item of the checklist.
type Step struct {
	Key   string `yaml:"key"`
	Title Text   `yaml:"title"`
	Done  string `yaml:"done"` // SQL condition
}

// Export is one table in open formats.
type Export struct {
	Table   string   `yaml:"table"`   // area.table
	Name    string   `yaml:"name"`    // of the file or sheet
	Columns []string `yaml:"columns"` // optional: all
	Order   []string `yaml:"order"`
}
