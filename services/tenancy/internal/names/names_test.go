package names_test

import (
	"testing"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/names"
)

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	s, c := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	for name, parse := range map[string]func(string) (uuid.UUID, uuid.UUID, error){
		names.Member(s, c): names.ParseMember, names.Invitation(s, c): names.ParseInvitation, names.Company(s, c): names.ParseCompany,
	} {
		parent, child, err := parse(name)
		if err != nil || parent != s || child != c {
			t.Errorf("%s = %v, %v, %v", name, parent, child, err)
		}
	}
	for name, parse := range map[string]func(string) (uuid.UUID, error){
		names.Account(s): names.ParseAccount, names.Subscriber(s): names.ParseSubscriber, names.Staff(s): names.ParseStaff,
	} {
		if got, err := parse(name); err != nil || got != s {
			t.Errorf("%s = %v, %v", name, got, err)
		}
	}
}

func TestANameThatCannotBeIsNotFound(t *testing.T) {
	s := uuid.Must(uuid.NewV7()).String()
	for _, name := range []string{
		"", "members", "subscribers/" + s, "subscribers/x/members/" + s, "subscribers/" + s + "/members/",
		"subscribers/" + s + "/members/" + s + "/more", "accounts/" + s + "/members/" + s, "subscribers/" + s + "/companies/" + s,
		"subscribers/" + s + "/members/{" + s + "}",
	} {
		if _, _, err := names.ParseMember(name); failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
			t.Errorf("%q: %v", name, err)
		}
	}
}
