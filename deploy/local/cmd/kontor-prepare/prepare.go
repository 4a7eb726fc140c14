package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"kontor.internal/libs/mtls"
)

// layout says which part of an installation gets what.
type layout struct {
	// Owner is the user id that parts run as, unless they name another.
	Owner int             `yaml:"owner"`
	Parts map[string]part `yaml:"parts"`
}

// part is one folder, shown to one container.
type part struct {
	Owner *int `yaml:"owner"`
	// Certificates by the stem of their files: tls gives tls.crt and tls.key.
	Certificates map[string]certificate `yaml:"certificates"`
	// Files by name. ${name} stands for the secret of that name: 52 letters and
	// digits, made once, the same wherever it is named.
	Files map[string]string `yaml:"files"`
}

// certificate names either a service, for both ends of mutual TLS, or the hosts
// of a plain server.
type certificate struct {
	Service string   `yaml:"service"`
	Hosts   []string `yaml:"hosts"`
}

// installation is the folder being prepared.
type installation struct {
	dir       string
	authority *mtls.Authority
	owner     int
}

func prepare(dir, layoutFile string) error {
	plan, err := readLayout(layoutFile)
	if err != nil {
		return err
	}
	authority, err := mtls.OpenAuthority(mtls.AuthorityConfig{Dir: filepath.Join(dir, "authority")})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(plan.Parts)) {
		if name == "authority" || name == "secrets" {
			return fmt.Errorf("a part can't be called %s", name)
		}
		in := installation{dir: dir, authority: authority, owner: plan.Owner}
		if err := in.part(name, plan.Parts[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func readLayout(path string) (layout, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return layout{}, err
	}
	var plan layout
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&plan); err != nil {
		return layout{}, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

func (in installation) part(name string, p part) error {
	if p.Owner != nil {
		in.owner = *p.Owner
	}
	folder := filepath.Join(in.dir, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := in.own(folder); err != nil {
		return err
	}
	for _, stem := range slices.Sorted(maps.Keys(p.Certificates)) {
		files, err := in.issue(name, stem, p.Certificates[stem])
		if err != nil {
			return err
		}
		// The key goes first: a reader in between finds a pair that does not
		// match, and comes back.
		for _, copied := range [][2]string{{files.Key, stem + ".key"}, {files.Cert, stem + ".crt"}, {files.CA, "ca.crt"}} {
			content, err := os.ReadFile(copied[0])
			if err != nil {
				return err
			}
			if err := in.write(filepath.Join(folder, copied[1]), content); err != nil {
				return err
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(p.Files)) {
		content, err := in.expand(p.Files[file])
		if err != nil {
			return err
		}
		if err := in.write(filepath.Join(folder, file), []byte(content)); err != nil {
			return err
		}
	}
	return nil
}

func (in installation) issue(part, stem string, c certificate) (mtls.Files, error) {
	switch {
	case c.Service != "" && len(c.Hosts) > 0, c.Service == "" && len(c.Hosts) == 0:
		return mtls.Files{}, fmt.Errorf("certificate %s: needs either a service or hosts", stem)
	case c.Service != "":
		return in.authority.Issue(c.Service)
	default:
		return in.authority.IssueServer(mtls.ServerRequest{Name: part + "-" + stem, Hosts: c.Hosts})
	}
}

// expand puts secrets into a file's text.
func (in installation) expand(text string) (string, error) {
	var failed error
	expanded := os.Expand(text, func(name string) string {
		value, err := in.secret(name)
		failed = errors.Join(failed, err)
		return value
	})
	return expanded, failed
}

// secret returns the named secret, and makes it on first use.
func (in installation) secret(name string) (string, error) {
	path := filepath.Join(in.dir, "secrets", filepath.Base(name))
	content, err := os.ReadFile(path)
	if err == nil {
		return string(content), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	value := rand.Text() + rand.Text()
	return value, writeFile(path, []byte(value))
}

func (in installation) write(path string, content []byte) error {
	if before, err := os.ReadFile(path); err != nil || !bytes.Equal(before, content) {
		if err := writeFile(path, content); err != nil {
			return err
		}
	}
	return in.own(path)
}

// writeFile replaces the file in one step, so that nobody reads half of it.
func writeFile(path string, content []byte) error {
	aside, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = aside.Write(content)
	err = errors.Join(err, aside.Sync(), aside.Close())
	if err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside.Name()))
	}
	return nil
}

// own gives a file to the part's user. Only root can; when somebody else
// prepares an installation, its files stay theirs.
func (in installation) own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, in.owner, in.owner)
}
