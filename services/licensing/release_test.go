package licensing_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"time"

	"aead.dev/minisign"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const product = licensingv1.ReleaseKind_RELEASE_KIND_PRODUCT

// publisher is a member of staff who publishes.
type publisher struct {
	*bundle
	licensingv1.ReleaseStaffServiceClient
}

func (b *bundle) publisher() *publisher {
	b.t.Helper()
	account := b.NewAccount(id.NewString() + "@kontor.lv")
	b.Access.Staff(account)
	return &publisher{b, licensingv1.NewReleaseStaffServiceClient(b.As(account))}
}

func content() *licensingv1.ReleaseContent {
	return &licensingv1.ReleaseContent{
		Date: "2026-03-01", MaintenanceIssue: "2026-03",
		Texts: []*licensingv1.ReleaseText{
			{Language: "en", WhatIsNew: "VAT at 5 %", AllChanges: "VAT at 5 % for books.", UpdateProcedure: "Close all windows.", Administrators: "Run as administrator."},
			{Language: "lv", WhatIsNew: "PVN 5 %", AllChanges: "PVN 5 % grāmatām.", UpdateProcedure: "Aizveriet visus logus."},
		},
	}
}

// draft makes a draft of books.
func (p *publisher) draft(version string) *licensingv1.Release {
	p.t.Helper()
	answer, err := p.CreateRelease(p.t.Context(), &licensingv1.CreateReleaseRequest{
		Kind: product, Subject: "books", Version: version, Content: content(), RequestId: id.NewString(),
	})
	require.NoError(p.t, err)
	return answer.GetRelease()
}

// announce announces a kit with some content.
func (p *publisher) announce(r *licensingv1.Release, kit []byte) *licensingv1.Kit {
	p.t.Helper()
	sum := sha256.Sum256(kit)
	answer, err := p.CreateKit(p.t.Context(), &licensingv1.CreateKitRequest{
		Parent: r.GetName(), Target: "linux-amd64", Filename: "books.tar.gz", SizeBytes: int64(len(kit)), Sha256: sum[:], RequestId: id.NewString(),
	})
	require.NoError(p.t, err)
	return answer.GetKit()
}

// write sends bytes from an offset on, in pieces.
func (p *publisher) write(k *licensingv1.Kit, offset int64, data []byte) (*licensingv1.Kit, error) {
	p.t.Helper()
	stream, err := p.WriteKit(p.t.Context())
	require.NoError(p.t, err)
	if err := stream.Send(&licensingv1.WriteKitRequest{Name: k.GetName(), Offset: offset}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for len(data) > 0 {
		n := min(len(data), 300_000)
		if err := stream.Send(&licensingv1.WriteKitRequest{Data: data[:n]}); err != nil {
			break // The answer tells.
		}
		data = data[n:]
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetKit(), err
}

// publish publishes a release of books with a kit.
func (p *publisher) publish(version string, kit []byte) *licensingv1.Release {
	p.t.Helper()
	r := p.draft(version)
	k := p.announce(r, kit)
	_, err := p.write(k, 0, kit)
	require.NoError(p.t, err)
	_, err = p.CompleteKit(p.t.Context(), &licensingv1.CompleteKitRequest{Name: k.GetName()})
	require.NoError(p.t, err)
	answer, err := p.PublishRelease(p.t.Context(), &licensingv1.PublishReleaseRequest{Name: r.GetName()})
	require.NoError(p.t, err)
	return answer.GetRelease()
}

func (c *customer) releases() licensingv1.ReleaseServiceClient {
	return licensingv1.NewReleaseServiceClient(c.As(c.owner))
}

func (c *customer) check(version string) *licensingv1.Update {
	c.t.Helper()
	answer, err := c.releases().CheckForUpdate(c.t.Context(), &licensingv1.CheckForUpdateRequest{Subscriber: c.name, Product: "books", Version: version})
	require.NoError(c.t, err)
	return answer.GetUpdate()
}

// fetch downloads a kit by a link, from an offset on.
func (c *customer) fetch(link string, offset, length int64) (*commonv1.FileInfo, []byte, error) {
	c.t.Helper()
	stream, err := c.releases().DownloadKit(c.t.Context(), &licensingv1.DownloadKitRequest{Name: link, Offset: offset, Length: length})
	require.NoError(c.t, err)
	var info *commonv1.FileInfo
	var data []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return info, data, nil
		}
		if err != nil {
			return info, data, err
		}
		if piece.GetInfo() != nil {
			info = piece.GetInfo()
		}
		data = append(data, piece.GetData()...)
	}
}

