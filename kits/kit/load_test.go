package kit_test

import (
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"kontor.internal/kits/kit"
)

// tiny is a small valid kit; tests break it in one place.
const tiny = `product: tiny
title: {en: Tiny, lv: Mazs}
editions: [base]
version: 1.0.0
area: tiny
platform: 1.0.0
permissions:
  tiny.read: {group: tiny_read, writes: false}
  tiny.write: {group: tiny_write, writes: true}
local_users:
  table: tiny.users
  name: name
  full_name: full_name
  rights: rights
  account: account
  permissions:
    boss: [tiny.read, tiny.write]
charts: {table: tiny.accounts, name: name, activities: [service]}
catalogues:
  - key: things
    title: {en: Things, lv: Lietas}
    permission: tiny.write
    existing: update
    sheets:
      - sheet: Things
        table: tiny.things
        unique: [code]
        columns:
          - {column: code, header: Code, type: text, required: true, text: {en: Code, lv: Kods}}
          - {column: price, header: Price, type: money, currency: EUR, text: {en: Price, lv: Cena}}
tables:
  - {table: tiny.things, columns: [code, price]}
verify:
  - {key: prices, title: {en: Prices, lv: Cenas}, broken: SELECT count(*) FROM tiny.things WHERE price < 0}
duties:
  - {key: both, permissions: [tiny.read, tiny.write], title: {en: Both, lv: Abi}}
checklist:
  - {key: things, title: {en: Things, lv: Lietas}, done: EXISTS (SELECT FROM tiny.things)}
export:
  - {table: tiny.things, name: things, order: [code]}
`

const tinyMigration = `-- +goose Up
-- +goose StatementBegin
CREATE TABLE tiny.things (code text CONSTRAINT things_pkey PRIMARY KEY, price bigint);
CREATE TABLE tiny.accounts (number text CONSTRAINT accounts_pkey PRIMARY KEY, name text, parent text);
-- +goose StatementEnd
`

