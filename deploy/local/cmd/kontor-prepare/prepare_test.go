package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kontor.internal/libs/mtls"
)

const sample = `
owner: 65532
parts:
  identity:
    certificates: {tls: {service: identity}}
    files:
      page_key: ${page}
      postgres_dsn: postgres://identity:${identity}@postgres/identity
  tenancy:
    certificates: {tls: {service: tenancy}}
    files: {page_key: "${page}"}
  postgres:
    owner: 999
    certificates: {tls: {hosts: [postgres]}}
    files: {init.sql: "CREATE ROLE identity LOGIN PASSWORD '${identity}';"}
`

func prepared(t *testing.T, dir, layout string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout.yaml")
	if err := os.WriteFile(path, []byte(layout), 0o600); err != nil {
		t.Fatal(err)
	}
	return prepare(dir, path)
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestPartsShareASecretByItsName(t *testing.T) {
	dir := t.TempDir()
	if err := prepared(t, dir, sample); err != nil {
		t.Fatal(err)
	}
	page, tenancys := read(t, dir, "identity", "page_key"), read(t, dir, "tenancy", "page_key")
	if len(page) != 52 || page != tenancys {
		t.Errorf("page keys %q and %q: want one key of 52 characters", page, tenancys)
	}
	password := read(t, dir, "secrets", "identity")
	if password == page {
		t.Error("two names, one secret")
	}
	if got, want := read(t, dir, "postgres", "init.sql"), "CREATE ROLE identity LOGIN PASSWORD '"+password+"';"; got != want {
		t.Errorf("init.sql = %q, want %q", got, want)
	}
}

func TestAPartHoldsACertificateThatPeersTake(t *testing.T) {
	dir := t.TempDir()
	if err := prepared(t, dir, sample); err != nil {
		t.Fatal(err)
	}
	of := func(part string) mtls.Files {
		at := func(name string) string { return filepath.Join(dir, part, name) }
		return mtls.Files{CA: at("ca.crt"), Cert: at("tls.crt"), Key: at("tls.key")}
	}
	for _, part := range []string{"identity", "tenancy", "postgres"} {
		if _, err := mtls.ServerConfig(of(part)); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
	if read(t, dir, "identity", "ca.crt") != read(t, dir, "postgres", "ca.crt") {
		t.Error("two authorities in one installation")
	}
	if _, err := os.Stat(filepath.Join(dir, "identity", "ca.key")); err == nil {
		t.Error("a part was given the authority's key")
	}
}

func TestASecondRunKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	var runs [2]map[string]string
	for i := range runs {
		if err := prepared(t, dir, sample); err != nil {
			t.Fatal(err)
		}
		runs[i] = map[string]string{}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				runs[i][path] = read(t, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.Equal(runs[0], runs[1]) {
		t.Errorf("the second run changed or added files: %d before, %d after", len(runs[0]), len(runs[1]))
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	dir := t.TempDir()
	if err := prepared(t, dir, sample); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"identity/tls.key", "identity/page_key", "secrets/page", "postgres/init.sql"} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestAWrongLayoutIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ layout, says string }{
		"unknown key":                    {"parts: {identity: {certs: {}}}", "certs"},
		"certificate of nobody":          {"parts: {identity: {certificates: {tls: {}}}}", "either a service or hosts"},
		"certificate of two kinds":       {"parts: {a: {certificates: {tls: {service: a, hosts: [b]}}}}", "either a service or hosts"},
		"part in place of the authority": {"parts: {authority: {}}", "can't be called authority"},
	} {
		t.Run(name, func(t *testing.T) {
			err := prepared(t, t.TempDir(), c.layout)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("prepare = %v, want an error that says %q", err, c.says)
			}
		})
	}
}
