package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"aead.dev/minisign"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// staff is the member of staff of the suite that tests share.
var staff struct {
	sync.Mutex
	person *harness.Person
}

// publisherOf signs a member of staff in.
func publisherOf(t *testing.T, s *harness.Suite) *client.Session {
	t.Helper()
	staff.Lock()
	defer staff.Unlock()
	if staff.person != nil {
		return signedIn(t, staff.person, library(t, staff.person.Client))
	}
	p := s.NewPerson(t, "Izdevējs")
	session := signedIn(t, p, library(t, p.Client))
	_, err := tenancyv1.NewStaffServiceClient(session.Conn()).ClaimFirstStaff(t.Context(), &tenancyv1.ClaimFirstStaffRequest{Token: s.State().FirstStaffToken})
	must(t, err)
	staff.person = p
	return session
}

// C4, C5: staff publish a release with its kit; a program learns of it, downloads the kit in two parts and checks its signature; who
// has no licence is told what would help.
func TestAReleaseIsPublishedAndInstalled(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "licensing", "tenancy")
	publishing := licensingv1.NewReleaseStaffServiceClient(publisherOf(t, s).Conn())
	created, err := publishing.CreateRelease(t.Context(), &licensingv1.CreateReleaseRequest{
		Kind: licensingv1.ReleaseKind_RELEASE_KIND_PRODUCT, Subject: "payroll", Version: "3.1.0", RequestId: client.RequestID(),
		Content: &licensingv1.ReleaseContent{Date: "2026-11-01", Texts: []*licensingv1.ReleaseText{
			{Language: "en", WhatIsNew: "New tax tables", AllChanges: "Tax tables of 2027.", UpdateProcedure: "Close the program."},
		}},
	})
	must(t, err)
	release, kit := created.GetRelease().GetName(), make([]byte, 700_000)
	_, err = rand.Read(kit)
	must(t, err)
	sum := sha256.Sum256(kit)
	announced, err := publishing.CreateKit(t.Context(), &licensingv1.CreateKitRequest{
		Parent: release, Target: "linux-amd64", Filename: "payroll-3.1.0.tar.gz", SizeBytes: int64(len(kit)), Sha256: sum[:], RequestId: client.RequestID(),
	})
	must(t, err)
	writing, err := publishing.WriteKit(t.Context())
	must(t, err)
	must(t, writing.Send(&licensingv1.WriteKitRequest{Name: announced.GetKit().GetName()}))
	must(t, writing.Send(&licensingv1.WriteKitRequest{Data: kit}))
	_, err = writing.CloseAndRecv()
	must(t, err)
	_, err = publishing.CompleteKit(t.Context(), &licensingv1.CompleteKitRequest{Name: announced.GetKit().GetName()})
	must(t, err)
	_, err = publishing.PublishRelease(t.Context(), &licensingv1.PublishReleaseRequest{Name: release})
	must(t, err)

	p, _, company := trading(t, s, "Algotāja")
	subscriber, _, _ := strings.Cut(company, "/companies/")
	var found licensingv1.CheckForUpdateResponse
	must(t, p.Post(t.Context(), "/v1/"+subscriber+":checkForUpdate", &licensingv1.CheckForUpdateRequest{Subscriber: subscriber, Product: "payroll", Version: "3.0.9"}, &found))
	update := found.GetUpdate()
	if update.GetRelease().GetVersion() != "3.1.0" || update.GetRelease().GetTexts()[0].GetWhatIsNew() != "New tax tables" || len(update.GetOffers()) != 0 {
		t.Fatalf("offered: %v", update)
	}
	var linked licensingv1.CreateKitLinkResponse
	name := update.GetRelease().GetKits()[0].GetName()
	must(t, p.Post(t.Context(), "/v1/"+subscriber+"/"+name+":link", &licensingv1.CreateKitLinkRequest{Subscriber: subscriber, Kit: name}, &linked))
	visitor := s.Visitor() // The link is enough.
	part := func(bytes string) []byte {
		answer, err := visitor.Raw(t.Context(), http.MethodGet, "/v1/"+linked.GetLink(), http.Header{"Range": {"bytes=" + bytes}}, nil)
		must(t, err)
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		must(t, err)
		if answer.StatusCode != http.StatusPartialContent {
			t.Fatalf("a part is answered with %s: %s", answer.Status, content)
		}
		return content
	}
	got := append(part("0-99999"), part("100000-")...)
	if !bytes.Equal(got, kit) {
		t.Fatal("the kit is another")
	}
	var keys licensingv1.ListReleaseKeysResponse
	must(t, visitor.Get(t.Context(), "/v1/releaseKeys", &keys))
	var public minisign.PublicKey
	must(t, public.UnmarshalText([]byte(keys.GetKeys()[0].GetPublicKey())))
	checked := minisign.NewReader(bytes.NewReader(got))
	_, err = io.Copy(io.Discard, checked)
	must(t, err)
	if !checked.Verify(public, []byte(linked.GetKit().GetSignature())) {
		t.Error("the signature is not the kit's")
	}

	stranger := s.NewPerson(t, "Bez līguma")
	theirs, err := stranger.Subscriber(t.Context())
	must(t, err)
	var refused licensingv1.CheckForUpdateResponse
	must(t, stranger.Post(t.Context(), "/v1/"+theirs.GetName()+":checkForUpdate", &licensingv1.CheckForUpdateRequest{Subscriber: theirs.GetName(), Product: "payroll"}, &refused))
	if u := refused.GetUpdate(); u.GetRelease() != nil || u.GetNewest().GetVersion() != "3.1.0" || len(u.GetOffers()) != 1 || u.GetOffers()[0] != licensingv1.Offer_OFFER_ACCEPT_CONTRACT {
		t.Errorf("without a contract: %v", u)
	}
}
