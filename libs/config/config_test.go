package config_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/config"
)

type Common struct {
	Address string        `koanf:"address" doc:"Where to listen." default:"127.0.0.1:0"`
	Grace   time.Duration `koanf:"grace" doc:"How long a shutdown may take." default:"10s"`
}

type sample struct {
	Common

	Postgres struct {
		URL   string `koanf:"url" doc:"Database." secret:"true" required:"true"`
		Conns int32  `koanf:"max_conns" doc:"Connections at most." default:"10"`
	} `koanf:"postgres"`
	Regions []string          `koanf:"regions" doc:"Data centres." required:"true"`
	Labels  map[string]string `koanf:"labels" doc:"Marks."`
	Debug   bool              `koanf:"debug" doc:"Says more."`
	Rate    float64           `koanf:"rate" doc:"Share." default:"0.5"`
	Level   slog.Level        `koanf:"level" doc:"Least log level." default:"INFO"`
	Since   civil.Date        `koanf:"since" doc:"First day." default:"2014-03-01"`
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestLayersOverrideInOrder(t *testing.T) {
	file := write(t, `
address: file:1
grace: 1m
postgres: {url: from-file, max_conns: 3}
regions: [lv-1, "hu-1"]
labels: {a: 1, b.c: x}
rate: 2
since: 2026-01-31
`)
	var cfg sample
	require.NoError(t, config.Load(&cfg, config.Options{
		File: file, Service: "licensing", Others: []string{"identity", "config"},
		Environ: []string{
			"KONTOR_GRACE=2m", "KONTOR_LICENSING_GRACE=3m", "KONTOR_LICENSING_DEBUG=true", "KONTOR_ADDRESS=",
			"KONTOR_IDENTITY_ANYTHING=1", "KONTOR_CONFIG=/etc/x", "PATH=/bin", "KONTOR_LEVEL=WARN",
			"KONTOR_POSTGRES_MAX_CONNS=7",
		},
	}))
	want := sample{
		Common: Common{Address: "file:1", Grace: 3 * time.Minute}, Regions: []string{"lv-1", "hu-1"},
		Labels: map[string]string{"a": "1", "b.c": "x"}, Debug: true, Rate: 2, Level: slog.LevelWarn,
		Since: civil.Date{Year: 2026, Month: 1, Day: 31},
	}
	want.Postgres.URL, want.Postgres.Conns = "from-file", 7
	require.Equal(t, want, cfg)
}

func TestDefaultsAndListsFromEnvironment(t *testing.T) {
	var cfg sample
	require.NoError(t, config.Load(&cfg, config.Options{Environ: []string{
		"KONTOR_POSTGRES_URL=x", "KONTOR_REGIONS= lv-1 ,hu-1,", "KONTOR_LABELS=a=b, c=d=e",
	}}))
	require.Equal(t, Common{Address: "127.0.0.1:0", Grace: 10 * time.Second}, cfg.Common)
	require.Equal(t, []string{"lv-1", "hu-1"}, cfg.Regions)
	require.Equal(t, map[string]string{"a": "b", "c": "d=e"}, cfg.Labels)
	require.EqualValues(t, 10, cfg.Postgres.Conns)
	require.Equal(t, "2014-03-01", cfg.Since.String())
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	file := write(t, "adress: x\npostgres:\n  pass: x\n  max_conns: many\ndebug: [1]\nlabels:\nsince: yesterday\n")
	var cfg sample
	err := config.Load(&cfg, config.Options{File: file, Environ: []string{"KONTOR_GRAZE=1", "KONTOR_GRACE=soon"}})
	for _, part := range []string{
		"adress: unknown key", "postgres.pass: unknown key", "KONTOR_GRAZE: unknown variable", "grace: soon is not a valid duration",
		"postgres.max_conns: many is not a valid whole number", "debug:", "postgres.url: required", "regions: required", "since: yesterday",
	} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "labels")
}

func TestNumbersOutOfRangeAreRefused(t *testing.T) {
	var cfg sample
	err := config.Load(&cfg, config.Options{Environ: []string{
		"KONTOR_POSTGRES_URL=x", "KONTOR_REGIONS=x", "KONTOR_POSTGRES_MAX_CONNS=4294967296",
	}})
	require.ErrorContains(t, err, "postgres.max_conns")
}