func tinyFiles() fstest.MapFS {
	files := fstest.MapFS{}
	for name, content := range map[string]string{
		"kit.yaml":                   tiny,
		"migrations/00001_first.sql": tinyMigration,
		"grants.sql":                 `GRANT USAGE ON SCHEMA tiny TO {{groups}}; GRANT SELECT ON tiny.things TO {{group "tiny.read"}};`,
		"charts/service.csv":         "number,parent,name_en,name_lv\n1,,One,Viens\n11,1,Eleven,Vienpadsmit\n",
		"notes/en.md":                "# Tiny 1.0.0\n",
		"notes/lv.md":                "# Mazs 1.0.0\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return files
}

func TestASmallKitIsRead(t *testing.T) {
	k, err := kit.Load(tinyFiles())
	if err != nil {
		t.Fatal(err)
	}
	if k.String() != "tiny 1.0.0" || k.Notes("lv") != "# Mazs 1.0.0\n" || k.Notes("pl") != "# Tiny 1.0.0\n" || k.Title.In("lv") != "Mazs" {
		t.Errorf("%s %q %q %q", k, k.Notes("lv"), k.Notes("pl"), k.Title.In("lv"))
	}
}

func TestAWrongKitIsRefusedWithTheReason(t *testing.T) {
	swap := func(old, now string) func(fstest.MapFS) {
		return func(files fstest.MapFS) {
			if !strings.Contains(tiny, old) {
				panic(old)
			}
			files["kit.yaml"].Data = []byte(strings.Replace(tiny, old, now, 1))
		}
	}
	file := func(name, content string) func(fstest.MapFS) {
		return func(files fstest.MapFS) { files[name] = &fstest.MapFile{Data: []byte(content)} }
	}
	without := func(name string) func(fstest.MapFS) { return func(files fstest.MapFS) { delete(files, name) } }
	for name, test := range map[string]struct {
		spoil func(fstest.MapFS)
		want  string
	}{
		"no kit.yaml":                       {without("kit.yaml"), "kit.yaml: there is no such file"},
		"an empty kit.yaml":                 {file("kit.yaml", ""), "kit.yaml: the file is empty"},
		"not YAML":                          {file("kit.yaml", "product: [tiny"), "kit.yaml: line 1: did not find expected"},
		"a second document":                 {swap("export:", "---\nexport:"), "kit.yaml: there is more than one document"},
		"an unknown key":                    {swap("area: tiny", "area: tiny\ncolour: red"), "line 6: field colour is not known here"},
		"an unknown key further down":       {swap("existing: update", "existing: update\n    exists: no"), "field exists is not known here"},
		"a key given twice":                 {swap("area: tiny", "area: tiny\narea: small"), `mapping key "area" already defined`},
		"a list where a text belongs":       {swap("product: tiny", "product: [tiny]"), "line 1: cannot unmarshal"},
		"no product":                        {swap("product: tiny", "product: ''"), "product: is missing"},
		"a product in capitals":             {swap("product: tiny", "product: Tiny"), `product: "Tiny" is not of the form`},
		"no Latvian title":                  {swap("title: {en: Tiny, lv: Mazs}", "title: {en: Tiny}"), "title.lv: is missing"},
		"no edition":                        {swap("[base]", "[]"), "editions: is missing"},
		"an edition twice":                  {swap("[base]", "[base, base]"), `editions: names "base" twice`},
		"half a version":                    {swap("version: 1.0.0", "version: 1.0"), `"1.0" is not a version written major.minor.patch`},
		"the platform's schema as area":     {swap("area: tiny", "area: kontor_meta"), `area: "kontor_meta" is taken`},
		"a platform from the future":        {swap("platform: 1.0.0", "platform: 9.0.0"), "platform: needs platform 9.0.0; this one is 1.0.0"},
		"a permission with a bad name":      {swap("tiny.write: {group", "writing: {group"), "permissions.writing: is not a permission's name"},
		"one group for two permissions":     {swap("group: tiny_write", "group: tiny_read"), "permissions.tiny.write.group: is the group of tiny.read too"},
		"nothing for reading":               {swap("writes: false", "writes: true"), "permissions: none is for reading"},
		"a local right to nothing known":    {swap("boss: [tiny.read, tiny.write]", "boss: [tiny.reign]"), `local_users.permissions.boss: "tiny.reign" is not among`},
		"a local right to nothing":          {swap("boss: [tiny.read, tiny.write]", "boss: []"), "local_users.permissions.boss: gives no permission"},
		"no column of local rights":         {swap("  rights: rights\n", ""), "local_users.rights: is missing"},
		"an activity without a chart":       {swap("[service]", "[service, mining]"), "charts/mining.csv: there is no such file"},
		"a table of another area":           {swap("table: tiny.things", "table: books.things"), `catalogues[0].sheets[0].table: "books.things" does not name a table`},
		"a catalogue nobody may import":     {swap("permission: tiny.write", "permission: tiny.rule"), `catalogues[0].permission: "tiny.rule" is not among`},
		"a catalogue that may do anything":  {swap("existing: update", "existing: replace"), "catalogues[0].existing: must be update or refuse"},
		"a sheet name Excel refuses":        {swap("sheet: Things", "sheet: Things/2"), "catalogues[0].sheets[0].sheet: must have 1 to 31"},
		"a key that is not on the sheet":    {swap("unique: [code]", "unique: [id]"), `catalogues[0].sheets[0].unique: "id" is not a column of this sheet`},
		"a column twice":                    {swap("column: price", "column: code"), `columns: names "code" twice`},
		"a heading twice":                   {swap("header: Price", "header: Code"), `columns[1].header: "Code" stands in`},
		"an unknown type":                   {swap("type: text", "type: string"), `columns[0].type: "string" is no type of column`},
		"money without a currency":          {swap(", currency: EUR", ""), "columns[1]: money names its currency_column or its currency"},
		"a currency column that is missing": {swap("currency: EUR", "currency_column: valuta"), `currency_column: "valuta" is not a column of this sheet`},
		"a default of a required column":    {swap("required: true", "required: true, default: x"), "default: has no meaning in a required column"},
		"a table carried twice":             {swap("verify:", "  - {table: tiny.things, columns: [code]}\nverify:"), `tables[1].table: "tiny.things" stands in tables[0] already`},
		"two statements in a rule":          {swap("price < 0", "price < 0; DROP TABLE x"), "verify[0].broken: must be one expression without a semicolon"},
		"a duty of one":                     {swap("permissions: [tiny.read, tiny.write], title", "permissions: [tiny.read], title"), "duties[0].permissions: needs two"},
		"a step without a condition":        {swap("done: EXISTS (SELECT FROM tiny.things)", "done: ''"), "checklist[0].done: is missing"},
		"an export without order":           {swap("order: [code]", "order: []"), "export[0].order: is missing"},
		"no migrations":                     {without("migrations/00001_first.sql"), "migrations: there are none"},
		"a gap in the migrations":           {file("migrations/00003_third.sql", tinyMigration), "00003_third.sql should have number 00002"},
		"a migration with another name":     {file("migrations/first.sql", tinyMigration), "first.sql is not named like 00001_name.sql"},
		"a migration without a mark":        {file("migrations/00001_first.sql", "SELECT 1;"), "00001_first.sql: +goose Up is missing"},
		"a migration with a way back":       {file("migrations/00001_first.sql", tinyMigration+"-- +goose Down\nDROP TABLE tiny.things;\n"), "kits only go forward"},
		"a migration out of a transaction":  {file("migrations/00001_first.sql", "-- +goose NO TRANSACTION\n"+tinyMigration), "+goose NO TRANSACTION has no place here"},
		"an open statement":                 {file("migrations/00001_first.sql", strings.TrimSuffix(tinyMigration, "-- +goose StatementEnd\n")), "StatementEnd is missing"},
		"grants for an unknown permission":  {file("grants.sql", `GRANT SELECT ON tiny.things TO {{group "tiny.reed"}};`), `"tiny.reed" is not among the kit's permissions`},
		"grants that are no template":       {file("grants.sql", "{{group"), "grants.sql: "},
		"no grants":                         {without("grants.sql"), "grants.sql: there is no such file"},
		"an account twice in a chart":       {file("charts/service.csv", "number,name_en,name_lv\n1,One,Viens\n1,One,Viens\n"), `account number "1" is empty or stands there twice`},
		"an account under nothing":          {file("charts/service.csv", "number,parent,name_en,name_lv\n1,7,One,Viens\n"), "account 1 stands under 7"},
		"a chart in one language":           {file("charts/service.csv", "number,name_en\n1,One\n"), "an account has no name_lv"},
		"a chart with a short row":          {file("charts/service.csv", "number,name_en,name_lv\n1\n"), "wrong number of fields"},
		"no Latvian notes":                  {without("notes/lv.md"), "notes/lv.md: there is no such file"},
		"empty notes":                       {file("notes/en.md", " \n"), "notes/en.md: is empty"},
		"a file of five megabytes":          {file("notes/en.md", strings.Repeat("x", 5<<20)), "notes/en.md: is larger than 4 MiB"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			files := tinyFiles()
			test.spoil(files)
			_, err := kit.Load(files)
			var invalid *kit.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want %q, got %v", test.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "kit.Definition") {
				t.Errorf("the message speaks of our code: %v", err)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	files := tinyFiles()
	files["kit.yaml"].Data = []byte(strings.NewReplacer("version: 1.0.0", "", "area: tiny\n", "area: Tiny\n").Replace(tiny))
	delete(files, "notes/en.md")
	_, err := kit.Load(files)
	for _, want := range []string{"version: is missing", `area: "Tiny"`, "notes/en.md: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

func TestASetKnowsItsKits(t *testing.T) {
	tree := func(folders ...string) fstest.MapFS {
		all := fstest.MapFS{}
		for _, folder := range folders {
			files := tinyFiles()
			version := folder[strings.IndexByte(folder, '/')+1:]
			files["kit.yaml"].Data = []byte(strings.Replace(tiny, "version: 1.0.0", "version: "+version, 1))
			for name, file := range files {
				all[folder+"/"+name] = file
			}
		}
		return all
	}
	set, err := kit.LoadSet(tree("tiny/1.10.0", "tiny/1.9.0", "tiny/0.9.9"))
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Newest("tiny").Version.String(); got != "1.10.0" {
		t.Errorf("newest is %s", got)
	}
	if set.Get("tiny", kit.Version{Major: 1, Minor: 9}) == nil || set.Get("tiny", kit.Version{Major: 2}) != nil || set.Newest("huge") != nil {
		t.Error("kits are mixed up")
	}
	if set.NewestOf("tiny") != set.Newest("tiny") || set.NewestOf("huge") != nil {
		t.Error("areas are mixed up")
	}
	wrong := tree("tiny/1.0.0")
	wrong["tiny/1.0.0/kit.yaml"].Data = []byte(strings.Replace(tiny, "version: 1.0.0", "version: 1.0.1", 1))
	if _, err := kit.LoadSet(wrong); err == nil || !strings.Contains(err.Error(), "says it is tiny/1.0.1") {
		t.Errorf("a kit in the wrong folder: %v", err)
	}
	if _, err := kit.LoadSet(fstest.MapFS{}); err == nil {
		t.Error("an empty tree is a set")
	}
	k := set.Newest("tiny")
	if _, err := kit.NewSet(k, k); err == nil {
		t.Error("the same kit twice is a set")
	}
}

func TestVersionsCompareByTheirNumbers(t *testing.T) {
	for _, text := range []string{"", "1", "1.2", "v1.2.3", "1.2.3-rc1", "01.2.3", "1.2.3.4", "1.2.3 ", "1.2.9999999"} {
		if v, err := kit.ParseVersion(text); err == nil {
			t.Errorf("%q is %v", text, v)
		}
	}
	rising := []string{"0.0.1", "0.2.0", "0.10.0", "1.0.0", "1.0.9", "1.0.10", "1.9.0", "1.10.0", "10.0.0"}
	for i := range rising {
		for j := range rising {
			a, errA := kit.ParseVersion(rising[i])
			b, errB := kit.ParseVersion(rising[j])
			if errA != nil || errB != nil || a.String() != rising[i] {
				t.Fatal(errA, errB, a)
			}
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if a.Compare(b) != want {
				t.Errorf("%s against %s: %d", a, b, a.Compare(b))
			}
		}
	}
}

// Whatever stands in a kit's files, Load answers with a kit or with what is wrong; never with another error or a panic.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(tiny), []byte(tinyMigration), []byte(`{{groups}}`), []byte("number,name_en,name_lv\n1,One,Viens\n"))
	f.Add([]byte("a: &a [*a]"), []byte("-- +goose Up"), []byte(`{{range group}}`), []byte("\"\n"))
	f.Fuzz(func(t *testing.T, yaml, migration, grants, chart []byte) {
		files := tinyFiles()
		maps.Copy(files, fstest.MapFS{
			"kit.yaml":                   {Data: yaml},
			"migrations/00001_first.sql": {Data: migration},
			"grants.sql":                 {Data: grants},
			"charts/service.csv":         {Data: chart},
		})
		k, err := kit.Load(fs.FS(files))
		var invalid *kit.InvalidError
		if (k == nil) != errors.As(err, &invalid) || (err != nil && invalid == nil) {
			t.Errorf("%v, %v", k, err)
		}
	})
}
