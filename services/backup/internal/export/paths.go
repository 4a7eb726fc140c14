package export

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// paths makes names of files that every system takes, of names that may hold anything.
type paths struct {
	folders map[string]string
	taken   map[string]bool // in small letters: not every system tells large ones apart
}

func newPaths() *paths { return &paths{folders: map[string]string{}, taken: map[string]bool{}} }

// file is a path that was not given yet.
func (p *paths) file(schema, name, ending string) string {
	folder, ok := p.folders[schema]
	if !ok {
		folder = p.free(safe(schema), "")
		p.folders[schema] = folder
	}
	return p.free(folder+"/"+safe(name), ending)
}

func (p *paths) free(stem, ending string) string {
	path := stem + ending
	for n := 2; p.taken[strings.ToLower(path)]; n++ {
		path = stem + "~" + strconv.Itoa(n) + ending
	}
	p.taken[strings.ToLower(path)] = true
	return path
}

// longest is how many letters of a name are kept: less than 255 bytes with what comes behind.
const longest = 60

// reserved are devices for Windows, whatever their ending.
var reserved = []string{
	"con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
}

// safe keeps letters, digits, `_` and `-`; the rest becomes `_`.
func safe(name string) string {
	letters := []rune(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsDigit(r) || unicode.IsLetter(r) {
			return r
		}
		return '_'
	}, name))
	kept := string(letters[:min(len(letters), longest)])
	if kept == "" || slices.Contains(reserved, strings.ToLower(kept)) {
		kept += "_"
	}
	return kept
}
