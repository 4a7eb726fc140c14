package release

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/locale"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// detail is how much of a release is shown.
type detail int

const (
	outline detail = iota // that it is there
	whole                 // with words in one language, and signatures
	inAll                 // with words in every language
)

func (r Release) proto(how detail, wish string) *licensingv1.Release {
	out := &licensingv1.Release{
		Name: Name(r.ID), Kind: r.Kind.proto(), Subject: r.Subject, Version: r.Version.String(), Date: r.Date.String(),
		State: r.State().proto(), Platform: r.Platform, PlatformVersionNeeded: r.PlatformVersion.String(), MaintenanceIssue: r.Issue,
		PublishTime: timestamp(r.Published), WithdrawReason: r.WithdrawReason, CreateTime: timestamppb.New(r.Created), Etag: etag(r.Revision),
	}
	for _, k := range r.Kits {
		out.Kits = append(out.Kits, k.proto(how))
	}
	for _, language := range shown(r.Texts, how, wish) {
		out.Texts = append(out.Texts, r.Texts[language].proto(language))
	}
	return out
}

// shown are the languages that are shown.
func shown[T any](texts map[string]T, how detail, wish string) []string {
	switch how {
	case outline:
		return nil
	case inAll:
		return languages(texts)
	}
	wanted := string(locale.Match(wish))
	if _, there := texts[wanted]; there {
		return []string{wanted}
	}
	if all := languages(texts); len(all) > 0 {
		return all[:1]
	}
	return nil
}

func (t Text) proto(language string) *licensingv1.ReleaseText {
	return &licensingv1.ReleaseText{
		Language: language, WhatIsNew: t.WhatIsNew, AllChanges: t.AllChanges, MajorChanges: t.MajorChanges, UpdateProcedure: t.UpdateProcedure,
		MigrationNotes: t.MigrationNotes, BugsFixed: t.BugsFixed, ReadMe: t.ReadMe, Administrators: t.Administrators,
	}
}

func (k Kit) proto(how detail) *licensingv1.Kit {
	out := &licensingv1.Kit{
		Name: KitName(k.Release, k.ID), Target: k.Target, Filename: k.Filename, SizeBytes: k.Size, Sha256: k.SHA256,
		ReceivedBytes: k.Received, Complete: k.complete(),
	}
	if how != outline {
		out.Signature = k.Signature
	}
	return out
}

func (p Problem) proto(how detail, wish string) *licensingv1.KnownProblem {
	out := &licensingv1.KnownProblem{
		Name: ProblemName(p.ID), Kind: p.Kind.proto(), Subject: p.Subject, FromVersion: p.From.String(), FixedVersion: p.Fixed.String(),
		CreateTime: timestamppb.New(p.Created), Etag: etag(p.Revision),
	}
	for _, language := range shown(p.Texts, how, wish) {
		t := p.Texts[language]
		out.Texts = append(out.Texts, &licensingv1.KnownProblemText{
			Language: language, Title: t.Title, Description: t.Description, Workaround: t.Workaround,
		})
	}
	return out
}

func (s State) proto() licensingv1.ReleaseState {
	switch s {
	case Published:
		return licensingv1.ReleaseState_RELEASE_STATE_PUBLISHED
	case Withdrawn:
		return licensingv1.ReleaseState_RELEASE_STATE_WITHDRAWN
	default:
		return licensingv1.ReleaseState_RELEASE_STATE_DRAFT
	}
}

func etag(revision int64) string { return strconv.FormatInt(revision, 10) }

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
