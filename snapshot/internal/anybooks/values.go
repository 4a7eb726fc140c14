package anybooks

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// kind is a type of column, with ways to fill it.
type kind struct {
	sql string // as format_type writes it
	// bulk is an expression of i, the number of the row.
	bulk string
	// edges are values at the edges of what the type holds, as text.
	edges []string
}

// Types that Draw makes in each database.
const (
	mood   = "types.mood"
	share  = "types.share"
	amount = "types.amount"
)

// kinds of which every PostgreSQL that is supported has all.
var kinds = []kind{
	{"boolean", "i % 3 = 0", []string{"t", "f"}},
	{"smallint", "(i % 30000)::smallint", []string{"-32768", "32767", "0"}},
	{"integer", "i", []string{"-2147483648", "2147483647", "-1", "0", "9", "10", "99", "100"}},
	{"bigint", "999999990 + i", []string{"-9223372036854775808", "9223372036854775807", "999999999999999999", "1000000000000000000"}},
	{"numeric", "i / 7.0", []string{"NaN", "Infinity", "-Infinity", "0.00", "-0.10", "1e-300", strings.Repeat("9", 900) + "." + strings.Repeat("123", 300)}},
	{"numeric(14,2)", "i / 8.0", []string{"-999999999999.99", "0", "NaN"}},
	{"real", "sqrt(abs(i))::real", []string{"NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"}},
	{"double precision", "sqrt(abs(i))", []string{"NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.30000000000000004"}},
	{"text", "'line ' || i", words},
	{"character varying(40)", "'same'", []string{"", `\N`, `\.`, "a\tb\nc\rd", `\\`}},
	{"character(7)", "'c' || i % 10", []string{"", " x", "\t\n", "ä"}},
	{"bytea", "decode(md5(i::text), 'hex')", []string{`\x`, `\x00`, `\x5c4e0a09`, `\x` + strings.Repeat("ff00", 5000)}},
	{"date", "date '2000-01-01' + i % 9000", []string{"infinity", "-infinity", "4713-01-01 BC", "0044-03-15 BC", "5874897-12-31"}},
	{"time without time zone", "time '00:00' + i % 86400 * interval '1 s'", []string{"00:00", "24:00", "12:34:56.789012"}},
	{"time with time zone", "timetz '00:00+02' + i % 86400 * interval '1 s'", []string{"00:00:00+15:59", "24:00-12", "01:02:03.000004-03:30"}},
	{"timestamp without time zone", "timestamp '2020-01-01' + i * interval '1 min'", []string{"infinity", "-infinity", "4713-01-01 00:00 BC", "294276-12-31 23:59:59.999999"}},
	{"timestamp with time zone", "timestamptz '2020-01-01 00:00+00' + i * interval '61 s'", []string{"infinity", "-infinity", "0001-01-01 00:00+00 BC", "2024-03-31 02:30:00.000001+13:45"}},
	{"interval", "i * interval '1 h'", []string{"-1 mons +1 day -00:00:00.000001", "178000000 years", "1 year -2 days", "0"}},
	{"uuid", "md5(i::text)::uuid", []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
	{"json", "json_build_object('n', i)", []string{`{"b": 1,  "a":"\u00e4\n", "b":null}`, `""`, "[1e400]", " null "}},
	{"jsonb", "jsonb_build_object('n', i, 's', 'x\t\\y')", []string{`{"b":1,"a":"\t\\"}`, "[]", "1.10", `"\u2028"`}},
	{"inet", "inet '10.0.0.0' + i % 60000", []string{"::1/64", "255.255.255.255", "10.1.2.3/8"}},
	{"cidr", "cidr '10.0.0.0/8'", []string{"::/0", "192.168.0.0/16"}},
	{"macaddr", "macaddr '08:00:2b:01:02:03'", []string{"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"}},
	{"bit(5)", "(i % 32)::bit(5)", []string{"00000", "11111"}},
	{"bit varying", "(i % 256)::bit(8)", []string{"", "1", strings.Repeat("10", 700)}},
	{"point", "point(i, -i)", []string{"(0,-0)", "(1e300,NaN)"}},
	{"int4range", "int4range(i, i + 3)", []string{"empty", "(,)", "[1,1]"}},
	{"tstzrange", "tstzrange('2020-01-01 00:00+00', timestamptz '2020-01-02 00:00+00' + abs(i) * interval '1 s')", []string{"empty", "[,infinity]", `["2020-01-01 00:00:00.5+00",)`}},
	{"int4multirange", "int4multirange(int4range(i, i + 1), int4range(i + 5, i + 6))", []string{"{}", "{[1,2),[4,)}"}},
	{"tsvector", "to_tsvector('simple', 'row ' || i)", []string{"", `'a':1A,3 'b\\c' 'it''s':2`}},
	{"money", "(i % 1000000)::numeric::money", []string{"-92233720368547758.08", "0.01"}},
	{"oid", "(i & 65535)::oid", []string{"4294967295", "0"}},
	{"integer[]", "ARRAY[i, NULL, i + 1]", []string{"{}", "{NULL}", "{{1,2},{NULL,4}}", "[2:3]={7,8}"}},
	{"text[]", "ARRAY['a', i::text, NULL]", []string{"{}", `{"",NULL,"NULL","a\tb","q\"\\ ,{}"}`, `{{a,b},{"c d",NULL}}`}},
	{"numeric[]", "ARRAY[[i, 1.50], [NULL, 0]]", []string{"{NaN,Infinity}", "{{{1}}}"}},
	{mood, "CASE WHEN i % 2 = 0 THEN enum_first(NULL::types.mood) ELSE enum_last(NULL::types.mood) END", nil},
	{mood + "[]", "ARRAY[enum_first(NULL::types.mood), NULL]", []string{"{}"}},
	{share, "i % 100 / 100.0", []string{"0", "1", "0.5000"}},
	{amount, "ROW(i, 'eur\t' || i % 3, enum_last(NULL::types.mood))::types.amount", []string{"(,,)", `(1.00,"a""b\\,()",)`, `(NaN,"",)`}},
}

// words are hard on whoever reads or writes lines of text.
var words = []string{
	"", `\N`, `\.`, `\`, `\\`, "\t", "\n", "\r", "\r\n", "\v", "\f", "\b", "\x01\x1f\x7f", "a\tb\nc\\d\re", `\t`, `\v`, "'", `"`, "''", "$$", "NULL", "null",
	" ", "  padded  ", "0", "00", "007", "999999999999999999", "999999999999999998", "1000000000000000000", "-1", "äöüß", "漢字", "🧾", "e\u0301", "\u200b", "\u2028", "\ufeff", "\U0010ffff",
	"(1,2)", "{NULL}", "%s %d", strings.Repeat(`\`, 300), strings.Repeat("\t\n", 500),
}

// long values are longer than a chunk is on average, and than the longest chunk.
var long = []string{
	"(SELECT string_agg(md5(n::text), E'\\n') FROM generate_series(1, 9000) n)",
	"repeat(E'\\\\\\t', 90000)",
	"(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 20000) n)",
}

// quoted writes text for SQL, whatever is in it.
func quoted(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// value draws one for a row with the number i.
func (k kind) value(t *rapid.T, i int) string {
	switch pick := rapid.IntRange(0, 9).Draw(t, "value"); {
	case pick < 2:
		return "NULL"
	case pick == 2 && k.sql == "text":
		return quoted(printable.Draw(t, "text"))
	case pick == 3 && k.sql == "text" && rapid.IntRange(0, 5).Draw(t, "long") == 0:
		return rapid.SampledFrom(long).Draw(t, "how")
	case pick < 8 && len(k.edges) > 0:
		return quoted(rapid.SampledFrom(k.edges).Draw(t, "edge")) + "::" + k.sql
	}
	return k.of(fmt.Sprintf("(%d)", i))
}

// of is the bulk expression for a row's number.
func (k kind) of(i string) string {
	return "(SELECT (" + k.bulk + ")::" + k.sql + " FROM (SELECT " + i + "::integer AS i) one)"
}

// many is an expression of i for rows by the hundred: counting, the same again and again, or with gaps.
func (k kind) many(t *rapid.T) string {
	switch pick := rapid.IntRange(0, 5).Draw(t, "many"); {
	case pick == 0:
		return "CASE WHEN i % 5 > 0 THEN " + k.bulk + " END"
	case pick == 1 && len(k.edges) > 0:
		return quoted(rapid.SampledFrom(k.edges).Draw(t, "edge")) + "::" + k.sql
	case pick == 2 && k.sql == "text":
		return "i::text"
	case pick == 3 && k.sql == "text":
		return "md5(i::text) || chr(9 + i % 5) || repeat('x', i % 90)"
	case pick == 4:
		return k.of("(i / 40)")
	}
	return k.bulk
}

// printable is any text that PostgreSQL takes.
var printable = rapid.String().Filter(func(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) })

// kindOf finds the kind by its name in SQL.
func kindOf(sql string) (kind, bool) {
	for _, k := range kinds {
		if k.sql == sql {
			return k, true
		}
	}
	return kind{}, false
}