func (c *customer) link(k *licensingv1.Kit) (*licensingv1.CreateKitLinkResponse, error) {
	c.t.Helper()
	return c.releases().CreateKitLink(c.t.Context(), &licensingv1.CreateKitLinkRequest{Subscriber: c.name, Kit: k.GetName()})
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	content := make([]byte, n)
	_, err := rand.Read(content)
	require.NoError(t, err)
	return content
}

// A release is published with its kit, offered, told, and its kit downloaded and checked with minisign (C4, C5).
func TestAReleaseIsPublishedOfferedAndDownloaded(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.licensing.release.>")
	c, _ := b.trial("LV")
	stranger := b.customer("LV")
	kit := random(t, 9<<20)
	r := b.publisher().publish("1.4.0", kit)
	want(t, told, &licensingv1.ReleasePublished{})
	available := want(t, told, &licensingv1.ReleaseAvailable{})
	require.Equal(t, r.GetName(), available.GetRelease().GetName())
	require.Equal(t, "PVN 5 %", available.GetWhatIsNew()["lv"])

	update := c.check("1.3.9")
	require.Equal(t, "1.4.0", update.GetRelease().GetVersion())
	require.Equal(t, "VAT at 5 %", update.GetRelease().GetTexts()[0].GetWhatIsNew())
	require.Empty(t, update.GetOffers())
	require.Nil(t, c.check("1.4.0").GetRelease())

	linked, err := c.link(update.GetRelease().GetKits()[0])
	require.NoError(t, err)
	info, first, err := c.fetch(linked.GetLink(), 0, 1<<20)
	require.NoError(t, err)
	_, rest, err := c.fetch(linked.GetLink(), 1<<20, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(kit, append(first, rest...)), "it goes on from where it broke off")
	require.Equal(t, "books.tar.gz", info.GetFilename())
	keys, err := c.releases().ListReleaseKeys(t.Context(), &licensingv1.ListReleaseKeysRequest{})
	require.NoError(t, err)
	var public minisign.PublicKey
	require.NoError(t, public.UnmarshalText([]byte(keys.GetKeys()[0].GetPublicKey())))
	signature := []byte(linked.GetKit().GetSignature())
	require.True(t, verified(t, public, kit, signature))
	require.False(t, verified(t, public, kit[1:], signature))
	require.Contains(t, string(signature), "version:1.4.0")

	denied := stranger.check("1.3.9")
	require.Nil(t, denied.GetRelease())
	require.Equal(t, "1.4.0", denied.GetNewest().GetVersion())
	require.Equal(t, []licensingv1.Offer{licensingv1.Offer_OFFER_ACCEPT_CONTRACT}, denied.GetOffers())
	_, err = stranger.link(r.GetKits()[0])
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_REFUSED)
	_, err = stranger.releases().GetRelease(t.Context(), &licensingv1.GetReleaseRequest{Subscriber: stranger.name, Name: r.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_REFUSED)
}

func verified(t *testing.T, public minisign.PublicKey, message, signature []byte) bool {
	t.Helper()
	reader := minisign.NewReader(bytes.NewReader(message))
	_, err := io.Copy(io.Discard, reader)
	require.NoError(t, err)
	return reader.Verify(public, signature)
}