func TestMissingAndMalformedFiles(t *testing.T) {
	var cfg sample
	require.ErrorIs(t, config.Load(&cfg, config.Options{File: filepath.Join(t.TempDir(), "none")}), os.ErrNotExist)
	require.Error(t, config.Load(&cfg, config.Options{File: write(t, "a: b: c")}))
}

func TestSecretFromItsOwnFile(t *testing.T) {
	secret := write(t, "s3cret\n")
	regions := "KONTOR_REGIONS=x"
	for name, options := range map[string]config.Options{
		"named in the file":                  {File: write(t, "postgres: {url_file: "+secret+"}"), Environ: []string{regions}},
		"named in the environment":           {Environ: []string{regions, "KONTOR_POSTGRES_URL_FILE=" + secret}},
		"environment's file over the value":  {File: write(t, "postgres: {url: old}"), Environ: []string{regions, "KONTOR_POSTGRES_URL_FILE=" + secret}},
		"environment's value over file name": {File: write(t, "postgres: {url_file: /none}"), Environ: []string{regions, "KONTOR_POSTGRES_URL=s3cret"}},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg sample
			require.NoError(t, config.Load(&cfg, options))
			require.Equal(t, "s3cret", cfg.Postgres.URL)
		})
	}
	var cfg sample
	err := config.Load(&cfg, config.Options{Environ: []string{regions, "KONTOR_POSTGRES_URL_FILE=" + secret, "KONTOR_POSTGRES_URL=hidden"}})
	require.ErrorContains(t, err, "both")
	require.NotContains(t, err.Error(), "hidden")
	err = config.Load(&cfg, config.Options{Environ: []string{regions, "KONTOR_POSTGRES_URL_FILE=/none/x"}})
	require.ErrorContains(t, err, "postgres.url_file")
}

func TestRedactionHidesSecrets(t *testing.T) {
	var cfg sample
	cfg.Postgres.URL, cfg.Address = "s3cret", "here:1"
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", config.Redact(&cfg))
	for _, text := range []string{log.String(), config.Redact(cfg).String(), fmt.Sprintf("%v %+v %#v", config.Redact(cfg), config.Redact(cfg), config.Redact(cfg))} {
		require.NotContains(t, text, "s3cret")
		require.Contains(t, text, "here:1")
		require.Contains(t, text, "(secret)")
	}
}

func TestDescribe(t *testing.T) {
	keys := config.Describe(sample{})
	require.Equal(t, config.Key{
		Name: "address", Variable: "KONTOR_ADDRESS", Type: "text", Default: "127.0.0.1:0", Doc: "Where to listen.",
	}, keys[0])
	require.Contains(t, config.Markdown(keys),
		"| `postgres.url` | `KONTOR_POSTGRES_URL` | text | required | Database. Secret; may be given as `postgres.url_file`. |\n")
}

func TestUndescribedStructsAreRefused(t *testing.T) {
	for name, cfg := range map[string]any{
		"no struct":   new(int),
		"not pointer": sample{},
		"no doc": &struct {
			A string `koanf:"a"`
		}{},
		"no key": &struct {
			A string `doc:"a"`
		}{},
		"no section": &struct {
			A struct {
				B string `koanf:"b" doc:"b"`
			}
		}{},
		"odd type": &struct {
			A chan int `koanf:"a" doc:"a"`
		}{},
		"secret int": &struct {
			A int `koanf:"a" doc:"a" secret:"true"`
		}{},
		"twice": &struct {
			Common
			A string `koanf:"address" doc:"a"`
		}{},
		"same variable": &struct {
			A string `koanf:"a_b" doc:"a"`
			B struct {
				C string `koanf:"b" doc:"b"`
			} `koanf:"a"`
		}{},
	} {
		require.Error(t, config.Load(cfg, config.Options{}), name)
	}
	require.Panics(t, func() { config.Describe(struct{ A string }{}) })
}

func FuzzFile(f *testing.F) {
	f.Add("address: x\npostgres: {url: a}\nregions: [a]")
	f.Add("labels: {a: {b: c}}")
	f.Add("postgres: 1\n? [a]\n: b")
	f.Fuzz(func(t *testing.T, content string) {
		var cfg sample
		_ = config.Load(&cfg, config.Options{File: write(t, content)}) // must not panic
	})
}
