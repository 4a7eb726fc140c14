package member

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/rights"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/tenancy/internal/member/memberdb"
	"kontor.internal/services/tenancy/internal/names"
)

// Room is licensing's word that a subscriber may have one member more. The zero value is for an account that stands
// already and needs none.
type Room struct {
	subscriber uuid.UUID
	// counted are the members that the word was given for.
	counted int
}

// FindRoom asks licensing, outside of any transaction. Invited is how many others may still come by invitation.
// RIGHT_MISSING when there is no room.
func (s *Members) FindRoom(ctx context.Context, db *pgxpool.Pool, r *rights.Rights, subscriber uuid.UUID, invited int) (Room, error) {
	standing, err := CountStanding(ctx, db, subscriber, s.Today())
	if err != nil {
		return Room{}, Constraints().Translate(err)
	}
	err = r.Require(ctx, rights.Question{
		Subscriber: names.Subscriber(subscriber), Action: licensingv1.Action_ACTION_ADD_ACCOUNT, CountAfter: standing + invited + 1,
	})
	return Room{subscriber: subscriber, counted: standing}, err
}

// take makes sure, inside the transaction that adds, that nobody took the room meanwhile. CONFLICT when somebody did.
func (s *Members) take(ctx context.Context, tx pgx.Tx, room Room) error {
	if room.subscriber == uuid.Nil {
		return nil
	}
	if err := memberdb.New(tx).LockSubscriber(ctx, room.subscriber); err != nil {
		return err
	}
	standing, err := CountStanding(ctx, tx, room.subscriber, s.Today())
	if err == nil && standing > room.counted {
		err = failure.New(commonv1.Reason_REASON_CONFLICT)
	}
	return err
}