// Who lapsed keeps what was published before (C3); a link ends with its time, and with the release.
func TestALapsedCustomerKeepsWhatWasPublishedBefore(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	p := b.publisher()
	older := p.publish("1.4.0", []byte("older"))
	b.Advance(40 * day)
	newer := p.publish("1.5.0", []byte("newer"))
	update := c.check("1.3.0")
	require.Equal(t, "1.4.0", update.GetRelease().GetVersion())
	require.Equal(t, "1.5.0", update.GetNewest().GetVersion())
	require.Empty(t, update.GetNewest().GetTexts(), "its pages are closed")
	require.Equal(t, []licensingv1.Offer{licensingv1.Offer_OFFER_SUBSCRIBE}, update.GetOffers())
	require.False(t, update.GetDecision().GetAllowed())
	_, err := c.link(newer.GetKits()[0])
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_REFUSED)

	linked, err := c.link(older.GetKits()[0])
	require.NoError(t, err)
	_, data, err := c.fetch(linked.GetLink(), 0, 0)
	require.NoError(t, err)
	require.Equal(t, "older", string(data))
	b.Advance(15 * time.Minute)
	_, _, err = c.fetch(linked.GetLink(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_KIT_LINK_INVALID)
	_, _, err = c.fetch("kitLinks/AAAA", 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_KIT_LINK_INVALID)

	linked, err = c.link(older.GetKits()[0])
	require.NoError(t, err)
	withdrawn, err := p.WithdrawRelease(t.Context(), &licensingv1.WithdrawReleaseRequest{Name: older.GetName(), Reason: "It loses vouchers."})
	require.NoError(t, err)
	require.Equal(t, licensingv1.ReleaseState_RELEASE_STATE_WITHDRAWN, withdrawn.GetRelease().GetState())
	_, _, err = c.fetch(linked.GetLink(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RELEASE_WITHDRAWN)
	require.Contains(t, status.Convert(err).Message(), "It loses vouchers.")
	require.Nil(t, c.check("1.3.0").GetRelease())
}

// A kit's upload goes on after it broke off; what is not what was announced is refused, and nothing unfit is published.
func TestAKitIsUploadedInPiecesAndChecked(t *testing.T) {
	b := setup(t)
	p := b.publisher()
	kit := random(t, 1_000_000)
	r := p.draft("2.0.0")
	publish := func() error {
		_, err := p.PublishRelease(t.Context(), &licensingv1.PublishReleaseRequest{Name: r.GetName()})
		return err
	}
	servicetest.WantReason(t, publish(), commonv1.Reason_REASON_RELEASE_INCOMPLETE)
	k := p.announce(r, kit)
	half, err := p.write(k, 0, kit[:400_000])
	require.NoError(t, err)
	require.EqualValues(t, 400_000, half.GetReceivedBytes())
	_, err = p.CompleteKit(t.Context(), &licensingv1.CompleteKitRequest{Name: k.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_INCOMPLETE)
	_, err = p.write(k, 399_999, kit[399_999:])
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_OFFSET_MISMATCH)
	wrong := bytes.Clone(kit[400_000:])
	wrong[0]++
	_, err = p.write(k, 400_000, append(wrong, 'x'))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_TOO_LARGE)
	_, err = p.CompleteKit(t.Context(), &licensingv1.CompleteKitRequest{Name: k.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_UPLOAD_CHECKSUM_MISMATCH)
	servicetest.WantReason(t, publish(), commonv1.Reason_REASON_RELEASE_INCOMPLETE)

	_, err = p.write(k, 0, kit)
	require.NoError(t, err, "it is sent anew")
	done, err := p.CompleteKit(t.Context(), &licensingv1.CompleteKitRequest{Name: k.GetName()})
	require.NoError(t, err)
	again, err := p.CompleteKit(t.Context(), &licensingv1.CompleteKitRequest{Name: k.GetName()})
	require.NoError(t, err)
	require.Equal(t, done.GetKit().GetSignature(), again.GetKit().GetSignature())
	require.NoError(t, publish())
	require.NoError(t, publish(), "published once, however often it is said")
	_, err = p.CreateKit(t.Context(), &licensingv1.CreateKitRequest{
		Parent: r.GetName(), Target: "any", Filename: "x", SizeBytes: 1, Sha256: make([]byte, 32), RequestId: id.NewString(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RELEASE_STATE_REFUSED)
}

func TestDraftsAreStaffsAndVersionsAreOnce(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	p := b.publisher()
	r := p.draft("1.0.0")
	_, err := c.releases().GetRelease(t.Context(), &licensingv1.GetReleaseRequest{Subscriber: c.name, Name: r.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = licensingv1.NewReleaseStaffServiceClient(b.As(c.owner)).GetAnyRelease(t.Context(), &licensingv1.GetAnyReleaseRequest{Name: r.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	for reason, ask := range map[commonv1.Reason]*licensingv1.CreateReleaseRequest{
		commonv1.Reason_REASON_RELEASE_EXISTS:          {Subject: "books", Version: "1.0.0"},
		commonv1.Reason_REASON_RELEASE_SUBJECT_UNKNOWN: {Subject: "games", Version: "1.0.0"},
		commonv1.Reason_REASON_INVALID_ARGUMENT:        {Subject: "books", Version: "0.0.0"},
	} {
		ask.Kind, ask.Content, ask.RequestId = product, content(), id.NewString()
		_, err = p.CreateRelease(t.Context(), ask)
		servicetest.WantReason(t, err, reason)
	}
	changed := content()
	changed.MaintenanceIssue = "2026-04"
	updated, err := p.UpdateRelease(t.Context(), &licensingv1.UpdateReleaseRequest{Name: r.GetName(), Content: changed, Etag: r.GetEtag()})
	require.NoError(t, err)
	require.Equal(t, "2026-04", updated.GetRelease().GetMaintenanceIssue())
	_, err = p.UpdateRelease(t.Context(), &licensingv1.UpdateReleaseRequest{Name: r.GetName(), Content: changed, Etag: r.GetEtag()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ETAG_MISMATCH)
}

func TestReleasesAndProblemsAreListedInPages(t *testing.T) {
	b := setup(t)
	c, _ := b.trial("LV")
	p := b.publisher()
	for _, v := range []string{"1.9.0", "1.10.0", "1.2.0"} {
		p.publish(v, []byte("kit of "+v))
	}
	p.draft("9.9.9")
	var versions []string
	for token := ""; ; {
		page, err := c.releases().ListReleases(t.Context(), &licensingv1.ListReleasesRequest{PageSize: 2, PageToken: token, Kind: product, Subject: "books"})
		require.NoError(t, err)
		for _, r := range page.GetReleases() {
			versions = append(versions, r.GetVersion())
			require.Empty(t, r.GetKits()[0].GetSignature())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	require.Equal(t, []string{"1.10.0", "1.9.0", "1.2.0"}, versions)

	known := func(from, fixed string) (*licensingv1.KnownProblem, error) {
		answer, err := p.CreateKnownProblem(t.Context(), &licensingv1.CreateKnownProblemRequest{
			Kind: product, Subject: "books", RequestId: id.NewString(),
			Content: &licensingv1.KnownProblemContent{FromVersion: from, FixedVersion: fixed, Texts: []*licensingv1.KnownProblemText{{Language: "en", Title: from}}},
		})
		return answer.GetKnownProblem(), err
	}
	_, err := known("1.10.0", "1.9.0")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
	for _, versions := range [][2]string{{"1.2.0", "1.9.0"}, {"1.9.0", ""}, {"1.10.0", ""}} {
		_, err := known(versions[0], versions[1])
		require.NoError(t, err)
	}
	titles := func(version string) (all []string) {
		page, err := c.releases().ListKnownProblems(t.Context(), &licensingv1.ListKnownProblemsRequest{Kind: product, Subject: "books", Version: version})
		require.NoError(t, err)
		for _, p := range page.GetKnownProblems() {
			all = append(all, p.GetTexts()[0].GetTitle())
		}
		return all
	}
	require.Equal(t, []string{"1.10.0", "1.9.0", "1.2.0"}, titles(""))
	require.Equal(t, []string{"1.2.0"}, titles("1.8.99"))
	require.Equal(t, []string{"1.9.0"}, titles("1.9.0"))
	require.Equal(t, []string{"1.10.0", "1.9.0"}, titles("1.10.0"))
	require.Len(t, c.check("1.10.0").GetKnownProblems(), 2)
}
