// Package connection is what may be connected with what, and the life of a connection.
package connection

import (
	"slices"
	"strings"
	"time"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// End is what the rules know of one end.
type End struct {
	TaxNumber string
	Program   exchangev1.Program
}

// pairs is which program sends to which (S9).
var pairs = map[exchangev1.Program][]exchangev1.Program{
	exchangev1.Program_PROGRAM_START_FAKTURA:      books,
	exchangev1.Program_PROGRAM_START_HANDEL:       books,
	exchangev1.Program_PROGRAM_HANDEL_SALES:       books,
	exchangev1.Program_PROGRAM_HANDEL_SALES_STOCK: books,
}

var books = []exchangev1.Program{
	exchangev1.Program_PROGRAM_START_MALA_KSIEGOWOSC,
	exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC,
}

// titles are the programs' names; names are not translated.
var titles = map[exchangev1.Program]string{
	exchangev1.Program_PROGRAM_START_FAKTURA:         "Start Faktura",
	exchangev1.Program_PROGRAM_START_HANDEL:          "Start Handel",
	exchangev1.Program_PROGRAM_HANDEL_SALES:          "Handel (sales)",
	exchangev1.Program_PROGRAM_HANDEL_SALES_STOCK:    "Handel (sales and stock)",
	exchangev1.Program_PROGRAM_START_MALA_KSIEGOWOSC: "Start Mała Księgowość",
	exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC:  "Finanse i Księgowość",
}

// CheckEnds tells whether documents may travel from one end to the other: by their programs (S9) and because it is
// one company's channel (S4).
func CheckEnds(sender, receiver End) error {
	if !slices.Contains(pairs[sender.Program], receiver.Program) {
		return failure.New(commonv1.Reason_REASON_PROGRAM_PAIR_REFUSED,
			"sender_program", title(sender.Program), "receiver_program", title(receiver.Program), "allowed", allowed(sender.Program))
	}
	from, to := Normal(sender.TaxNumber), Normal(receiver.TaxNumber)
	switch {
	case from == "":
		return failure.New(commonv1.Reason_REASON_TAX_NUMBER_MISSING, "end", "sender")
	case to == "":
		return failure.New(commonv1.Reason_REASON_TAX_NUMBER_MISSING, "end", "receiver")
	case from != to:
		return failure.New(commonv1.Reason_REASON_TAX_NUMBERS_DIFFER,
			"sender_tax_number", sender.TaxNumber, "receiver_tax_number", receiver.TaxNumber)
	}
	return nil
}

// Normal is a tax number without what people put between its characters.
func Normal(number string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "\u00a0", "", "-", "", ".", "").Replace(number))
}

func title(p exchangev1.Program) string {
	if name, known := titles[p]; known {
		return name
	}
	return "-"
}

func allowed(sender exchangev1.Program) string {
	var names []string
	for _, p := range pairs[sender] {
		names = append(names, title(p))
	}
	if names == nil {
		return "-"
	}
	return strings.Join(names, ", ")
}

// Action is what is done to a connection.
type Action string

// Actions.
const (
	Accept Action = "accepted"
	Pause  Action = "paused"
	Resume Action = "resumed"
	Remove Action = "removed"
)

// lives is what an action makes of a connection in a state.
var lives = map[exchangev1.ConnectionState]map[Action]exchangev1.ConnectionState{
	exchangev1.ConnectionState_CONNECTION_STATE_PENDING: {
		Accept: exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE,
		Remove: exchangev1.ConnectionState_CONNECTION_STATE_REMOVED,
	},
	exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE: {
		Pause:  exchangev1.ConnectionState_CONNECTION_STATE_PAUSED,
		Remove: exchangev1.ConnectionState_CONNECTION_STATE_REMOVED,
	},
	exchangev1.ConnectionState_CONNECTION_STATE_PAUSED: {
		Resume: exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE,
		Remove: exchangev1.ConnectionState_CONNECTION_STATE_REMOVED,
	},
}

// First is the state that a connection is made in. Another subscriber has to agree first.
func First(sameSubscriber bool) exchangev1.ConnectionState {
	if sameSubscriber {
		return exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE
	}
	return exchangev1.ConnectionState_CONNECTION_STATE_PENDING
}

// Next is the state that an action leads to.
func Next(from exchangev1.ConnectionState, action Action) (exchangev1.ConnectionState, error) {
	to, may := lives[from][action]
	if !may {
		return from, failure.New(commonv1.Reason_REASON_CONNECTION_STATE_REFUSED, "state", word(from), "action", string(action))
	}
	return to, nil
}

// word is a state's name as people read it.
func word(s exchangev1.ConnectionState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "CONNECTION_STATE_"))
}

// Bounds of how often programs synchronise.
const (
	ShortestInterval = time.Minute
	LongestInterval  = 24 * time.Hour
)

// CheckInterval tells whether programs may synchronise so often.
func CheckInterval(interval time.Duration) error {
	if interval < ShortestInterval || interval > LongestInterval {
		return failure.Invalid("connection.sync_interval", "must be from 1 minute to 1 day")
	}
	return nil
}
