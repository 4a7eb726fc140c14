package letter

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/locale"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	"kontor.internal/services/notification/internal/letter/letterdb"
)

// Server answers support's questions about letters.
type Server struct {
	notificationv1.UnimplementedLetterServiceServer

	DB       *pgxpool.Pool
	Jobs     *jobs.Client
	Pages    *paging.Codec
	Clock    clock.Clock
	Composer *Composer
	Domain   string
	Console  string
	Zone     *time.Location
}

// cursor is where a page of letters ends.
type cursor struct {
	Time time.Time `json:"t"`
	ID   uuid.UUID `json:"i"`
}

// ListLetters lists letters, newest first.
func (s *Server) ListLetters(ctx context.Context, r *notificationv1.ListLettersRequest) (*notificationv1.ListLettersResponse, error) {
	var after cursor
	page, err := s.Pages.Start("ListLetters", r, &after, strings.ToLower(r.GetRecipient()), r.GetState().String())
	if err != nil {
		return nil, err
	}
	params := letterdb.ListLettersParams{
		Recipient: r.GetRecipient(), State: int32(r.GetState()), BeforeID: after.ID, Count: page.Limit(),
	}
	if !after.Time.IsZero() {
		params.BeforeTime = &after.Time
	}
	rows, err := letterdb.New(s.DB).ListLetters(ctx, params)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(l letterdb.Letter) any { return cursor{Time: l.CreateTime, ID: l.ID} })
	if err != nil {
		return nil, err
	}
	answer := &notificationv1.ListLettersResponse{NextPageToken: next}
	for _, row := range shown {
		answer.Letters = append(answer.Letters, toProto(row, s.Domain))
	}
	return answer, nil
}

// ResendLetter tries a failed letter again.
func (s *Server) ResendLetter(ctx context.Context, r *notificationv1.ResendLetterRequest) (*notificationv1.ResendLetterResponse, error) {
	letter, err := id.Parse(strings.TrimPrefix(r.GetName(), "letters/"))
	if err != nil {
		return nil, failure.NotFound(r.GetName())
	}
	var row letterdb.Letter
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		queries := letterdb.New(tx)
		if row, err = queries.LockLetter(ctx, letter); err != nil {
			return postgres.NotFound(err, r.GetName())
		}
		if notificationv1.LetterState(row.State) != notificationv1.LetterState_LETTER_STATE_FAILED {
			return failure.New(commonv1.Reason_REASON_LETTER_NOT_FAILED, "letter", r.GetName())
		}
		if err := queries.ReopenLetter(ctx, letter); err != nil {
			return postgres.Constraints{}.Translate(err)
		}
		row.State, row.EndTime = int32(notificationv1.LetterState_LETTER_STATE_QUEUED), nil
		return s.Jobs.InsertTx(ctx, tx, Job{Letter: letter}, nil)
	})
	if err != nil {
		return nil, err
	}
	return &notificationv1.ResendLetterResponse{Letter: toProto(row, s.Domain)}, nil
}

// PreviewLetter shows a kind of letter with made-up names.
func (s *Server) PreviewLetter(_ context.Context, r *notificationv1.PreviewLetterRequest) (*notificationv1.PreviewLetterResponse, error) {
	language := locale.Match(r.GetLanguage())
	mail, err := s.Composer.Compose(key(r.GetKind()), language, sample(language, s.Console, s.Zone, s.Clock.Now()))
	if err != nil {
		return nil, err
	}
	return &notificationv1.PreviewLetterResponse{Subject: mail.Subject, Text: mail.Text, Html: mail.HTML}, nil
}
