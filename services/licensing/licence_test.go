package licensing_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

func update(t *testing.T, as licensingv1.LicenceServiceClient, l *licensingv1.Licence, paths ...string) (*licensingv1.Licence, error) {
	t.Helper()
	answer, err := as.UpdateLicence(t.Context(), &licensingv1.UpdateLicenceRequest{
		Licence: l, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}, Reason: "agreed by telephone",
		Price: &commonv1.Money{CurrencyCode: "EUR", MinorUnits: 500},
	})
	return answer.GetLicence(), err
}

func TestStaffRaiseALimitWithReasonAndPrice(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.licensing.licence.>")
	c, l := b.trial("LV")
	staff := b.staff()
	want(t, told, &licensingv1.LicenceStarted{})
	require.False(t, c.decide(licensingv1.Action_ACTION_ADD_COMPANY, "books", 4).GetAllowed())

	raised, err := update(t, staff, &licensingv1.Licence{
		Name: l.GetName(), Etag: l.GetEtag(), Limits: &licensingv1.Limits{Seats: 2, Companies: 5},
	}, "limits.seats", "limits.companies")
	require.NoError(t, err)
	require.Equal(t, int32(2), raised.GetLimits().GetSeats())
	require.Equal(t, int32(5), raised.GetLimits().GetCompanies())
	require.Equal(t, int32(10), raised.GetLimits().GetSeatsPerCompany())
	require.True(t, c.decide(licensingv1.Action_ACTION_ADD_COMPANY, "books", 4).GetAllowed(), "it holds at once")

	event := want(t, told, &licensingv1.LicenceUpdated{})
	require.Equal(t, int32(2), event.GetLicence().GetLimits().GetSeats())
	require.Len(t, event.GetChanges(), 2)
	require.Equal(t, "seats", event.GetChanges()[0].GetField())
	require.Equal(t, "30", event.GetChanges()[0].GetOldValue())
	require.Equal(t, "2", event.GetChanges()[0].GetNewValue())
	require.Equal(t, "agreed by telephone", event.GetChanges()[0].GetReason())
	require.Equal(t, int64(500), event.GetChanges()[0].GetPrice().GetMinorUnits())

	_, err = update(t, staff, &licensingv1.Licence{Name: l.GetName(), Etag: l.GetEtag(), Limits: &licensingv1.Limits{Seats: 3}}, "limits.seats")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ETAG_MISMATCH)
	_, err = update(t, c.licences, &licensingv1.Licence{Name: l.GetName(), Limits: &licensingv1.Limits{Seats: 99}}, "limits.seats")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = update(t, staff, &licensingv1.Licence{Name: l.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = update(t, staff, &licensingv1.Licence{Name: c.name + "/licences/" + id.NewString(), Limits: &licensingv1.Limits{Seats: 99}}, "limits.seats")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)

	page, err := c.licences.ListLicenceChanges(t.Context(), &licensingv1.ListLicenceChangesRequest{Parent: l.GetName(), PageSize: 1})
	require.NoError(t, err)
	require.Equal(t, "companies", page.GetChanges()[0].GetField(), "the newest first")
	rest, err := c.licences.ListLicenceChanges(t.Context(), &licensingv1.ListLicenceChangesRequest{Parent: l.GetName(), PageSize: 1, PageToken: page.GetNextPageToken()})
	require.NoError(t, err)
	require.Equal(t, "seats", rest.GetChanges()[0].GetField())
	require.Empty(t, rest.GetNextPageToken())
	for _, statement := range []string{"UPDATE licence_change SET reason = ''", "DELETE FROM licence_change", "TRUNCATE licence_change"} {
		_, err := b.DB.Exec(t.Context(), statement)
		require.Error(t, err, statement)
	}
}

