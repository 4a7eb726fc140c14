package kit

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed platform/*.sql
var platformFiles embed.FS

// migration is one step forward of a schema, in goose's form without a way back.
type migration struct {
	number int
	name   string // file name
	sql    string // what stands under "+goose Up"
	sum    string // SHA-256 of the file, hex
}

var migrationName = regexp.MustCompile(`^([0-9]{5})_[a-z0-9_]+\.sql$`)

// migrations reads the folder migrations: 00001_….sql, 00002_….sql and so on without a gap.
func (c *checker) migrations(folder fs.FS) []migration {
	list, err := readMigrations(folder, "migrations")
	if err != nil {
		c.problems = append(c.problems, Problem{Path: "migrations", Text: err.Error()})
	}
	return list
}

func readMigrations(folder fs.FS, dir string) ([]migration, error) {
	entries, err := fs.ReadDir(folder, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil, errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	var list []migration
	for _, entry := range entries {
		parts := migrationName.FindStringSubmatch(entry.Name())
		if parts == nil {
			return nil, fmt.Errorf("%s is not named like 00001_name.sql", entry.Name())
		}
		content, err := readFile(folder, path.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s %w", entry.Name(), err)
		}
		up, err := upSection(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		number, _ := strconv.Atoi(parts[1]) // five digits, as the form says
		sum := sha256.Sum256(content)
		list = append(list, migration{number: number, name: entry.Name(), sql: up, sum: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(list, func(a, b migration) int { return a.number - b.number })
	for i, one := range list {
		if one.number != i+1 {
			return nil, fmt.Errorf("%s should have number %05d: numbers begin at 1 and leave no gap", one.name, i+1)
		}
	}
	return list, nil
}

// upSection returns the statements under "+goose Up". They are sent as one, so the marks around single statements are not
// needed and only checked; what goose can do beyond that would break the one transaction, and is refused.
func upSection(content []byte) (string, error) {
	var up strings.Builder
	found, inside := false, false
	for line := range bytes.Lines(content) {
		mark, isMark := strings.CutPrefix(strings.TrimSpace(string(line)), "-- +goose ")
		if !isMark {
			if found {
				up.Write(line)
			}
			continue
		}
		switch mark = strings.TrimSpace(mark); {
		case mark == "Up" && !found:
			found = true
		case mark == "StatementBegin" && found && !inside:
			inside = true
		case mark == "StatementEnd" && inside:
			inside = false
		case mark == "Down":
			return "", errors.New("kits only go forward: no +goose Down")
		default:
			return "", fmt.Errorf("+goose %s has no place here", mark)
		}
	}
	switch {
	case !found:
		return "", errors.New("+goose Up is missing")
	case inside:
		return "", errors.New("+goose StatementEnd is missing")
	case strings.TrimSpace(up.String()) == "":
		return "", errors.New("there is nothing under +goose Up")
	}
	return up.String(), nil
}
