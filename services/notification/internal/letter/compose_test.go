package letter

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"kontor.internal/libs/locale"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func composer(t *testing.T) *Composer {
	t.Helper()
	c, err := NewComposer()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func kinds() []string {
	var all []string
	for number := range notificationv1.LetterKind_name {
		if number != 0 {
			all = append(all, key(notificationv1.LetterKind(number)))
		}
	}
	return all
}

func TestEveryLetterIsWrittenInEnglishAndLatvian(t *testing.T) {
	c := composer(t)
	for _, kind := range kinds() {
		for _, language := range []locale.Language{"en", "lv"} {
			if !c.Has(language, kind) {
				t.Errorf("%s lacks %s", language, kind)
			}
		}
		for _, language := range locale.All() {
			if !c.Has(language, kind) {
				t.Logf("%s lacks %s and falls back to English", language, kind)
			}
		}
	}
}

func TestLettersReadAsTheGoldenFilesDo(t *testing.T) {
	c := composer(t)
	riga, err := time.LoadLocation("Europe/Riga")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 31, 22, 30, 0, 0, time.UTC)
	for _, kind := range kinds() {
		for _, language := range []locale.Language{"en", "lv"} {
			mail, err := c.Compose(kind, language, sample(language, "https://kontor.test", riga, now))
			if err != nil {
				t.Fatal(err)
			}
			got := "Subject: " + mail.Subject + "\n\n" + mail.Text
			path := filepath.Join("testdata", kind+"."+string(language)+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs:\n%s", path, got)
			}
		}
	}
}

func TestHostileNamesBringNoMarkupAndNoHeaders(t *testing.T) {
	c := composer(t)
	hostile := "<script>alert(1)</script>\r\nBcc: all@example.com"
	for _, kind := range kinds() {
		mail, err := c.Compose(kind, "en", Facts{
			Name: hostile, Subscriber: hostile, InvitationSubject: hostile, InvitationBody: hostile, LocalUser: hostile,
			Link: `https://kontor.test/"onmouseover="x`,
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(mail.Subject, "\r\n") {
			t.Errorf("%s: subject %q", kind, mail.Subject)
		}
		if strings.Contains(mail.HTML, "<script") || strings.Contains(mail.HTML, `"onmouseover`) {
			t.Errorf("%s: markup came in: %s", kind, mail.HTML)
		}
		wellFormed(t, mail.HTML)
	}
}

// wellFormed fails on unclosed elements and on anything fetched from elsewhere.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) != 0 {
				t.Errorf("left open: %v", open)
			}
			return
		case html.StartTagToken:
			tag, attributes := z.TagName()
			for attributes {
				var attribute []byte
				if attribute, _, attributes = z.TagAttr(); string(attribute) == "src" {
					t.Error("something is fetched")
				}
			}
			if string(tag) != "meta" {
				open = append(open, string(tag))
			}
		case html.EndTagToken:
			tag, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(tag) {
				t.Errorf("%s is closed, open are %v", tag, open)
				return
			}
			open = open[:len(open)-1]
		}
	}
}

func TestPersianIsWrittenFromRightToLeft(t *testing.T) {
	page, err := composer(t).page("fa", "s", nil, "b", "")
	if err != nil || !strings.Contains(page, `dir="rtl"`) {
		t.Fatalf("%v: %s", err, page)
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	var all time.Duration
	for tries := 1; tries < giveUpAfter; tries++ {
		if tries > 1 && Pause(tries) < Pause(tries-1) {
			t.Errorf("pause %d is shorter than the one before", tries)
		}
		all += Pause(tries)
	}
	if all < 40*time.Hour || all > 96*time.Hour {
		t.Errorf("a letter is given up after %v", all)
	}
}
