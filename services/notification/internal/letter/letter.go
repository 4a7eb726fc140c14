// Package letter writes e-mails: an event orders one, a job composes and sends
// it, and what became of it is kept.
package letter

import (
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
)

// About names what a letter is about. It is kept in the database and holds no
// secret: links are asked for when the letter is sent.
type About struct {
	// Account it goes to, `accounts/A`; empty for invitations.
	Account string `json:"account,omitempty"`
	// Link is the resource whose link it carries: `activations/V`, `passwordResets/V`.
	Link string `json:"link,omitempty"`
	// Invitation is `subscribers/S/invitations/I`.
	Invitation string `json:"invitation,omitempty"`
	// Subscriber is `subscribers/S`.
	Subscriber string `json:"subscriber,omitempty"`
	// Contract is `subscribers/S/contracts/K`.
	Contract string `json:"contract,omitempty"`
	// LocalUser is the user's name in the local program.
	LocalUser string `json:"localUser,omitempty"`
	// Connection is `connections/X`, Company what its company is called; Sender says that the reader is the sending end.
	Connection string `json:"connection,omitempty"`
	Company    string `json:"company,omitempty"`
	Sender     bool   `json:"sender,omitempty"`
	// Language wanted, where the event says one.
	Language string `json:"language,omitempty"`
	// Days left of a trial.
	Days int32 `json:"days,omitempty"`
	// End of a trial and KeptUntil, dates as YYYY-MM-DD.
	End       string `json:"end,omitempty"`
	KeptUntil string `json:"keptUntil,omitempty"`
	// At is when the thing happened.
	At time.Time `json:"at,omitzero"`
}

// Order is a letter that an event orders.
type Order struct {
	Kind  notificationv1.LetterKind
	About About
}

// key of a kind in the wordings.
func key(kind notificationv1.LetterKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "LETTER_KIND_"))
}

// MessageID is a letter's Message-ID, the same at each try, so that a letter
// that was sent twice because we died between sending and noting it is seen to
// be the same.
func MessageID(id uuid.UUID, domain string) string { return id.String() + "@" + domain }

const (
	// giveUpAfter is how often a letter is tried; with the pauses below that is
	// about three days.
	giveUpAfter  = 24
	firstPause   = 2 * time.Second
	longestPause = 4 * time.Hour
)

// Pause is how long to wait after so many tries.
func Pause(tries int) time.Duration {
	pause := time.Duration(float64(firstPause) * math.Pow(2, float64(max(tries-1, 0))))
	if pause <= 0 || pause > longestPause {
		return longestPause
	}
	return pause
}
