package licensing_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// download reads a part of a contract's document as a client does.
func (c *customer) download(name string, offset, length int64) ([]byte, *commonv1.FileInfo, error) {
	c.t.Helper()
	stream, err := c.contracts.DownloadContract(c.t.Context(), &licensingv1.DownloadContractRequest{Name: name, Offset: offset, Length: length})
	require.NoError(c.t, err)
	var data []byte
	var info *commonv1.FileInfo
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, info, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if piece.GetInfo() != nil {
			require.Nil(c.t, info, "told twice what the file is")
			info = piece.GetInfo()
		}
		require.LessOrEqual(c.t, len(piece.GetData()), 256<<10)
		data = append(data, piece.GetData()...)
	}
}

func TestFromRegistrationToTheTrial(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.licensing.>")
	c := b.customer("LV")
	require.False(t, c.decide(licensingv1.Action_ACTION_USE, "", 0).GetAllowed(), "nothing is usable before acceptance")

	k := c.contract("books-trial")
	require.Regexp(t, `^K-\d{4}-000001$`, k.GetNumber())
	require.Equal(t, "lv", k.GetLanguage(), "the subscriber's language")
	require.Equal(t, "SIA Ķēžu ģērbtuve", k.GetCustomer())
	require.Equal(t, licensingv1.ContractState_CONTRACT_STATE_CREATED, k.GetState())
	require.Equal(t, k.GetName(), want(t, told, &licensingv1.ContractCreated{}).GetContract().GetName())
	require.False(t, c.decide(licensingv1.Action_ACTION_USE, "", 0).GetAllowed(), "nor while the contract waits")

	pdf, info, err := c.download(k.GetName(), 0, 0)
	require.NoError(t, err)
	sum := sha256.Sum256(pdf)
	require.Equal(t, k.GetDocumentSha256(), sum[:])
	require.Equal(t, sum[:], info.GetSha256())
	require.Equal(t, "application/pdf", info.GetContentType())
	require.Equal(t, k.GetNumber()+".pdf", info.GetFilename())
	require.Equal(t, int64(len(pdf)), info.GetSizeBytes())
	require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")))

	accepted := c.accept(k)
	require.Equal(t, licensingv1.ContractState_CONTRACT_STATE_ACCEPTED, accepted.GetState())
	require.Equal(t, c.owner, accepted.GetAcceptance().GetAccount())
	require.Equal(t, "192.0.2.7", accepted.GetAcceptance().GetAddress())
	require.Equal(t, sum[:], accepted.GetAcceptance().GetDocumentSha256())
	require.Equal(t, accepted.GetLicence(), want(t, told, &licensingv1.LicenceStarted{}).GetLicence().GetName())
	require.Equal(t, c.owner, want(t, told, &licensingv1.ContractAccepted{}).GetContract().GetAcceptance().GetAccount())

	l := c.licence(accepted.GetLicence())
	require.Equal(t, licensingv1.LicenceKind_LICENCE_KIND_TRIAL, l.GetKind())
	require.Equal(t, licensingv1.LicenceState_LICENCE_STATE_ACTIVE, l.GetState())
	require.Equal(t, int32(30), l.GetDaysLeft())
	require.Equal(t, "Europe/Riga", l.GetTimeZone())
	require.Equal(t, k.GetName(), l.GetContract())
	require.Equal(t, int32(30), l.GetLimits().GetSeats())
	d := c.decide(licensingv1.Action_ACTION_WRITE, "books", 0)
	require.True(t, d.GetAllowed())
	require.Equal(t, l.GetName(), d.GetLicence())
	require.Equal(t, l.GetEndTime().AsTime(), d.GetChangeTime().AsTime())

	copied, err := licensingv1.NewRightServiceClient(b.AsService("notification")).GetContractCopy(t.Context(), &licensingv1.GetContractCopyRequest{Name: k.GetName()})
	require.NoError(t, err)
	require.Equal(t, pdf, copied.GetPdf())
	require.Equal(t, k.GetNumber(), copied.GetNumber())
	require.Equal(t, c.owner, copied.GetAcceptedBy())
	require.NotNil(t, copied.GetAcceptTime())
}

