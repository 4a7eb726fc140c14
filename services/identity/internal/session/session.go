// Package session keeps sign-ins: their tokens, their rotation and their end.
package session

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// How long sessions live, in real time.
const (
	// IdleLife is how long one lives without a refresh.
	IdleLife = 30 * 24 * time.Hour
	// Life is how long one lives at the most.
	Life = 90 * 24 * time.Hour
	// Grace is how long a used refresh token still gets the same successor.
	Grace = 30 * time.Second
)

// idleUntil is when a session ends by itself that is refreshed now.
func idleUntil(now, end time.Time) time.Time {
	if until := now.Add(IdleLife); until.Before(end) {
		return until
	}
	return end
}

// Rotation is a refresh token that was used in the last moments.
type Rotation struct {
	Generation int32
	Hash       [sha256.Size]byte
	At         time.Time
}

// State is what decides about a refresh.
type State struct {
	// Generation and Hash of the token that is good now.
	Generation int32
	Hash       [sha256.Size]byte
	// Used are the tokens before it that may still be repeated.
	Used []Rotation
	// Ended says whether the session was ended.
	Ended bool
	// IdleExpires and Expires are the ends it reaches by itself.
	IdleExpires, Expires time.Time
}

// Verdict is what becomes of a refresh.
type Verdict int

// The verdicts.
const (
	// Invalid: not a token of this session.
	Invalid Verdict = iota
	// Rotate: the token is used now, its successor is good from now on.
	Rotate
	// Repeat: the token was used a moment ago; the same successor again.
	Repeat
	// Reused: the token was used before; the session must end.
	Reused
	// Over: the session was ended.
	Over
	// Expired: the session reached its end.
	Expired
)

// Decide says what becomes of a refresh with a token that is known to be ours.
func (s State) Decide(t Token, now time.Time) Verdict {
	switch {
	case s.Ended:
		return Over
	case !now.Before(s.IdleExpires) || !now.Before(s.Expires):
		return Expired
	case t.Generation == s.Generation && t.Hash() == s.Hash:
		return Rotate
	case t.Generation >= s.Generation:
		return Invalid
	}
	for _, used := range s.Used {
		if used.Generation == t.Generation && used.Hash == t.Hash() && now.Sub(used.At) <= Grace {
			return Repeat
		}
	}
	return Reused
}

// Name is a session's resource name, `accounts/A/sessions/N`.
func Name(account, session uuid.UUID) string {
	return "accounts/" + account.String() + "/sessions/" + session.String()
}

// ParseName reads a session's resource name.
func ParseName(name string) (account, session uuid.UUID, err error) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] != "accounts" || parts[2] != "sessions" {
		return uuid.Nil, uuid.Nil, failure.NotFound(name)
	}
	account, err = id.Parse(parts[1])
	if err == nil {
		session, err = id.Parse(parts[3])
	}
	if err != nil {
		return uuid.Nil, uuid.Nil, failure.NotFound(name).Wrap(err)
	}
	return account, session, nil
}

// cause is how the table spells why a session ended.
func cause(end identityv1.SessionEnd) string {
	return strings.ToLower(strings.TrimPrefix(end.String(), "SESSION_END_"))
}

// refusal is how a verdict that gives no tokens is told.
func (v Verdict) refusal() error {
	switch v {
	case Reused:
		return failure.New(commonv1.Reason_REASON_REFRESH_TOKEN_REUSED)
	case Over:
		return failure.New(commonv1.Reason_REASON_SESSION_REVOKED)
	case Expired:
		return failure.New(commonv1.Reason_REASON_SESSION_EXPIRED)
	default:
		return invalid()
	}
}
