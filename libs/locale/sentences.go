package locale

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Sentences are texts by language and key, with {placeholders}.
type Sentences map[Language]map[string]string

// ReadSentences reads a folder of JSON files named after their languages, `lv.json`: objects of keys and texts.
func ReadSentences(files fs.FS, folder string) (Sentences, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, err
	}
	all := Sentences{}
	for _, entry := range entries {
		content, err := fs.ReadFile(files, path.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		lang, ok := Parse(strings.TrimSuffix(entry.Name(), ".json"))
		if !ok {
			return nil, fmt.Errorf("locale: %s is no language of Kontor's", entry.Name())
		}
		texts := map[string]string{}
		if err := json.Unmarshal(content, &texts); err != nil {
			return nil, fmt.Errorf("locale: %s: %w", entry.Name(), err)
		}
		all[lang] = texts
	}
	return all, nil
}

// For picks the language that serves a wish best of those that there are texts in; English otherwise.
func (s Sentences) For(wish string) (Language, map[string]string) {
	lang := Match(wish)
	if s[lang] == nil {
		lang = English
	}
	return lang, s[lang]
}
