// Package pages checks that what the documentation points to is there.
package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestEveryLinkOfEveryPageLeadsToAFile(t *testing.T) {
	const root = "../.."
	// Kept or about to be: what git ignores is nobody's page.
	listed, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatalf("list pages: %v", err)
	}
	pages := strings.Fields(string(listed))
	if len(pages) == 0 {
		t.Fatal("no pages found")
	}
	for _, page := range pages {
		content, err := os.ReadFile(filepath.Join(root, page))
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(content), -1) {
			target := match[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), target)); err != nil {
				t.Errorf("%s points to %s, which is not there", page, target)
			}
		}
	}
}
