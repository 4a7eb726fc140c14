package opening

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/seattoken"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
)

func loadKits(t *testing.T) *kit.Set {
	t.Helper()
	set, err := kits.Load()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func books(t *testing.T) *kit.Kit {
	t.Helper()
	return loadKits(t).Newest("books")
}

func TestEveryKitPermissionIsSomebodysRight(t *testing.T) {
	named := map[string]authv1.Permission{}
	for value := range authv1.Permission_name {
		p := authv1.Permission(value)
		if name := kitPermission(p); name != "" {
			named[name] = p
		}
	}
	set := loadKits(t)
	used := map[string]bool{}
	for _, product := range set.Products() {
		for _, k := range set.Kits(product) {
			for _, name := range k.PermissionNames() {
				used[name] = true
				if _, known := named[name]; !known {
					t.Errorf("%s asks for %s, which no right comes to", k, name)
				}
			}
		}
	}
	for name, p := range named {
		if !used[name] {
			t.Errorf("%s stands for %s, which no kit asks for", p, name)
		}
		if want := "PERMISSION_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_")); p.String() != want {
			t.Errorf("%s stands for %s", p, name)
		}
	}
}

func TestEveryRightInBooksStandsForAKitPermission(t *testing.T) {
	for value, name := range authv1.Permission_name {
		inKit := strings.HasPrefix(name, "PERMISSION_BOOKS_") || strings.HasPrefix(name, "PERMISSION_PAYROLL_")
		if got := kitPermission(authv1.Permission(value)); (got != "") != inKit {
			t.Errorf("%s stands for %q", name, got)
		}
	}
}

