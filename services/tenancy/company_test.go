package tenancy_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func (p person) companies() tenancyv1.CompanyServiceClient {
	return tenancyv1.NewCompanyServiceClient(p.conn)
}

// addCompany asks for a company and waits until it is made or not.
func (p person) addCompany(r *tenancyv1.CreateCompanyRequest) (*tenancyv1.Company, *commonv1.Operation) {
	p.h.t.Helper()
	answer, err := p.companies().CreateCompany(p.h.t.Context(), r)
	must(p.h.t, err)
	over := p.ends(answer.GetOperation().GetName())
	got, err := p.companies().GetCompany(p.h.t.Context(), &tenancyv1.GetCompanyRequest{Name: answer.GetCompany().GetName()})
	must(p.h.t, err)
	return got.GetCompany(), over
}

// ends waits for an operation's end.
func (p person) ends(operation string) (over *commonv1.Operation) {
	p.h.t.Helper()
	servicetest.Eventually(p.h.t, operation+" ends", func() bool {
		got, err := commonv1.NewOperationServiceClient(p.conn).GetOperation(p.h.t.Context(), &commonv1.GetOperationRequest{Name: operation})
		must(p.h.t, err)
		over = got.GetOperation()
		return over.GetEndTime() != nil
	})
	return over
}

func newCompany(subscriber string) *tenancyv1.CreateCompanyRequest {
	return &tenancyv1.CreateCompanyRequest{
		Parent: subscriber, Title: "Liepa SIA", TaxNumber: "lv 4000-300-0123", Activity: "trade", RequestId: newID(),
	}
}

// cluster is a superuser's connection to a database of the cluster.
func (h *house) cluster(database string) *pgx.Conn {
	h.t.Helper()
	server, _ := servertest.TLSPostgres(h.t)
	conn, err := pgx.Connect(h.t.Context(), server.DSN(database))
	must(h.t, err)
	h.t.Cleanup(func() { must(h.t, conn.Close(context.Background())) })
	return conn
}

// databaseOf is the name of a company's live database on its cluster.
func (h *house) databaseOf(company string) (name string) {
	h.t.Helper()
	must(h.t, h.DB.QueryRow(h.t.Context(), `SELECT d.database_name FROM company c JOIN company_database d ON d.id = c.live_id
		WHERE c.id = $1`, company[len(company)-36:]).Scan(&name))
	return name
}

func TestACompanyIsAddedEmptyWithAChartForItsActivity(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	told := h.Events("kontor.tenancy.company.>")
	company, over := owner.addCompany(newCompany(s.GetName()))
	if over.GetState() != commonv1.Operation_STATE_SUCCEEDED || company.GetState() != tenancyv1.CompanyState_COMPANY_STATE_READY {
		t.Fatalf("%v %v", over, company)
	}
	if company.GetTaxNumber() != "LV40003000123" || company.GetCountry() != "LV" || company.GetRegion() != "eu-north" {
		t.Error(company)
	}
	if areas := company.GetDataAreas(); len(areas) != 1 || areas[0].GetArea() != "books" || areas[0].GetVersion() != "1.4.0" {
		t.Error(areas)
	}
	if len(company.GetChecklist()) < 3 || company.GetChecklist()[0].GetKey() != "company_data" || company.GetChecklist()[0].GetDone() {
		t.Error(company.GetChecklist())
	}
	var accounts int
	must(t, h.cluster(h.databaseOf(company.GetName())).QueryRow(t.Context(), "SELECT count(*) FROM books.accounts").Scan(&accounts))
	if accounts < 20 {
		t.Errorf("the chart has %d accounts", accounts)
	}
	for _, subject := range []string{"created", "ready"} {
		if e := servicetest.Next(t, told); e.Envelope.GetType() != "kontor.tenancy.company."+subject {
			t.Errorf("told %s, want %s", e.Envelope.GetType(), subject)
		}
	}
}

func TestACompanyDatabaseIsClosedToEverybodyElse(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	one, _ := owner.addCompany(newCompany(s.GetName()))
	admin := h.cluster("postgres")
	var public, ownerLogin, super bool
	must(t, admin.QueryRow(t.Context(), `SELECT
		EXISTS (SELECT FROM aclexplode(d.datacl) a WHERE a.grantee = 0),
		r.rolcanlogin, r.rolsuper
		FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = $1`,
		h.databaseOf(one.GetName())).Scan(&public, &ownerLogin, &super))
	if public || ownerLogin || super {
		t.Errorf("everybody may enter: %v, the owner signs in: %v, is a superuser: %v", public, ownerLogin, super)
	}
}

