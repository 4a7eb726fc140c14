package tenancy_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func (p person) localUsers() tenancyv1.LocalUserServiceClient {
	return tenancyv1.NewLocalUserServiceClient(p.conn)
}

// withLocalUsers puts into the books whom the program on the premises knew.
func (o *office) withLocalUsers() *office {
	o.t.Helper()
	_, err := o.cluster(o.databaseOf(o.company)).Exec(o.t.Context(), `INSERT INTO books.local_users (user_name, full_name, rights) VALUES
		('Ieva', 'Ieva Liepa', '{administrator}'), ('Jānis', '', '{accountant,cashier}'), ('Anna', 'Anna Osis', '{invoicing,catalogues}'), ('Viesis', '', '{}')`)
	must(o.t, err)
	return o
}

func (o *office) prepare(pairs ...string) (*tenancyv1.PrepareLocalUsersRequest, error) {
	r := &tenancyv1.PrepareLocalUsersRequest{Parent: o.company, RequestId: newID()}
	for i := 0; i < len(pairs); i += 2 {
		r.Users = append(r.Users, &tenancyv1.LocalUserEmail{UserName: pairs[i], Email: pairs[i+1]})
	}
	_, err := o.owner.localUsers().PrepareLocalUsers(o.t.Context(), r)
	return r, err
}

// linked are the local users that are somebody, and whom the subscriber counts as members.
func (o *office) linked() (names []string, members int) {
	o.t.Helper()
	list, err := o.owner.localUsers().ListLocalUsers(o.t.Context(), &tenancyv1.ListLocalUsersRequest{Parent: o.company})
	must(o.t, err)
	for _, u := range list.GetLocalUsers() {
		if u.GetAccount() != "" {
			names = append(names, u.GetUserName())
		}
	}
	all, err := o.owner.members().ListMembers(o.t.Context(), &tenancyv1.ListMembersRequest{Parent: o.subscriber})
	must(o.t, err)
	return names, len(all.GetMembers())
}

