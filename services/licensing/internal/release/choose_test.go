package release

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/civil"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/licence"
)

func on(t *testing.T, text string) civil.Date {
	t.Helper()
	d, err := civil.ParseDate(text)
	require.NoError(t, err)
	return d
}

// has is a subscriber that accepted its contract on the first of January 2026 and has licences for books from one day to another.
func has(t *testing.T, terms ...[2]string) entitlement.Facts {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Riga")
	require.NoError(t, err)
	f := entitlement.Facts{Zone: zone, Contracts: []entitlement.Contract{{Number: "K-2026-000001", Accepted: at(t, "2026-01-01T00:00:00+02:00")}}}
	for _, term := range terms {
		f.Licences = append(f.Licences, licence.Licence{
			Kind: catalogue.Paid, Plan: "books-base", Start: on(t, term[0]), End: on(t, term[1]), Zone: zone,
			Terms: licence.Terms{Products: []licence.Product{{Product: "books"}}},
		})
	}
	return f
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return instant
}

// published are releases, the newest first.
func published(t *testing.T, pairs ...string) []Release {
	t.Helper()
	var all []Release
	for i := 0; i < len(pairs); i += 2 {
		v, err := ParseVersion(pairs[i])
		require.NoError(t, err)
		all = append(all, Release{Kind: Product, Subject: "books", Version: v, Published: at(t, pairs[i+1])})
	}
	return all
}

func TestTheNewestReleaseThatOneMayHave(t *testing.T) {
	spring := published(t, "1.6.0", "2026-06-10T09:00:00Z", "1.5.0", "2026-04-10T09:00:00Z", "1.4.1", "2026-03-31T20:59:59Z", "1.4.0", "2026-02-01T09:00:00Z")
	const (
		buy       = licensingv1.Offer_OFFER_BUY
		subscribe = licensingv1.Offer_OFFER_SUBSCRIBE
		accept    = licensingv1.Offer_OFFER_ACCEPT_CONTRACT
	)
	for name, c := range map[string]struct {
		facts    entitlement.Facts
		product  string
		releases []Release
		now      string
		release  string
		newest   string
		offers   []licensingv1.Offer
	}{
		"while a licence runs, the newest": {
			facts: has(t, [2]string{"2026-01-01", "2026-12-31"}), releases: spring, now: "2026-06-11T00:00:00Z", release: "1.6.0", newest: "1.6.0",
		},
		"a licence bought later opens what was published before": {
			facts: has(t, [2]string{"2026-06-01", "2026-12-31"}), releases: spring[1:], now: "2026-06-01T00:00:00+03:00", release: "1.5.0", newest: "1.5.0",
		},
		"who lapsed keeps what was published before the lapse": {
			facts: has(t, [2]string{"2026-01-01", "2026-03-31"}), releases: spring, now: "2026-06-11T00:00:00Z", release: "1.4.1", newest: "1.6.0",
			offers: []licensingv1.Offer{subscribe},
		},
		"published a second after the last day is over in Riga": {
			facts: has(t, [2]string{"2026-01-01", "2026-03-30"}), releases: published(t, "1.4.1", "2026-03-30T21:00:00Z"), now: "2026-06-11T00:00:00Z",
			newest: "1.4.1", offers: []licensingv1.Offer{subscribe},
		},
		"published in the last second of the last day in Riga": {
			facts: has(t, [2]string{"2026-01-01", "2026-03-30"}), releases: published(t, "1.4.1", "2026-03-30T20:59:59Z"), now: "2026-06-11T00:00:00Z",
			release: "1.4.1", newest: "1.4.1",
		},
		"what was published between two licences is closed until the next": {
			facts: has(t, [2]string{"2026-01-01", "2026-03-31"}, [2]string{"2026-07-01", "2026-12-31"}), releases: spring[1:2], now: "2026-06-11T00:00:00Z",
			newest: "1.5.0", offers: []licensingv1.Offer{subscribe},
		},
		"and open with it": {
			facts: has(t, [2]string{"2026-01-01", "2026-03-31"}, [2]string{"2026-07-01", "2026-12-31"}), releases: spring[1:2], now: "2026-07-01T00:00:00+03:00",
			release: "1.5.0", newest: "1.5.0",
		},
		"without any licence one subscribes": {
			facts: has(t), releases: spring, now: "2026-06-11T00:00:00Z", newest: "1.6.0", offers: []licensingv1.Offer{subscribe},
		},
		"another product than one has is bought": {
			facts: has(t, [2]string{"2026-01-01", "2026-12-31"}), product: "payroll", releases: spring, now: "2026-06-11T00:00:00Z", newest: "1.6.0",
			offers: []licensingv1.Offer{buy},
		},
		"the contract comes first": {
			facts: entitlement.Facts{}, releases: spring, now: "2026-06-11T00:00:00Z", newest: "1.6.0", offers: []licensingv1.Offer{accept},
		},
		"who has the newest needs nothing": {
			facts: has(t, [2]string{"2026-01-01", "2026-03-31"}), now: "2026-06-11T00:00:00Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			product := c.product
			if product == "" {
				product = "books"
			}
			q := entitlement.Question{Action: licensingv1.Action_ACTION_UPDATE, Product: product}
			got := choose(c.releases, func(at time.Time) entitlement.Decision { return entitlement.Decide(c.facts, q, at) }, at(t, c.now))
			require.Equal(t, c.release, versionOrNone(got.release))
			require.Equal(t, c.newest, versionOrNone(got.newest))
			require.Equal(t, c.offers, got.offers)
		})
	}
}

func versionOrNone(r *Release) string {
	if r == nil {
		return ""
	}
	return r.Version.String()
}

func TestVersions(t *testing.T) {
	for _, bad := range []string{"1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1..3", "-1.2.3", "+1.2.3", "1.2.2147483648", " 1.2.3"} {
		_, err := ParseVersion(bad)
		require.Error(t, err, bad)
	}
	order := []string{"0.0.1", "0.9.10", "1.0.0", "1.2.9", "1.2.10", "1.10.0", "10.0.0"}
	for i := 1; i < len(order); i++ {
		older, err := ParseVersion(order[i-1])
		require.NoError(t, err)
		newer, err := ParseVersion(order[i])
		require.NoError(t, err)
		require.Negative(t, older.Compare(newer))
		require.Equal(t, order[i], newer.String())
	}
}

func TestADraftSaysWhatItLacks(t *testing.T) {
	signed := Kit{Target: "any", Signature: "s"}
	for name, c := range map[string]struct {
		release Release
		missing []string
	}{
		"a product without anything": {Release{Kind: Product}, []string{"texts.en.what_is_new", "texts.en.all_changes", "texts.en.update_procedure", "kits"}},
		"a platform":                 {Release{Kind: Platform, Kits: []Kit{signed}}, []string{"texts.en.migration_notes", "texts.en.bugs_fixed", "texts.en.read_me"}},
		"report forms":               {Release{Kind: ReportForms, Kits: []Kit{{Target: "any"}}, Texts: map[string]Text{"en": {WhatIsNew: "VAT form"}}}, []string{"kits.any"}},
		"words in Latvian only": {
			Release{Kind: ReportForms, Kits: []Kit{signed}, Texts: map[string]Text{"lv": {WhatIsNew: "PVN"}}}, []string{"texts.en.what_is_new"},
		},
		"all there": {
			Release{Kind: Product, Kits: []Kit{signed}, Texts: map[string]Text{"en": {WhatIsNew: "a", AllChanges: "b", UpdateProcedure: "c"}}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.missing, c.release.missing()) })
	}
}