func TestARepeatedRequestAddsOneCompany(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	r := newCompany(s.GetName())
	one, _ := owner.addCompany(r)
	h.rights.allow(1)
	again, err := owner.companies().CreateCompany(t.Context(), r)
	must(t, err)
	if again.GetCompany().GetName() != one.GetName() {
		t.Errorf("%s and %s", again.GetCompany().GetName(), one.GetName())
	}
	r.Title = "Another"
	_, err = owner.companies().CreateCompany(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
	_, err = owner.companies().CreateCompany(t.Context(), newCompany(s.GetName()))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	if got := h.rights.lastCount(); got != 2 {
		t.Errorf("licensing was asked for %d companies, want 2", got)
	}
}

func TestWhatIsNoCompanyIsRefusedWithItsReason(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	stranger, other := h.owner("anna@osis.example")
	foreign, _ := stranger.addCompany(newCompany(other.GetName()))
	cases := map[string]struct {
		change func(*tenancyv1.CreateCompanyRequest)
		reason commonv1.Reason
	}{
		"a wrong tax number":   {func(r *tenancyv1.CreateCompanyRequest) { r.TaxNumber = "LV1234" }, commonv1.Reason_REASON_TAX_NUMBER_INVALID},
		"an unknown product":   {func(r *tenancyv1.CreateCompanyRequest) { r.Product = "chess" }, commonv1.Reason_REASON_KIT_UNKNOWN},
		"an unknown activity":  {func(r *tenancyv1.CreateCompanyRequest) { r.Activity = "piracy" }, commonv1.Reason_REASON_ACTIVITY_UNKNOWN},
		"a foreign head":       {func(r *tenancyv1.CreateCompanyRequest) { r.HeadCompany = foreign.GetName() }, commonv1.Reason_REASON_HEAD_COMPANY_INVALID},
		"no such upload":       {func(r *tenancyv1.CreateCompanyRequest) { r.Activity, r.Upload = "", s.GetName()+"/uploads/"+newID() }, commonv1.Reason_REASON_NOT_FOUND},
		"a foreign subscriber": {func(r *tenancyv1.CreateCompanyRequest) { r.Parent = other.GetName() }, commonv1.Reason_REASON_PERMISSION_DENIED},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newCompany(s.GetName())
			c.change(r)
			_, err := owner.companies().CreateCompany(t.Context(), r)
			servicetest.WantReason(t, err, c.reason)
		})
	}
	if list, err := owner.companies().ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: s.GetName()}); err != nil || len(list.GetCompanies()) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestOneSeesOnlyTheCompaniesInWhichOneHasARight(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	one, _ := owner.addCompany(newCompany(s.GetName()))
	two, _ := owner.addCompany(newCompany(s.GetName()))
	clerk := h.person("ieva@liepa.example")
	_, err := owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: s.GetName(), Email: clerk.email, RequestId: newID(), Member: &tenancyv1.Member{
			Access: true, CompanyRoles: []*tenancyv1.CompanyRoles{{Company: two.GetName(), Roles: []string{"accountant"}}},
		},
	})
	must(t, err)
	list, err := clerk.companies().ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: s.GetName()})
	must(t, err)
	if got := list.GetCompanies(); len(got) != 1 || got[0].GetName() != two.GetName() || len(got[0].GetDataAreas()) != 1 {
		t.Error(got)
	}
	_, err = clerk.companies().GetCompany(t.Context(), &tenancyv1.GetCompanyRequest{Name: one.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	stranger := h.person("nobody@else.example")
	_, err = stranger.companies().ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: s.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)

	page, err := owner.companies().ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: s.GetName(), PageSize: 1})
	must(t, err)
	rest, err := owner.companies().ListCompanies(t.Context(), &tenancyv1.ListCompaniesRequest{Parent: s.GetName(), PageSize: 1, PageToken: page.GetNextPageToken()})
	must(t, err)
	if page.GetCompanies()[0].GetName() != one.GetName() || rest.GetCompanies()[0].GetName() != two.GetName() || rest.GetNextPageToken() != "" {
		t.Errorf("%v, %v", page, rest)
	}
}

