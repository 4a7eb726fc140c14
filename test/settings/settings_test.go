// Package settings keeps docs/configuration.md true.
package settings

import (
	"flag"
	"os"
	"strings"
	"testing"

	"kontor.internal/libs/config"
	"kontor.internal/test/internal/programs"
)

const page = "../../docs/configuration.md"

var update = flag.Bool("update", false, "write the page instead of comparing it")

func TestTheDocumentedSettingsAreTheOnesThereAre(t *testing.T) {
	want := render()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/configuration.md is not what the programs take; run: go test ./test/settings -update")
	}
}

// render writes what all services share once, and then each program's own.
func render() string {
	all := programs.All()
	var out strings.Builder
	out.WriteString(`# Settings

Written from the programs themselves by ` + "`go test ./test/settings -update`" + `; a test compares.

A setting is read, in rising order of precedence, from its default, from the YAML file that ` + "`-config` or `KONTOR_CONFIG`" + ` names
(keys nest at the dots), from its variable in the environment, and from the same variable with the program's name in
it (` + "`KONTOR_IDENTITY_LOG_LEVEL`" + ` wins over ` + "`KONTOR_LOG_LEVEL`" + `). A secret may stand in a file of its own, which
` + "`<key>_file`" + ` names. Unknown keys and variables are refused.

## Every service

`)
	shared := common(all)
	var keys []config.Key
	for _, key := range all[0].Keys {
		if shared[key] {
			keys = append(keys, key)
		}
	}
	out.WriteString(config.Markdown(keys))
	for _, program := range all {
		own := program.Keys[:0:0]
		for _, key := range program.Keys {
			if !shared[key] || program.Name == "gateway" {
				own = append(own, key)
			}
		}
		if len(own) > 0 {
			out.WriteString("\n## " + program.Name + "\n\n" + config.Markdown(own))
		}
	}
	return out.String()
}

// common are the keys that all services have alike; the gateway is none.
func common(all []programs.Program) map[config.Key]bool {
	count, services := map[config.Key]int{}, 0
	for _, program := range all {
		if program.Name == "gateway" {
			continue
		}
		services++
		for _, key := range program.Keys {
			count[key]++
		}
	}
	shared := map[config.Key]bool{}
	for key, n := range count {
		shared[key] = n == services
	}
	return shared
}