func TestADownloadGivesAnyPart(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	k := c.contract("books-trial")
	whole, _, err := c.download(k.GetName(), 0, 0)
	require.NoError(t, err)
	size := int64(len(whole))
	for _, part := range []struct{ offset, length, from, to int64 }{
		{0, 1, 0, 1}, {10, 5, 10, 15}, {size - 3, 0, size - 3, size}, {size - 3, 100, size - 3, size}, {size, 0, size, size}, {0, size, 0, size},
	} {
		data, info, err := c.download(k.GetName(), part.offset, part.length)
		require.NoError(t, err)
		require.True(t, bytes.Equal(whole[part.from:part.to], data), "%+v", part)
		require.Equal(t, size, info.GetSizeBytes())
	}
	_, _, err = c.download(k.GetName(), size+1, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	_, _, err = c.download(c.name+"/contracts/"+id.NewString(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	for _, s := range []struct {
		name    string
		how     func(*tenancyv1.Subscriber)
		missing string
	}{
		{"nothing said yet", func(s *tenancyv1.Subscriber) { s.LegalForm = 0 }, "legal_form"},
		{"a company without a name", func(s *tenancyv1.Subscriber) { s.LegalForm, s.Title = 1, " " }, "title"},
		{"a person without names", func(s *tenancyv1.Subscriber) { s.LegalForm = 2 }, "first_name, last_name"},
		{"a person without a last name", func(s *tenancyv1.Subscriber) { s.LegalForm, s.FirstName = 2, "Ieva" }, "last_name"},
	} {
		b.tenancy.change(c.name, s.how)
		_, err := c.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{Parent: c.name, Plan: "plans/books-trial", RequestId: id.NewString()})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_SUBSCRIBER_INCOMPLETE)
		require.Equal(t, s.missing, failure.From(err).Meta("missing"), s.name)
		require.Len(t, failure.From(err).Fields(), len(strings.Split(s.missing, ", ")))
	}
	b.tenancy.change(c.name, func(s *tenancyv1.Subscriber) { s.LastName = "Ozola" })
	require.Equal(t, "Ieva Ozola", c.contract("books-trial").GetCustomer())
}

func TestWhatCannotBeHadIsRefused(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	create := func(plan, language string) error {
		_, err := c.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{
			Parent: c.name, Plan: plan, Language: language, RequestId: id.NewString(),
		})
		return err
	}
	servicetest.WantReason(t, create("plans/books-gold", ""), commonv1.Reason_REASON_PLAN_UNKNOWN)
	err := create("plans/books-trial", "pl")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LANGUAGE_UNSUPPORTED)
	require.Equal(t, "en, lv", failure.From(err).Meta("languages"))
	servicetest.WantReason(t, create("plans/books-trial", "tlh"), commonv1.Reason_REASON_LANGUAGE_UNSUPPORTED)
	servicetest.WantReason(t, create("books-trial", ""), commonv1.Reason_REASON_INVALID_ARGUMENT)
	require.NoError(t, create("plans/books-trial", "en-GB"))
	b.tenancy.change(c.name, func(s *tenancyv1.Subscriber) { s.Language = "hu" })
	require.Equal(t, "en", c.contract("books-trial").GetLanguage(), "English, where the subscriber's language has no documents")

	_, err = c.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{Parent: c.name, Plan: "plans/books-trial"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
}

func TestAcceptingNeedsTheDocumentThatWasRead(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	k := c.contract("books-trial")
	accept := func(name string, hash []byte, request string) (*licensingv1.Contract, error) {
		answer, err := c.contracts.AcceptContract(t.Context(), &licensingv1.AcceptContractRequest{Name: name, DocumentSha256: hash, RequestId: request})
		return answer.GetContract(), err
	}
	_, err := accept(k.GetName(), make([]byte, 32), id.NewString())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_DOCUMENT_MISMATCH)
	_, err = accept(k.GetName(), []byte("short"), id.NewString())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = accept(c.name+"/contracts/"+id.NewString(), k.GetDocumentSha256(), id.NewString())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)

	request := id.NewString()
	first, err := accept(k.GetName(), k.GetDocumentSha256(), request)
	require.NoError(t, err)
	b.Advance(day)
	for _, again := range []string{request, id.NewString()} {
		second, err := accept(k.GetName(), k.GetDocumentSha256(), again)
		require.NoError(t, err)
		require.Equal(t, first.GetAcceptance().GetAcceptTime().AsTime(), second.GetAcceptance().GetAcceptTime().AsTime())
		require.Equal(t, first.GetLicence(), second.GetLicence())
	}
	_, err = accept(k.GetName(), make([]byte, 32), request)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
	_, err = accept(k.GetName(), make([]byte, 32), id.NewString())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_DOCUMENT_MISMATCH)
	all, err := c.licences.ListLicences(t.Context(), &licensingv1.ListLicencesRequest{Parent: c.name})
	require.NoError(t, err)
	require.Len(t, all.GetLicences(), 1)
}

