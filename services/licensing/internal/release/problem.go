package release

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/locale"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/release/releasedb"
)

// titleLength is the most characters that a problem's title has.
const titleLength = 200

// CreateKnownProblem makes a problem known.
func (s *Staff) CreateKnownProblem(ctx context.Context, req *licensingv1.CreateKnownProblemRequest) (*licensingv1.CreateKnownProblemResponse, error) {
	author, err := licence.ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return nil, err
	}
	p := Problem{ID: s.deps.IDs(), Kind: kindOf(req.GetKind()), Subject: req.GetSubject(), Created: s.deps.Clock.Now(), Revision: 1}
	if err := s.known(p.Kind, p.Subject); err != nil {
		return nil, err
	}
	texts, err := p.say(req.GetContent())
	if err != nil {
		return nil, err
	}
	return idempotency.Create(ctx, s.deps.DB, req, func(ctx context.Context, tx pgx.Tx) (*licensingv1.CreateKnownProblemResponse, error) {
		err := releasedb.New(tx).InsertProblem(ctx, releasedb.InsertProblemParams{
			ID: p.ID, Kind: string(p.Kind), Subject: p.Subject, FromVersion: p.From.parts(), FixedVersion: p.Fixed.parts(), Texts: texts,
			Author: author, Created: p.Created,
		})
		return &licensingv1.CreateKnownProblemResponse{KnownProblem: p.proto(inAll, "")}, translate(err)
	})
}

// UpdateKnownProblem changes what is said of a problem.
func (s *Staff) UpdateKnownProblem(ctx context.Context, req *licensingv1.UpdateKnownProblemRequest) (*licensingv1.UpdateKnownProblemResponse, error) {
	problem, err := parse(req.GetName(), problems)
	if err != nil {
		return nil, err
	}
	var p Problem
	err = postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) error {
		q := releasedb.New(tx)
		row, err := q.GetProblem(ctx, problem)
		if err != nil {
			return postgres.NotFound(err, req.GetName())
		}
		if p, err = problemOf(row); err != nil {
			return err
		}
		texts, err := p.say(req.GetContent())
		if err != nil {
			return err
		}
		if req.GetEtag() != etag(p.Revision) {
			return failure.New(commonv1.Reason_REASON_ETAG_MISMATCH, "resource", req.GetName())
		}
		rows, err := q.UpdateProblem(ctx, releasedb.UpdateProblemParams{
			ID: p.ID, Revision: p.Revision, FromVersion: p.From.parts(), FixedVersion: p.Fixed.parts(), Texts: texts, Updated: s.deps.Clock.Now(),
		})
		if err == nil && rows == 0 {
			return failure.New(commonv1.Reason_REASON_ETAG_MISMATCH, "resource", req.GetName())
		}
		p.Revision++
		return err
	})
	if err != nil {
		return nil, translate(err)
	}
	return &licensingv1.UpdateKnownProblemResponse{KnownProblem: p.proto(inAll, "")}, nil
}

// say takes over what staff say of a problem, and returns its words as they are kept.
func (p *Problem) say(content *licensingv1.KnownProblemContent) (texts []byte, err error) {
	if p.From, err = version("content.from_version", content.GetFromVersion()); err != nil {
		return nil, err
	}
	if p.From == (Version{}) {
		return nil, failure.Invalid("content.from_version", "is 0.0.0, which is none")
	}
	if p.Fixed, err = version("content.fixed_version", content.GetFixedVersion()); err != nil {
		return nil, err
	}
	if p.Fixed != (Version{}) && p.Fixed.Compare(p.From) <= 0 {
		return nil, failure.Invalid("content.fixed_version", "is not newer than from_version")
	}
	p.Texts = map[string]ProblemText{}
	for i, t := range content.GetTexts() {
		field := fmt.Sprintf("content.texts[%d]", i)
		_, known := locale.Parse(t.GetLanguage())
		_, twice := p.Texts[t.GetLanguage()]
		switch {
		case !known:
			return nil, failure.Invalid(field+".language", "is no language of Kontor")
		case twice:
			return nil, failure.Invalid(field+".language", "stands twice")
		case strings.TrimSpace(t.GetTitle()) == "" || utf8.RuneCountInString(t.GetTitle()) > titleLength:
			return nil, failure.Invalid(field+".title", fmt.Sprintf("must have 1 to %d characters", titleLength))
		case utf8.RuneCountInString(t.GetDescription()) > longest || utf8.RuneCountInString(t.GetWorkaround()) > longest:
			return nil, failure.Invalid(field, fmt.Sprintf("is longer than %d characters", longest))
		}
		p.Texts[t.GetLanguage()] = ProblemText{Title: t.GetTitle(), Description: t.GetDescription(), Workaround: t.GetWorkaround()}
	}
	if _, there := p.Texts["en"]; !there {
		return nil, failure.Invalid("content.texts", "has no English")
	}
	texts, err = json.Marshal(p.Texts)
	return texts, err
}
