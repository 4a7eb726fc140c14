package tenancy_test

import (
	"fmt"
	"slices"
	"testing"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func TestStrangersAndUnknownNamesHaveNoRights(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	stranger := h.person("stranger@example.test")
	for _, c := range [][2]string{
		{stranger.account, s.GetName()},
		{"accounts/" + newID(), s.GetName()},
		{"accounts/x", s.GetName()},
		{"x", ""},
		{owner.account, "subscribers/" + newID()},
		{owner.account, "subscribers/x"},
		{owner.account, "connections/" + newID()},
		{owner.account, "connections/x"},
		{owner.account, "companies/x"},
		{owner.account, ""},
		{s.GetName(), s.GetName()},
	} {
		got := h.resolve(c[0], c[1])
		if got.GetStaff() || got.GetMember() || len(got.GetPermissions())+len(got.GetCompanies()) != 0 || got.GetAdministrator() != "" {
			t.Errorf("%v: %v", c, got)
		}
	}
	if got := h.resolve(owner.account, s.GetName()); !got.GetMember() || len(got.GetPermissions()) != len(servicetest.All()) {
		t.Errorf("the owner has %d of %d permissions", len(got.GetPermissions()), len(servicetest.All()))
	}
}

func TestConnectionAccessIsGrantedReplacedAndEnded(t *testing.T) {
	h := setup(t)
	robot := h.technical("robot@example.test")
	connection := "connections/" + newID()
	exchange := tenancyv1.NewAccessServiceClient(h.AsService("exchange"))
	grant := func(permissions ...authv1.Permission) {
		t.Helper()
		_, err := exchange.GrantConnectionAccess(t.Context(), &tenancyv1.GrantConnectionAccessRequest{
			Account: robot.account, Connection: connection, Permissions: permissions,
		})
		must(t, err)
	}
	send, read := authv1.Permission_PERMISSION_DOCUMENTS_SEND, authv1.Permission_PERMISSION_DOCUMENTS_READ
	grant(send, read)
	grant(read, send) // The same again changes nothing.
	if n := h.count("kontor.tenancy.access.changed"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if got := h.resolve(robot.account, connection); !got.GetMember() || fmt.Sprint(got.GetPermissions()) != fmt.Sprint([]authv1.Permission{send, read}) {
		t.Errorf("granted %v", got)
	}
	if got := h.resolve(robot.account, "connections/"+newID()); got.GetMember() || len(got.GetPermissions()) != 0 {
		t.Errorf("elsewhere %v", got)
	}
	grant(read)
	if got := h.resolve(robot.account, connection); fmt.Sprint(got.GetPermissions()) != fmt.Sprint([]authv1.Permission{read}) {
		t.Errorf("replaced by %v", got)
	}
	for range 2 {
		_, err := exchange.RevokeConnectionAccess(t.Context(), &tenancyv1.RevokeConnectionAccessRequest{Account: robot.account, Connection: connection})
		must(t, err)
	}
	if got := h.resolve(robot.account, connection); got.GetMember() || len(got.GetPermissions()) != 0 {
		t.Errorf("ended, yet %v", got)
	}
	if n := h.count("kontor.tenancy.access.changed"); n != 3 {
		t.Errorf("told %d times", n)
	}
	_, err := exchange.GrantConnectionAccess(t.Context(), &tenancyv1.GrantConnectionAccessRequest{Account: "x", Connection: connection})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

// Whoever manages a subscriber's connections manages this one, for as long as they are a member who may.
func TestAConnectionIsManagedByMembership(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	clerk, member := h.join(owner, s.GetName(), "janis@example.test", "administrator")
	viewer, _ := h.join(owner, s.GetName(), "liga@example.test", "document_clerk")
	stranger, _ := h.owner("peteris@else.test")
	connection := "connections/" + newID()
	for range 2 {
		_, err := tenancyv1.NewAccessServiceClient(h.AsService("exchange")).AddConnectionSubscriber(t.Context(),
			&tenancyv1.AddConnectionSubscriberRequest{Connection: connection, Subscriber: s.GetName()})
		must(t, err)
	}
	manages := func(p person) bool {
		return slices.Contains(h.resolve(p.account, connection).GetPermissions(), authv1.Permission_PERMISSION_CONNECTIONS_MANAGE)
	}
	if !manages(owner) || !manages(clerk) || manages(viewer) || manages(stranger) {
		t.Errorf("owner %v, administrator %v, document clerk %v, stranger %v", manages(owner), manages(clerk), manages(viewer), manages(stranger))
	}
	_, err := owner.members().ExcludeMember(t.Context(), &tenancyv1.ExcludeMemberRequest{Name: member.GetName()})
	must(t, err)
	if got := h.resolve(clerk.account, connection); got.GetMember() || len(got.GetPermissions()) != 0 {
		t.Errorf("who is excluded keeps %v", got.GetPermissions())
	}
}

func TestWhatIsBetweenServicesIsClosedToEverybodyElse(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	for name, conn := range map[string]tenancyv1.AccessServiceClient{
		"a person":        tenancyv1.NewAccessServiceClient(owner.conn),
		"another service": tenancyv1.NewAccessServiceClient(h.AsService("backup")),
	} {
		_, err := conn.GrantConnectionAccess(t.Context(), &tenancyv1.GrantConnectionAccessRequest{
			Account: owner.account, Connection: "connections/" + newID(), Permissions: servicetest.All(),
		})
		if failure.Reason(err) != commonv1.Reason_REASON_PERMISSION_DENIED {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, service := range []string{"identity", "licensing"} {
		_, err := h.directory(service).GetInvitationLink(t.Context(), &tenancyv1.GetInvitationLinkRequest{Name: s.GetName() + "/invitations/" + newID()})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	}
	_, err := h.directory("licensing").LookupSubscriber(t.Context(), &tenancyv1.LookupSubscriberRequest{Name: "subscribers/" + newID()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}
