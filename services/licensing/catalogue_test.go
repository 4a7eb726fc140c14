package licensing_test

import (
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/migrations"
)

func TestAnyoneReadsTheCatalogueInTheirLanguage(t *testing.T) {
	b := setup(t)
	visitor := licensingv1.NewCatalogueServiceClient(b.With(caller.Caller{Locale: "lv"}))
	products, err := visitor.ListProducts(t.Context(), &licensingv1.ListProductsRequest{})
	require.NoError(t, err)
	require.Equal(t, "products/books", products.GetProducts()[0].GetName())
	require.Equal(t, "Grāmatvedība", products.GetProducts()[0].GetTitle())
	require.Len(t, products.GetProducts()[0].GetEditions(), 2)
	require.Equal(t, "Kase un banka", products.GetProducts()[0].GetEditions()[0].GetModules()[1].GetTitle())

	first, err := visitor.ListPlans(t.Context(), &licensingv1.ListPlansRequest{PageSize: 2})
	require.NoError(t, err)
	require.Len(t, first.GetPlans(), 2)
	require.Equal(t, "plans/books-trial", first.GetPlans()[0].GetName())
	require.Equal(t, int32(30), first.GetPlans()[0].GetTrialDays())
	require.Empty(t, first.GetPlans()[0].GetPrices())
	rest, err := visitor.ListPlans(t.Context(), &licensingv1.ListPlansRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	require.NoError(t, err)
	require.Len(t, rest.GetPlans(), 1)
	require.Empty(t, rest.GetNextPageToken())
	require.Equal(t, int64(4900), rest.GetPlans()[0].GetPrices()[0].GetAmount().GetMinorUnits())
	require.Equal(t, "document_exchange", rest.GetPlans()[0].GetAddOnOffers()[0].GetAddOn().GetId(), "what may be added, and for how much")
	require.Equal(t, int64(900), rest.GetPlans()[0].GetAddOnOffers()[0].GetPrices()[0].GetAmount().GetMinorUnits())
	_, err = visitor.ListPlans(t.Context(), &licensingv1.ListPlansRequest{PageToken: first.GetNextPageToken(), Product: "products/payroll"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PAGE_TOKEN_INVALID)

	payroll, err := visitor.ListPlans(t.Context(), &licensingv1.ListPlansRequest{Product: "products/payroll", CurrencyCode: "SEK"})
	require.NoError(t, err)
	require.Len(t, payroll.GetPlans(), 2, "base holds no payroll")
	require.Empty(t, payroll.GetPlans()[1].GetPrices())
	none, err := visitor.ListPlans(t.Context(), &licensingv1.ListPlansRequest{Date: "2019-12-31"})
	require.NoError(t, err)
	require.Empty(t, none.GetPlans(), "before anything was sold")

	plan, err := visitor.GetPlan(t.Context(), &licensingv1.GetPlanRequest{Name: "plans/books-base"})
	require.NoError(t, err)
	require.Equal(t, int32(3), plan.GetPlan().GetLimits().GetAccounts())
	_, err = visitor.GetPlan(t.Context(), &licensingv1.GetPlanRequest{Name: "plans/books-gold"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = visitor.GetPlan(t.Context(), &licensingv1.GetPlanRequest{Name: "plans/books-base", Date: "2026-13-01"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
}

func TestTheKeysOfSeatTokensArePublished(t *testing.T) {
	b := setup(t)
	answer, err := licensingv1.NewKeyServiceClient(b.Visitor()).GetJwks(t.Context(), &licensingv1.GetJwksRequest{})
	require.NoError(t, err)
	set, err := jwk.Parse(answer.GetJwks())
	require.NoError(t, err)
	require.Equal(t, 1, set.Len())
	key, _ := set.Key(0)
	require.Equal(t, "OKP", key.KeyType().String())
	require.NotContains(t, string(answer.GetJwks()), `"d"`)
}

func TestEveryConstraintHasAName(t *testing.T) {
	pgtest.CheckConstraintsNamed(t, pgtest.New(t, migrations.FS))
}
