package invitation_test

import (
	"strings"
	"testing"
	"time"

	"kontor.internal/services/tenancy/internal/invitation"
)

func TestTheLetterSaysWhoInvitesWheretoAndUntilWhen(t *testing.T) {
	letters, err := invitation.LoadLetters()
	if err != nil {
		t.Fatal(err)
	}
	facts := invitation.Facts{
		Inviter: "Anna Ozola", Subscriber: "SIA Bērzs", Code: "CL-1234567", Person: "Jānis Liepa",
		Until: time.Date(2026, 11, 30, 14, 5, 0, 0, time.UTC),
	}
	for language, c := range map[string]struct{ subject, until, in string }{
		"en":    {"Anna Ozola invites you to SIA Bērzs", "30 November 2026, 14:05 (UTC)", "en"},
		"lv":    {"Anna Ozola aicina jūs pievienoties: SIA Bērzs", "2026. gada 30. novembris, 14:05 (UTC)", "lv"},
		"lv-LV": {"Anna Ozola aicina jūs pievienoties: SIA Bērzs", "2026. gada 30. novembris, 14:05 (UTC)", "lv"},
		"xx":    {"Anna Ozola invites you to SIA Bērzs", "30 November 2026, 14:05 (UTC)", "en"},
		"":      {"Anna Ozola invites you to SIA Bērzs", "30 November 2026, 14:05 (UTC)", "en"},
	} {
		facts.Language = language
		letter, err := letters.Write(facts)
		if err != nil {
			t.Fatal(err)
		}
		if letter.Subject != c.subject || letter.Language != c.in {
			t.Errorf("%q: %q in %s", language, letter.Subject, letter.Language)
		}
		for _, part := range []string{"Anna Ozola", "SIA Bērzs", "CL-1234567", "Jānis Liepa", c.until} {
			if !strings.Contains(letter.Body, part) {
				t.Errorf("%q: %q is not in\n%s", language, part, letter.Body)
			}
		}
	}
}

func TestTheLetterHasItsAuthorsWordsAndSaysWhenAccessComesLater(t *testing.T) {
	letters, err := invitation.LoadLetters()
	if err != nil {
		t.Fatal(err)
	}
	now, err := letters.Write(invitation.Facts{Inviter: "Anna", Subscriber: "X", Person: "Y", Access: true, Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	later, err := letters.Write(invitation.Facts{Inviter: "Anna", Subscriber: "X", Person: "Y", Message: "See you.\nAnna", Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(later.Body, "will give you access") || !strings.Contains(later.Body, "Anna writes:\nSee you.\nAnna\n\n") {
		t.Error(later.Body)
	}
	if strings.Contains(now.Body, "will give you access") || strings.Contains(now.Body, "writes") {
		t.Error(now.Body)
	}
}

func TestNobodyWritesIntoTheSubjectsNextLine(t *testing.T) {
	letters, err := invitation.LoadLetters()
	if err != nil {
		t.Fatal(err)
	}
	letter, err := letters.Write(invitation.Facts{Inviter: "A\n\nBcc: b@c", Subscriber: "X\r\nY", Person: "Z", Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	if letter.Subject != "A Bcc: b@c invites you to X Y" {
		t.Errorf("%q", letter.Subject)
	}
}