func TestTwoAcceptancesAtOnceAreOne(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	k := c.contract("books-trial")
	var wait sync.WaitGroup
	licences := make([]string, 8)
	for i := range licences {
		wait.Go(func() {
			answer, err := c.contracts.AcceptContract(t.Context(), &licensingv1.AcceptContractRequest{
				Name: k.GetName(), DocumentSha256: k.GetDocumentSha256(), RequestId: id.NewString(),
			})
			if err != nil {
				t.Error(err)
			}
			licences[i] = answer.GetContract().GetLicence()
		})
	}
	wait.Wait()
	for _, l := range licences {
		require.Equal(t, licences[0], l)
	}
	var rows int
	require.NoError(t, b.DB.QueryRow(t.Context(), "SELECT count(*) FROM contract_acceptance").Scan(&rows))
	require.Equal(t, 1, rows)
}

func TestNumbersHaveNoGapsWhateverFails(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	broken := filepath.Join(b.objects, "contracts")
	require.NoError(t, os.WriteFile(broken, nil, 0o600)) // No document can be stored.
	_, err := c.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{Parent: c.name, Plan: "plans/books-trial", RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UNAVAILABLE)
	require.NoError(t, os.Remove(broken))

	var wait sync.WaitGroup
	var mu sync.Mutex
	var numbers []string
	for range 4 {
		other := b.customer("LV")
		for range 4 {
			wait.Go(func() {
				answer, err := other.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{
					Parent: other.name, Plan: "plans/books-trial", RequestId: id.NewString(),
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				numbers = append(numbers, answer.GetContract().GetNumber()[7:])
			})
		}
	}
	wait.Wait()
	sort.Strings(numbers)
	for i, number := range numbers {
		require.Equal(t, fmt.Sprintf("%06d", i+1), number)
	}
}

func TestNumbersBeginAnewWithTheSellersYear(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	year := c.contract("books-trial").GetNumber()[2:6]
	c.contract("books-trial")
	b.Advance(366 * day)
	next := c.contract("books-trial").GetNumber()
	require.NotEqual(t, year, next[2:6])
	require.Equal(t, "000001", next[7:])
}

func TestTheSameRequestIsTheSameContract(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	req := &licensingv1.CreateContractRequest{Parent: c.name, Plan: "plans/books-trial", RequestId: id.NewString()}
	first, err := c.contracts.CreateContract(t.Context(), req)
	require.NoError(t, err)
	second, err := c.contracts.CreateContract(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, first.GetContract().GetName(), second.GetContract().GetName())
	req.Language = "en"
	_, err = c.contracts.CreateContract(t.Context(), req)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
}

func TestALaterContractTakesThePlaceOfTheEarlier(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	first, second := c.contract("books-trial"), c.contract("books-trial")
	get := func(k *licensingv1.Contract) *licensingv1.Contract {
		answer, err := c.contracts.GetContract(t.Context(), &licensingv1.GetContractRequest{Name: k.GetName()})
		require.NoError(t, err)
		return answer.GetContract()
	}
	require.Equal(t, licensingv1.ContractState_CONTRACT_STATE_SUPERSEDED, get(first).GetState())
	require.Equal(t, second.GetName(), get(first).GetSupersededBy())
	_, err := c.contracts.AcceptContract(t.Context(), &licensingv1.AcceptContractRequest{
		Name: first.GetName(), DocumentSha256: first.GetDocumentSha256(), RequestId: id.NewString(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_CONTRACT_SUPERSEDED)
	require.Equal(t, second.GetName(), failure.From(err).Meta("superseded_by"))

	accepted := c.accept(second)
	third := c.contract("books-prof")
	require.Equal(t, licensingv1.ContractState_CONTRACT_STATE_ACCEPTED, get(second).GetState(), "a contract that waits takes nothing away")
	require.True(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed())

	require.Empty(t, c.accept(third).GetLicence(), "a paid plan begins with the payment")
	require.Equal(t, licensingv1.ContractState_CONTRACT_STATE_SUPERSEDED, get(second).GetState())
	require.NotNil(t, get(second).GetAcceptance(), "who accepted it stays known")
	require.True(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed(), "the trial goes on")
	require.Equal(t, "plans/books-trial", c.licence(accepted.GetLicence()).GetPlan())

	// A contract that was accepted and superseded can be accepted again: nothing changes.
	require.Equal(t, licensingv1.ContractState_CONTRACT_STATE_SUPERSEDED, c.accept(second).GetState())

	page, err := c.contracts.ListContracts(t.Context(), &licensingv1.ListContractsRequest{Parent: c.name, PageSize: 2})
	require.NoError(t, err)
	require.Len(t, page.GetContracts(), 2)
	require.Equal(t, third.GetName(), page.GetContracts()[0].GetName(), "the newest first")
	rest, err := c.contracts.ListContracts(t.Context(), &licensingv1.ListContractsRequest{Parent: c.name, PageSize: 2, PageToken: page.GetNextPageToken()})
	require.NoError(t, err)
	require.Len(t, rest.GetContracts(), 1)
	require.Empty(t, rest.GetNextPageToken())
	_, err = c.contracts.ListContracts(t.Context(), &licensingv1.ListContractsRequest{Parent: b.foreign(c), PageToken: page.GetNextPageToken()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PAGE_TOKEN_INVALID)
}

// foreign gives the owner rights in another subscriber.
func (b *bundle) foreign(c *customer) string {
	other := b.customer("LV")
	b.Access.Grant(c.owner, other.name, authv1.Permission_PERMISSION_LICENCES_READ)
	return other.name
}

func TestOneTrialASubscriber(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	again := c.contract("books-trial")
	require.Equal(t, l.GetName(), c.accept(again).GetLicence(), "while it runs, a corrected contract keeps it")
	waiting := c.contract("books-trial")
	b.Advance(31 * day)
	_, err := c.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{Parent: c.name, Plan: "plans/books-trial", RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TRIAL_USED)
	require.Equal(t, l.GetEndDate(), failure.From(err).Meta("end_date"))
	_, err = c.contracts.AcceptContract(t.Context(), &licensingv1.AcceptContractRequest{
		Name: waiting.GetName(), DocumentSha256: waiting.GetDocumentSha256(), RequestId: id.NewString(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TRIAL_USED)
	c.contract("books-prof") // A paid plan can be had.
}

// A second trial plan, for those who chose the wrong entry page (B1).
const twoTrials = `
  - id: payroll-trial
    title: {en: Payroll on trial, lv: Algu izmēģinājums}
    kind: trial
    trial_days: 30
    from: 2020-01-01
    products: [{product: payroll, edition: base}]
    limits: {seats: 2, companies: 1, seats_per_company: 2, accounts: 0, lease_seconds: 60}
`

func TestTheTrialPlanIsSwitchedWithItsTermKept(t *testing.T) {
	content, err := os.ReadFile("internal/catalogue/data/catalogue.yaml")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "catalogue.yaml")
	require.NoError(t, os.WriteFile(path, append(content, twoTrials...), 0o600))
	b := setup(t, "KONTOR_CATALOGUE_FILE="+path)
	c, before := b.trial("LV")
	b.Advance(5 * day)
	after := c.licence(c.accept(c.contract("payroll-trial")).GetLicence())
	require.Equal(t, before.GetName(), after.GetName())
	require.Equal(t, before.GetEndDate(), after.GetEndDate())
	require.Equal(t, "plans/payroll-trial", after.GetPlan())
	require.Equal(t, int32(2), after.GetLimits().GetSeats())
	require.NotEqual(t, before.GetEtag(), after.GetEtag())
	require.True(t, c.decide(licensingv1.Action_ACTION_WRITE, "payroll", 0).GetAllowed())
	require.False(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed())
	changes, err := c.licences.ListLicenceChanges(t.Context(), &licensingv1.ListLicenceChangesRequest{Parent: after.GetName()})
	require.NoError(t, err)
	require.Equal(t, c.owner, changes.GetChanges()[0].GetAuthor())
}

func TestWhatWasAcceptedCannotBeAltered(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	waiting := c.contract("books-prof")
	for _, statement := range []string{
		"UPDATE contract_acceptance SET address = '203.0.113.9'",
		"DELETE FROM contract_acceptance",
		"TRUNCATE contract_acceptance CASCADE",
		"UPDATE contract SET number = 'K-2026-999999'",
		"UPDATE contract SET document_sha256 = sha256('x')",
		"DELETE FROM contract",
		"TRUNCATE contract CASCADE",
	} {
		_, err := b.DB.Exec(t.Context(), statement)
		var fault *pgconn.PgError
		require.ErrorAs(t, err, &fault, statement)
		require.Equal(t, "23001", fault.Code, statement)
	}
	c.accept(waiting) // What may change still does.
	_, err := b.DB.Exec(t.Context(), "UPDATE contract SET superseded_by = NULL WHERE superseded_by IS NOT NULL")
	require.Error(t, err, "and only once")
}

func TestNobodyElseSeesOrAccepts(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	k := c.contract("books-trial")
	other := b.customer("LV")
	reader := b.NewAccount("reader@testapiemers.lv")
	b.Access.Grant(reader, c.name, authv1.Permission_PERMISSION_LICENCES_READ)
	for _, call := range []struct {
		who    string
		reason commonv1.Reason
	}{{other.owner, commonv1.Reason_REASON_PERMISSION_DENIED}, {reader, commonv1.Reason_REASON_PERMISSION_DENIED}, {"", commonv1.Reason_REASON_TOKEN_MISSING}} {
		as := b.Visitor()
		if call.who != "" {
			as = b.As(call.who)
		}
		_, err := licensingv1.NewContractServiceClient(as).AcceptContract(t.Context(), &licensingv1.AcceptContractRequest{
			Name: k.GetName(), DocumentSha256: k.GetDocumentSha256(), RequestId: id.NewString(),
		})
		servicetest.WantReason(t, err, call.reason)
		_, err = licensingv1.NewContractServiceClient(as).CreateContract(t.Context(), &licensingv1.CreateContractRequest{
			Parent: c.name, Plan: "plans/books-trial", RequestId: id.NewString(),
		})
		servicetest.WantReason(t, err, call.reason)
		_, err = licensingv1.NewContractServiceClient(as).GetContract(t.Context(), &licensingv1.GetContractRequest{Name: k.GetName()})
		if call.who == reader {
			require.NoError(t, err)
		} else {
			servicetest.WantReason(t, err, call.reason)
		}
	}
	// Another's contract under one's own name is not found.
	_, kid, _ := strings.Cut(k.GetName(), "/contracts/")
	_, err := other.contracts.GetContract(t.Context(), &licensingv1.GetContractRequest{Name: other.name + "/contracts/" + kid})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	// Services are let in by name.
	_, err = licensingv1.NewRightServiceClient(b.AsService("exchange")).GetContractCopy(t.Context(), &licensingv1.GetContractCopyRequest{Name: k.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = licensingv1.NewRightServiceClient(b.As(c.owner)).DecideRight(t.Context(), &licensingv1.DecideRightRequest{Subscriber: c.name, Action: 1})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestAnAlteredDocumentIsNotSentOut(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	k := c.contract("books-trial")
	notification := licensingv1.NewRightServiceClient(b.AsService("notification"))
	path := ""
	require.NoError(t, filepath.WalkDir(b.objects, func(p string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			path = p
		}
		return err
	}))
	require.NoError(t, os.WriteFile(path, []byte("%PDF-forged"), 0o600))
	_, err := notification.GetContractCopy(t.Context(), &licensingv1.GetContractCopyRequest{Name: k.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INTERNAL)
	require.NoError(t, os.Remove(path))
	_, err = notification.GetContractCopy(t.Context(), &licensingv1.GetContractCopyRequest{Name: k.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, _, err = c.download(k.GetName(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestAnUnknownSubscriberHasNoRightsAndNoContracts(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	name := "subscribers/" + uuid.NewString()
	b.Access.Grant(c.owner, name, authv1.Permission_PERMISSION_LICENCES_MANAGE)
	_, err := c.contracts.CreateContract(t.Context(), &licensingv1.CreateContractRequest{Parent: name, Plan: "plans/books-trial", RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	answer, err := b.rights.DecideRight(t.Context(), &licensingv1.DecideRightRequest{Subscriber: name, Action: licensingv1.Action_ACTION_WRITE})
	require.NoError(t, err)
	require.False(t, answer.GetDecision().GetAllowed())
	_, err = b.rights.DecideRight(t.Context(), &licensingv1.DecideRightRequest{Subscriber: "x", Action: licensingv1.Action_ACTION_WRITE})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}