func TestOtherServicesFindCompanies(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	one, _ := owner.addCompany(newCompany(s.GetName()))
	two, _ := owner.addCompany(newCompany(s.GetName()))
	got, err := h.directory("exchange").LookupCompany(t.Context(), &tenancyv1.LookupCompanyRequest{Name: one.GetName()})
	must(t, err)
	if got.GetCompany().GetTaxNumber() != "LV40003000123" {
		t.Error(got)
	}
	found := map[string]bool{}
	for r := (&tenancyv1.ScanCompaniesRequest{PageSize: 1}); ; {
		page, err := h.directory("backup").ScanCompanies(t.Context(), r)
		must(t, err)
		for _, c := range page.GetCompanies() {
			found[c.GetName()] = true
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if len(found) != 2 || !found[one.GetName()] || !found[two.GetName()] {
		t.Error(found)
	}
}

func TestACompanyThatCanNotBeMadeLeavesNothing(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	admin := h.cluster("postgres")
	_, err := admin.Exec(t.Context(), "ALTER ROLE kontor_provisioner NOCREATEDB")
	must(t, err)
	restore := func() {
		_, err := admin.Exec(context.Background(), "ALTER ROLE kontor_provisioner CREATEDB")
		must(t, err)
	}
	defer restore()
	var before int
	count := func() (n int) {
		must(t, admin.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM pg_database) + (SELECT count(*) FROM pg_roles)").Scan(&n))
		return n
	}
	before = count()
	company, over := owner.addCompany(newCompany(s.GetName()))
	if over.GetState() != commonv1.Operation_STATE_FAILED || company.GetState() != tenancyv1.CompanyState_COMPANY_STATE_FAILED || company.GetFailureReason() == "" {
		t.Fatalf("%v %v", over, company)
	}
	restore()
	servicetest.Eventually(t, "what was made is dropped", func() bool {
		var rows int
		must(t, h.DB.QueryRow(t.Context(), "SELECT count(*) FROM company_database").Scan(&rows))
		return rows == 0
	})
	if after := count(); after != before {
		t.Errorf("%d databases and roles, before it were %d", after, before)
	}
	h.rights.allow(1)
	if second, over := owner.addCompany(newCompany(s.GetName())); over.GetState() != commonv1.Operation_STATE_SUCCEEDED {
		t.Errorf("a company that failed counts: %v", second)
	}
}

func TestTwoCompaniesAtOnceDoNotPassTheLimit(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	h.rights.allow(1)
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			_, err := owner.companies().CreateCompany(t.Context(), newCompany(s.GetName()))
			results <- err
		}()
	}
	added := 0
	for range cap(results) {
		if <-results == nil {
			added++
		}
	}
	if added != 1 {
		t.Errorf("%d were added, want 1", added)
	}
}

func TestACompanyIsRenamedByWhoReadItLast(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	change := func(title, etag string) (*tenancyv1.UpdateCompanyResponse, error) {
		return owner.companies().UpdateCompany(t.Context(), &tenancyv1.UpdateCompanyRequest{
			Company:    &tenancyv1.Company{Name: company.GetName(), Title: title, Etag: etag},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title"}},
		})
	}
	renamed, err := change("Osis SIA", company.GetEtag())
	must(t, err)
	if renamed.GetCompany().GetTitle() != "Osis SIA" || len(renamed.GetCompany().GetDataAreas()) != 1 {
		t.Error(renamed)
	}
	_, err = change("Egle SIA", company.GetEtag())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ETAG_MISMATCH)
}

func TestPayrollIsAddedAsASecondArea(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	r := &tenancyv1.AddDataAreaRequest{Name: company.GetName(), Product: "payroll", RequestId: newID()}
	answer, err := owner.companies().AddDataArea(t.Context(), r)
	must(t, err)
	second := &tenancyv1.AddDataAreaRequest{Name: company.GetName(), Product: "payroll", RequestId: newID()}
	if _, err := owner.companies().AddDataArea(t.Context(), second); err == nil {
		t.Error("two were added at once")
	}
	if over := owner.ends(answer.GetOperation().GetName()); over.GetState() != commonv1.Operation_STATE_SUCCEEDED {
		t.Fatal(over)
	}
	got, err := owner.companies().GetCompany(t.Context(), &tenancyv1.GetCompanyRequest{Name: company.GetName()})
	must(t, err)
	if areas := got.GetCompany().GetDataAreas(); len(areas) != 2 || areas[0].GetArea() != "books" || areas[1].GetArea() != "payroll" {
		t.Error(areas)
	}
	r.RequestId = newID()
	_, err = owner.companies().AddDataArea(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_DATA_AREA_EXISTS)
}

// A cancel that comes before anybody begins ends the operation alone; the company follows.
func TestACompanyWhoseMakingWasCancelledEnds(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	_, err := h.DB.Exec(t.Context(), "UPDATE company SET state = 1 WHERE id = $1", company.GetName()[len(company.GetName())-36:])
	must(t, err)
	_, err = h.DB.Exec(t.Context(), "UPDATE kontor.operation SET state = $1, result = NULL", int32(commonv1.Operation_STATE_CANCELLED))
	must(t, err)
	servicetest.Eventually(t, "the company has ended", func() bool {
		got, err := owner.companies().GetCompany(t.Context(), &tenancyv1.GetCompanyRequest{Name: company.GetName()})
		must(t, err)
		return got.GetCompany().GetState() == tenancyv1.CompanyState_COMPANY_STATE_FAILED
	})
}