func TestLocalUsersAreListedWithWhatTheirRightsComeTo(t *testing.T) {
	o := setupOffice(t).withLocalUsers()
	var got []string
	for r := (&tenancyv1.ListLocalUsersRequest{Parent: o.company, PageSize: 3}); ; {
		page, err := o.owner.localUsers().ListLocalUsers(t.Context(), r)
		must(t, err)
		for _, u := range page.GetLocalUsers() {
			got = append(got, u.GetUserName()+": "+strings.Join(u.GetRoles(), " "))
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	want := []string{"Anna: catalogue_clerk invoicing_clerk", "Ieva: administrator", "Jānis: voucher_clerk", "Viesis: "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	clerk, _ := o.clerk("x@liepa.example", "accountant")
	_, err := clerk.localUsers().ListLocalUsers(t.Context(), &tenancyv1.ListLocalUsersRequest{Parent: o.company})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestLocalUsersBecomeMembersWithTheirRightsAndALetter(t *testing.T) {
	o := setupOffice(t).withLocalUsers()
	told := o.Events("kontor.tenancy.member.added")
	anna := o.person("anna@liepa.example") // She has an account already.
	r, err := o.prepare("Ieva", "ieva@liepa.example", "Anna", "Anna@liepa.example")
	must(t, err)
	letters := map[string]*tenancyv1.MemberAdded{}
	for range 2 {
		var added tenancyv1.MemberAdded
		must(t, servicetest.Next(t, told).Decode(&added))
		letters[added.GetLocalUser()] = &added
	}
	if l := letters["Ieva"]; l.GetActivation() == "" || l.GetOrigin() != tenancyv1.MemberOrigin_MEMBER_ORIGIN_PREPARED {
		t.Error(l)
	}
	if l := letters["Anna"]; l.GetActivation() != "" || l.GetAccount() != anna.account {
		t.Error(l)
	}
	again, err := o.owner.localUsers().PrepareLocalUsers(t.Context(), r)
	must(t, err)
	if got := again.GetLocalUsers(); len(got) != 2 || got[1].GetAccount() != anna.account || strings.Join(got[1].GetRoles(), " ") != "catalogue_clerk invoicing_clerk" {
		t.Error(got)
	}
	// A fresh request says the same again and changes nothing.
	repeated := proto.Clone(r).(*tenancyv1.PrepareLocalUsersRequest)
	repeated.RequestId = newID()
	_, err = o.owner.localUsers().PrepareLocalUsers(t.Context(), repeated)
	must(t, err)
	if n := o.count("kontor.tenancy.member.added"); n != 3 { // The owner, and these two.
		t.Errorf("%d were added", n)
	}
	if names, members := o.linked(); strings.Join(names, " ") != "Anna Ieva" || members != 3 {
		t.Errorf("%v, %d members", names, members)
	}
	// What she could on the premises she can here.
	opened := o.open(anna, o.seat(anna, o.company))
	if got := strings.Join(opened.GetPermissions(), " "); got != "books.issue_invoices books.manage_master_data books.read" {
		t.Error(got)
	}
}

func TestOneWrongUserRefusesThemAll(t *testing.T) {
	o := setupOffice(t).withLocalUsers()
	robot := o.technical("robot@liepa.example")
	_, err := o.prepare("Jānis", "janis@liepa.example")
	must(t, err)
	for name, c := range map[string]struct {
		name, email string
		want        commonv1.Reason
	}{
		"no e-mail address":   {"Anna", "anna", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"no local user":       {"Oskars", "oskars@liepa.example", commonv1.Reason_REASON_LOCAL_USER_UNKNOWN},
		"somebody already":    {"Jānis", "other@liepa.example", commonv1.Reason_REASON_LOCAL_USER_LINKED},
		"a technical account": {"Anna", robot.email, commonv1.Reason_REASON_ACCOUNT_TECHNICAL},
		"rights to nothing":   {"Viesis", "viesis@liepa.example", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"one e-mail for two":  {"Anna", "ieva@liepa.example", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"the same user again": {"Ieva", "ieva2@liepa.example", commonv1.Reason_REASON_INVALID_ARGUMENT},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.prepare("Ieva", "ieva@liepa.example", c.name, c.email)
			servicetest.WantReason(t, err, c.want)
		})
	}
	o.rights.allow(3) // The owner, Jānis, and one more.
	_, err = o.prepare("Ieva", "ieva@liepa.example", "Anna", "anna@liepa.example")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	if names, members := o.linked(); len(names) != 1 || members != 2 {
		t.Errorf("half done: %v, %d members", names, members)
	}
	_, err = o.prepare("Ieva", "ieva@liepa.example")
	must(t, err)
}

func TestTwoPrepareTheSameUserAtOnceAndOneAccountGetsThem(t *testing.T) {
	o := setupOffice(t).withLocalUsers()
	results := make(chan error, 2)
	for _, email := range []string{"one@liepa.example", "two@liepa.example"} {
		go func() {
			_, err := o.prepare("Ieva", email)
			results <- err
		}()
	}
	done := 0
	for range cap(results) {
		switch err := <-results; failure.Reason(err) {
		case commonv1.Reason_REASON_UNSPECIFIED:
			done++
		case commonv1.Reason_REASON_LOCAL_USER_LINKED, commonv1.Reason_REASON_CONFLICT:
		default:
			t.Error(err)
		}
	}
	if names, members := o.linked(); done != 1 || len(names) != 1 || members != 2 {
		t.Errorf("%d done, %v, %d members", done, names, members)
	}
}

// The books were written, and then the machine went down: the same once more finishes it.
func TestAPreparationThatWasCutOffIsFinishedWhenRepeated(t *testing.T) {
	o := setupOffice(t).withLocalUsers()
	ieva := o.person("ieva@liepa.example")
	_, err := o.cluster(o.databaseOf(o.company)).Exec(context.Background(), "UPDATE books.local_users SET account = $1 WHERE user_name = 'Ieva'", ieva.account)
	must(t, err)
	_, err = o.prepare("Ieva", "ieva@liepa.example")
	must(t, err)
	if names, members := o.linked(); len(names) != 1 || members != 2 {
		t.Errorf("%v, %d members", names, members)
	}
}