func TestRolesComeToTheKitsPermissions(t *testing.T) {
	k, here, elsewhere := books(t), uuid.New(), uuid.New()
	held := func(in uuid.UUID, roles ...string) member.Rights {
		return member.RightsOf(false, member.Held{Companies: map[uuid.UUID][]string{in: roles}})
	}
	for name, c := range map[string]struct {
		rights   member.Rights
		readOnly bool
		want     string
	}{
		"the owner has all":                    {member.RightsOf(true, member.Held{}), false, strings.Join(k.PermissionNames(), " ")},
		"a clerk has what fits the post":       {held(here, "invoicing_clerk"), false, "books.issue_invoices books.read"},
		"two posts come together":              {held(here, "voucher_clerk", "payment_approver"), false, "books.approve_payments books.post_vouchers books.read"},
		"a post in the whole subscriber":       {member.RightsOf(false, member.Held{Wide: []string{"viewer"}}), false, "books.read"},
		"a post elsewhere gives nothing here":  {held(elsewhere, "accountant"), false, ""},
		"payroll gives nothing in the books":   {held(here, "payroll_clerk"), false, ""},
		"who only reads keeps reading":         {held(here, "accountant"), true, "books.read"},
		"documents alone open nothing":         {held(here, "document_clerk"), false, ""},
		"somebody without rights has nothing":  {member.Rights{}, false, ""},
		"an auditor reads, whatever is lawful": {held(here, "auditor"), false, "books.read"},
	} {
		if got := strings.Join(PermissionsIn(k, inCompany(c.rights, here), c.readOnly), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestASeatOpensOnlyForItsHolderInItsCompanyInItsTime(t *testing.T) {
	account, subscriber, company, at := uuid.New(), uuid.New(), uuid.New(), time.Now()
	good := seattoken.Claims{Seat: "s", Account: names.Account(account), Company: names.Company(subscriber, company), Expires: at.Add(time.Second)}
	for name, c := range map[string]struct {
		change func(*seattoken.Claims)
		refuse bool
	}{
		"one's own":            {func(*seattoken.Claims) {}, false},
		"somebody else's":      {func(s *seattoken.Claims) { s.Account = names.Account(uuid.New()) }, true},
		"nobody's":             {func(s *seattoken.Claims) { s.Account = "" }, true},
		"another company's":    {func(s *seattoken.Claims) { s.Company = names.Company(subscriber, uuid.New()) }, true},
		"another subscriber's": {func(s *seattoken.Claims) { s.Company = names.Company(uuid.New(), company) }, true},
		"over":                 {func(s *seattoken.Claims) { s.Expires = at }, true},
	} {
		seat := good
		c.change(&seat)
		err := checkSeat(seat, Request{Subscriber: subscriber, Company: company, Account: account}, at)
		if (err != nil) != c.refuse || err != nil && failure.Reason(err) != commonv1.Reason_REASON_OPENING_SEAT_INVALID {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsFollowTheirSeats(t *testing.T) {
	at := time.Now().UTC().Truncate(time.Microsecond)
	row := func(seat string) due { return due{ID: uuid.New(), Seat: seat, LeaseEnd: at} }
	rows := []due{row("held"), row("gone"), row("unknown"), row("untold"), row("held as known"), row("gone")}
	state := func(held, unknown bool, end time.Time) *licensingv1.SeatState {
		return &licensingv1.SeatState{Held: held, Unknown: unknown, ExpireTime: timestamppb.New(end)}
	}
	renewed, gone := divide(rows, map[string]*licensingv1.SeatState{
		"held": state(true, false, at.Add(time.Minute)), "gone": state(false, false, at), "unknown": state(false, true, at),
		"held as known": state(true, false, at),
	})
	if len(renewed) != 1 || renewed[0].ID != rows[0].ID || !renewed[0].LeaseEnd.Equal(at.Add(time.Minute)) {
		t.Errorf("renewed %v", renewed)
	}
	if !slices.Equal(gone, []uuid.UUID{rows[1].ID, rows[5].ID}) {
		t.Errorf("gone %v", gone)
	}
}

func TestALoginIsMovedSeldomAndNeverEndsBeforeTheLease(t *testing.T) {
	lease, moves := time.Minute, 0
	at := time.Now()
	until := loginUntil(at.Add(lease))
	for range 60 { // An hour of renewals.
		at = at.Add(lease)
		if end := at.Add(lease); movesLogin(end, until) {
			until = loginUntil(end)
			moves++
		}
		if until.Before(at.Add(lease)) {
			t.Fatal("the login ends before the lease")
		}
	}
	if moves == 0 || moves > 6 {
		t.Errorf("moved %d times in an hour", moves)
	}
}

func TestASlotIsUsedAsItStandsOnlyWhenAllIsTheSame(t *testing.T) {
	account := uuid.New()
	s := slot{Made: true, Groups: []string{"a", "b"}, ReadOnly: true, BoundTo: &account, YearFrom: 2024, YearTo: 2025}
	if !s.stands([]string{"a", "b"}, true) || !s.bound(binding{account, 2024, 2025}) {
		t.Error("the same is not taken for the same")
	}
	for name, other := range map[string]slot{
		"not made": {Groups: s.Groups, ReadOnly: true}, "a group more": {Made: true, Groups: []string{"a", "b", "c"}, ReadOnly: true},
		"may write": {Made: true, Groups: s.Groups},
	} {
		if other.stands([]string{"a", "b"}, true) {
			t.Error(name)
		}
	}
	for name, other := range map[string]binding{
		"somebody else": {uuid.New(), 2024, 2025}, "from another year": {account, 2023, 2025}, "to any year": {account, 2024, 0},
	} {
		if s.bound(other) {
			t.Error(name)
		}
	}
	if (slot{}).bound(binding{}) {
		t.Error("a slot that nothing is known of counts as bound")
	}
}

func TestOnlyACompanysOwnCopyThatIsInUseIsOpened(t *testing.T) {
	company := uuid.New()
	for name, c := range map[string]struct {
		d    database.Database
		want commonv1.Reason
	}{
		"a copy":          {database.Database{Company: company, Purpose: database.RestoredBeside, State: database.InUse}, commonv1.Reason_REASON_UNSPECIFIED},
		"another's copy":  {database.Database{Company: uuid.New(), Purpose: database.RestoredBeside, State: database.InUse}, commonv1.Reason_REASON_NOT_FOUND},
		"no copy":         {database.Database{Company: company, Purpose: database.Made, State: database.InUse}, commonv1.Reason_REASON_NOT_FOUND},
		"made just now":   {database.Database{Company: company, Purpose: database.RestoredBeside, State: database.BeingMade}, commonv1.Reason_REASON_RESTORE_TARGET_STATE},
		"dropped already": {database.Database{Company: company, Purpose: database.RestoredBeside, State: database.Dropping}, commonv1.Reason_REASON_RESTORE_TARGET_STATE},
	} {
		if got := checkCopy(c.d, company); got == nil && c.want != 0 || got != nil && failure.Reason(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatEndedMeanwhileSaysWhatToDo(t *testing.T) {
	for end, want := range map[tenancyv1.SessionEnd]commonv1.Reason{
		tenancyv1.SessionEnd_SESSION_END_SEAT:        commonv1.Reason_REASON_OPENING_SEAT_ENDED,
		tenancyv1.SessionEnd_SESSION_END_MAINTENANCE: commonv1.Reason_REASON_COMPANY_NOT_READY,
		tenancyv1.SessionEnd_SESSION_END_RIGHTS:      commonv1.Reason_REASON_CONFLICT,
		tenancyv1.SessionEnd_SESSION_END_CLOSED:      commonv1.Reason_REASON_CONFLICT,
	} {
		if got := failure.Reason(endedMeanwhile(end)); got != want {
			t.Errorf("%v: %v", end, got)
		}
	}
}

func TestAreasAreFoundWithTheKitTheyWereMadeFrom(t *testing.T) {
	set := loadKits(t)
	d := database.Database{Areas: []database.Area{{Area: "books", Product: "books", Version: "1.3.0"}, {Area: "payroll", Product: "payroll", Version: "9.9.9"}}}
	p, err := placeIn(d, "books", set)
	if err != nil || p.kit.Version.String() != "1.3.0" {
		t.Errorf("%v, %v", p.kit, err)
	}
	if _, err := placeIn(d, "chess", set); failure.Reason(err) != commonv1.Reason_REASON_DATA_AREA_MISSING {
		t.Error(err)
	}
	if _, err := placeIn(d, "payroll", set); failure.Reason(err) != commonv1.Reason_REASON_KIT_UNKNOWN {
		t.Error(err)
	}
}