func TestChangesByTwoStaffAtOnceBothStandOrOneIsTold(t *testing.T) {
	b := setup(t)
	_, l := b.trial("LV")
	staff := b.staff()
	var wait sync.WaitGroup
	var mu sync.Mutex
	var refused int
	for i := range 6 {
		wait.Go(func() {
			_, err := update(t, staff, &licensingv1.Licence{
				Name: l.GetName(), Etag: l.GetEtag(), Limits: &licensingv1.Limits{Seats: int32(20 + i)},
			}, "limits.seats")
			mu.Lock()
			defer mu.Unlock()
			switch failure.Reason(err) {
			case commonv1.Reason_REASON_UNSPECIFIED:
			case commonv1.Reason_REASON_ETAG_MISMATCH:
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	require.Equal(t, 5, refused)
}

func TestAnAddOnForAMonth(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	c.accept(c.contract("books-prof"))
	staff := b.staff()
	made, err := staff.CreateLicence(t.Context(), &licensingv1.CreateLicenceRequest{
		Parent: c.name, Plan: "plans/books-prof", Limits: &licensingv1.Limits{Seats: 2}, Reason: "demonstration", RequestId: id.NewString(),
	})
	require.NoError(t, err)
	require.Equal(t, int32(2), made.GetLicence().GetLimits().GetSeats())
	require.Equal(t, int32(3), made.GetLicence().GetLimits().GetCompanies())
	require.Empty(t, made.GetLicence().GetEndDate())
	d := c.decide(licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS, "", 0)
	require.False(t, d.GetAllowed())
	require.Equal(t, "add_on_document_exchange", d.GetConditions()[0].GetRemedy())

	riga, err := time.LoadLocation("Europe/Riga")
	require.NoError(t, err)
	until := civil.DateOf(b.Service.Clock.Now(), riga).AddDays(20)
	_, err = staff.UpdateLicence(t.Context(), &licensingv1.UpdateLicenceRequest{
		Licence:    &licensingv1.Licence{Name: made.GetLicence().GetName(), AddOns: []string{"document_exchange"}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"add_ons"}}, Reason: "on trial", UntilDate: until.String(),
	})
	require.NoError(t, err)
	d = c.decide(licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS, "", 0)
	require.True(t, d.GetAllowed())
	require.Equal(t, until.AddDays(1).In(riga).UTC(), d.GetChangeTime().AsTime())
	b.Advance(21 * day)
	require.False(t, c.decide(licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS, "", 0).GetAllowed())
}

func TestWhatStaffCannotGiveIsRefused(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	staff := b.staff()
	for _, r := range []struct {
		name   string
		how    func(*licensingv1.CreateLicenceRequest)
		reason commonv1.Reason
	}{
		{"an unknown plan", func(r *licensingv1.CreateLicenceRequest) { r.Plan = "plans/x" }, commonv1.Reason_REASON_PLAN_UNKNOWN},
		{"an end before the start", func(r *licensingv1.CreateLicenceRequest) { r.StartDate, r.EndDate = "2030-02-01", "2030-01-31" }, commonv1.Reason_REASON_LICENCE_TERM_INVALID},
		{"a date that does not exist", func(r *licensingv1.CreateLicenceRequest) { r.StartDate = "2030-02-30" }, commonv1.Reason_REASON_INVALID_ARGUMENT},
		{"a second trial", func(r *licensingv1.CreateLicenceRequest) { r.Plan = "plans/books-trial" }, commonv1.Reason_REASON_TRIAL_USED},
		{"a paid licence to the trial plan", func(r *licensingv1.CreateLicenceRequest) {
			r.Plan, r.Kind = "plans/books-trial", licensingv1.LicenceKind_LICENCE_KIND_PAID
		}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		{"negative seats", func(r *licensingv1.CreateLicenceRequest) { r.Limits = &licensingv1.Limits{Seats: -1} }, commonv1.Reason_REASON_INVALID_ARGUMENT},
		{"no reason", func(r *licensingv1.CreateLicenceRequest) { r.Reason = "" }, commonv1.Reason_REASON_INVALID_ARGUMENT},
		{"a price below nothing", func(r *licensingv1.CreateLicenceRequest) {
			r.Price = &commonv1.Money{CurrencyCode: "EUR", MinorUnits: -1}
		}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		{"to nobody", func(r *licensingv1.CreateLicenceRequest) { r.Parent = "subscribers/" + id.NewString() }, commonv1.Reason_REASON_NOT_FOUND},
	} {
		t.Run(r.name, func(t *testing.T) {
			req := &licensingv1.CreateLicenceRequest{Parent: c.name, Plan: "plans/books-prof", Reason: "x", RequestId: id.NewString()}
			r.how(req)
			_, err := staff.CreateLicence(t.Context(), req)
			servicetest.WantReason(t, err, r.reason)
			if r.reason == commonv1.Reason_REASON_TRIAL_USED {
				require.Equal(t, l.GetEndDate(), failure.From(err).Meta("end_date"))
			}
		})
	}
	_, err := c.licences.CreateLicence(t.Context(), &licensingv1.CreateLicenceRequest{Parent: c.name, Plan: "plans/books-prof", Reason: "x", RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestALicenceThatStaffGaveIsGivenOnce(t *testing.T) {
	b := setup(t)
	c := b.customer("IR")
	staff := b.staff()
	req := &licensingv1.CreateLicenceRequest{
		Parent: c.name, Plan: "plans/books-prof", Kind: licensingv1.LicenceKind_LICENCE_KIND_EDUCATIONAL, Reason: "school", RequestId: id.NewString(),
		StartDate: "2030-01-01", EndDate: "2030-12-31",
	}
	first, err := staff.CreateLicence(t.Context(), req)
	require.NoError(t, err)
	again, err := staff.CreateLicence(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, first.GetLicence().GetName(), again.GetLicence().GetName())
	require.Equal(t, "Asia/Tehran", first.GetLicence().GetTimeZone())
	require.Equal(t, licensingv1.LicenceKind_LICENCE_KIND_EDUCATIONAL, first.GetLicence().GetKind())
	require.Equal(t, licensingv1.LicenceState_LICENCE_STATE_UPCOMING, first.GetLicence().GetState())
	require.Equal(t, "2030-12-31T20:30:00Z", first.GetLicence().GetEndTime().AsTime().Format(time.RFC3339))
	require.Equal(t, "2031-03-31", first.GetLicence().GetKeptUntilDate())
	req.Reason = "another"
	_, err = staff.CreateLicence(t.Context(), req)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
}

func TestLicencesAreListedNewestFirstToTheirOwnersAndStaff(t *testing.T) {
	b := setup(t)
	c, trial := b.trial("LV")
	staff := b.staff()
	names := []string{trial.GetName()}
	for range 4 {
		made, err := staff.CreateLicence(t.Context(), &licensingv1.CreateLicenceRequest{
			Parent: c.name, Plan: "plans/books-base", Reason: "x", RequestId: id.NewString(),
		})
		require.NoError(t, err)
		names = append(names, made.GetLicence().GetName())
	}
	slices.Reverse(names)
	for _, as := range []licensingv1.LicenceServiceClient{c.licences, staff} {
		var listed []string
		token := ""
		for {
			page, err := as.ListLicences(t.Context(), &licensingv1.ListLicencesRequest{Parent: c.name, PageSize: 2, PageToken: token})
			require.NoError(t, err)
			for _, l := range page.GetLicences() {
				listed = append(listed, l.GetName())
				require.NotEmpty(t, l.GetPlanTitle())
			}
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Equal(t, names, listed)
	}
	other := b.customer("LV")
	_, err := other.licences.ListLicences(t.Context(), &licensingv1.ListLicencesRequest{Parent: c.name})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = other.licences.GetLicence(t.Context(), &licensingv1.GetLicenceRequest{Name: names[0]})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = c.licences.GetLicence(t.Context(), &licensingv1.GetLicenceRequest{Name: c.name + "/licences/" + uuid.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

// morning moves the business date to 10:00 in Riga on a day counted from a licence's last one.
func (b *bundle) morning(l *licensingv1.Licence, daysBefore int) {
	b.t.Helper()
	riga, err := time.LoadLocation("Europe/Riga")
	require.NoError(b.t, err)
	end, err := civil.ParseDate(l.GetEndDate())
	require.NoError(b.t, err)
	b.Advance(end.AddDays(-daysBefore).In(riga).Add(10 * time.Hour).Sub(b.Service.Clock.Now()))
}

func TestRemindersAndTheEndAreToldOnceEach(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.licensing.trial.>", "kontor.licensing.licence.ended")
	c, l := b.trial("LV")
	for _, days := range []int{8, 7, 3, 1} {
		b.morning(l, days)
		if days == 8 {
			continue // Nothing yet: the next event is the one of the seventh day.
		}
		e := want(t, told, &licensingv1.TrialEnding{})
		require.Equal(t, int32(days), e.GetDaysLeft())
		require.Equal(t, l.GetEndDate(), e.GetEndDate())
		require.Equal(t, c.owner, e.GetAccount())
		require.Equal(t, "lv", e.GetLanguage())
		require.True(t, e.GetLicence().GetEnding())
	}
	require.True(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed())
	b.morning(l, -1)
	require.False(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed(), "whether it was told or not")
	require.True(t, c.decide(licensingv1.Action_ACTION_READ, "", 0).GetAllowed())
	require.True(t, c.decide(licensingv1.Action_ACTION_EXPORT, "", 0).GetAllowed())
	require.Equal(t, licensingv1.LicenceState_LICENCE_STATE_ENDED, want(t, told, &licensingv1.LicenceEnded{}).GetLicence().GetState())
	ended := want(t, told, &licensingv1.TrialEnded{})
	require.Equal(t, l.GetEndTime().AsTime(), ended.GetEndTime().AsTime())
	require.Equal(t, l.GetKeptUntilDate(), ended.GetKeptUntilDate())
	require.Equal(t, c.owner, ended.GetAccount())

	// The marker comes after all that the timers had to tell.
	b.marker(told, "kontor.licensing.trial.ended")
}

// marker publishes an event and fails the test when another one comes before it.
func (b *bundle) marker(told <-chan events.Received, subject string) {
	b.t.Helper()
	var rounds int
	servicetest.Eventually(b.t, "the timers looked twice more", func() bool {
		require.NoError(b.t, b.DB.QueryRow(b.t.Context(),
			`SELECT count(*) FROM kontor.river_job WHERE args->>'name' = 'licence_terms' AND finalized_at > now() - interval '1 second'`).Scan(&rounds))
		return rounds >= 2
	})
	name := "subscribers/" + id.NewString() + "/licences/" + id.NewString()
	b.Publish(events.Event{Subject: subject, Aggregate: name, Time: b.Service.Clock.Now(), Payload: &licensingv1.TrialEnded{KeptUntilDate: name}})
	require.Equal(b.t, name, want(b.t, told, &licensingv1.TrialEnded{}).GetKeptUntilDate())
}

func TestNobodyWhoSubscribedIsReminded(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	_, err := b.staff().CreateLicence(t.Context(), &licensingv1.CreateLicenceRequest{
		Parent: c.name, Plan: "plans/books-prof", Reason: "paid by bank transfer", RequestId: id.NewString(),
	})
	require.NoError(t, err)
	told := b.Events("kontor.licensing.trial.>", "kontor.licensing.licence.ended")
	b.morning(l, 1)
	b.morning(l, -1)
	require.Equal(t, l.GetName(), want(t, told, &licensingv1.LicenceEnded{}).GetLicence().GetName())
	b.marker(told, "kontor.licensing.trial.ended")
	require.True(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed())
}

func TestALicenceStartsOnItsDayAndAnExtendedOneEndsAgain(t *testing.T) {
	b := setup(t)
	c := b.customer("LV")
	c.accept(c.contract("books-prof"))
	staff := b.staff()
	told := b.Events("kontor.licensing.licence.>")
	riga, err := time.LoadLocation("Europe/Riga")
	require.NoError(t, err)
	start := civil.DateOf(b.Service.Clock.Now(), riga).AddDays(10)
	made, err := staff.CreateLicence(t.Context(), &licensingv1.CreateLicenceRequest{
		Parent: c.name, Plan: "plans/books-prof", Reason: "from next week", RequestId: id.NewString(),
		StartDate: start.String(), EndDate: start.AddDays(4).String(),
	})
	require.NoError(t, err)
	require.Equal(t, licensingv1.LicenceState_LICENCE_STATE_UPCOMING, want(t, told, &licensingv1.LicenceUpdated{}).GetLicence().GetState())
	d := c.decide(licensingv1.Action_ACTION_WRITE, "books", 0)
	require.Equal(t, "wait_for_start", d.GetConditions()[0].GetRemedy())
	require.Equal(t, start.In(riga).UTC(), d.GetChangeTime().AsTime())

	b.Advance(start.In(riga).Sub(b.Service.Clock.Now()) + time.Second)
	require.Equal(t, made.GetLicence().GetName(), want(t, told, &licensingv1.LicenceStarted{}).GetLicence().GetName())
	b.Advance(5 * day)
	want(t, told, &licensingv1.LicenceEnded{})
	extended, err := update(t, staff, &licensingv1.Licence{Name: made.GetLicence().GetName(), EndDate: start.AddDays(9).String()}, "end_date")
	require.NoError(t, err)
	require.Equal(t, licensingv1.LicenceState_LICENCE_STATE_ACTIVE, extended.GetState())
	want(t, told, &licensingv1.LicenceUpdated{})
	require.True(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed())
	b.Advance(5 * day)
	want(t, told, &licensingv1.LicenceEnded{})
	require.False(t, c.decide(licensingv1.Action_ACTION_WRITE, "books", 0).GetAllowed())
}

func TestARightIsExplainedForAnyDate(t *testing.T) {
	b := setup(t)
	c, l := b.trial("LV")
	ask := func(date string) *licensingv1.Decision {
		answer, err := c.explain.ExplainRight(t.Context(), &licensingv1.ExplainRightRequest{
			Parent: c.name, Action: licensingv1.Action_ACTION_WRITE, Product: "books", AsOfDate: date,
		})
		require.NoError(t, err)
		return answer.GetDecision()
	}
	end, err := civil.ParseDate(l.GetEndDate())
	require.NoError(t, err)
	require.True(t, ask("").GetAllowed())
	require.True(t, ask(l.GetStartDate()).GetAllowed(), "the day of acceptance")
	require.True(t, ask(l.GetEndDate()).GetAllowed())
	require.False(t, ask(end.AddDays(1).String()).GetAllowed())
	require.Equal(t, "subscribe", ask(end.AddDays(1).String()).GetConditions()[0].GetRemedy())
	require.Equal(t, "accept_contract", ask("2020-01-01").GetConditions()[0].GetRemedy(), "long before")
	_, err = c.explain.ExplainRight(t.Context(), &licensingv1.ExplainRightRequest{Parent: c.name, Action: licensingv1.Action_ACTION_WRITE, AsOfDate: "2026-02-30"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	_, err = c.explain.ExplainRight(t.Context(), &licensingv1.ExplainRightRequest{Parent: c.name})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	stranger := b.customer("LV")
	_, err = stranger.explain.ExplainRight(t.Context(), &licensingv1.ExplainRightRequest{Parent: c.name, Action: licensingv1.Action_ACTION_WRITE})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	reader := b.NewAccount("seats@testapiemers.lv")
	b.Access.Grant(reader, c.name, authv1.Permission_PERMISSION_SEATS_CLAIM)
	_, err = licensingv1.NewEntitlementServiceClient(b.As(reader)).ExplainRight(t.Context(), &licensingv1.ExplainRightRequest{Parent: c.name, Action: licensingv1.Action_ACTION_WRITE})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}
