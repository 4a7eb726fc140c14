// Package document is where a document is on its three axes: its way, what the receiver's office did with it, and
// whether it still holds. The axes are independent; each is a list of steps that only grows.
package document

import (
	"fmt"
	"slices"
	"strings"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// Side is who takes a step.
type Side string

// Sides.
const (
	Service  Side = "service"
	Sender   Side = "sender"
	Receiver Side = "receiver"
)

// state is one of the enumerations of kontor.exchange.v1; its zero is before the first step.
type state interface {
	comparable
	fmt.Stringer
}

// Step is one step on an axis.
type Step[S state] struct {
	Sequence int64 // from 1, without gaps
	To       S
	Side     Side
	Reason   string
}

// Axis says which step may follow which.
type Axis[S state] struct {
	name     string
	prefix   string
	next     map[S][]S // a state that leads nowhere is final
	side     map[S]Side
	reasoned []S
}

// Outcome is what became of a step.
type Outcome int

// Outcomes.
const (
	Taken    Outcome = iota + 1
	Repeated         // it was taken before
	Early            // a step before it is missing; it is to come again after that
)

// Transport is a document's way.
var Transport = Axis[exchangev1.TransportState]{
	name: "transport", prefix: "TRANSPORT_STATE_",
	next: map[exchangev1.TransportState][]exchangev1.TransportState{
		exchangev1.TransportState_TRANSPORT_STATE_UNSPECIFIED: {exchangev1.TransportState_TRANSPORT_STATE_QUEUED},
		exchangev1.TransportState_TRANSPORT_STATE_QUEUED: {
			exchangev1.TransportState_TRANSPORT_STATE_SENDING,
			exchangev1.TransportState_TRANSPORT_STATE_REJECTED,
			exchangev1.TransportState_TRANSPORT_STATE_PERMANENTLY_FAILED,
		},
		exchangev1.TransportState_TRANSPORT_STATE_SENDING: {
			exchangev1.TransportState_TRANSPORT_STATE_RELAYED,
			exchangev1.TransportState_TRANSPORT_STATE_DELIVERED,
			exchangev1.TransportState_TRANSPORT_STATE_FAILED,
		},
		exchangev1.TransportState_TRANSPORT_STATE_RELAYED: {
			exchangev1.TransportState_TRANSPORT_STATE_DELIVERED,
			exchangev1.TransportState_TRANSPORT_STATE_FAILED,
		},
		exchangev1.TransportState_TRANSPORT_STATE_FAILED: {
			exchangev1.TransportState_TRANSPORT_STATE_SENDING,
			exchangev1.TransportState_TRANSPORT_STATE_PERMANENTLY_FAILED,
		},
	},
	side: map[exchangev1.TransportState]Side{
		exchangev1.TransportState_TRANSPORT_STATE_QUEUED:             Service,
		exchangev1.TransportState_TRANSPORT_STATE_SENDING:            Service,
		exchangev1.TransportState_TRANSPORT_STATE_RELAYED:            Service,
		exchangev1.TransportState_TRANSPORT_STATE_DELIVERED:          Receiver, // who alone knows that it is durable there
		exchangev1.TransportState_TRANSPORT_STATE_FAILED:             Service,
		exchangev1.TransportState_TRANSPORT_STATE_PERMANENTLY_FAILED: Service,
		exchangev1.TransportState_TRANSPORT_STATE_REJECTED:           Service,
	},
}

// Office is what the receiver's office did with a document. A question is over when the document is looked at or
// imported again.
var Office = Axis[exchangev1.OfficeState]{
	name: "office", prefix: "OFFICE_STATE_",
	next: map[exchangev1.OfficeState][]exchangev1.OfficeState{
		exchangev1.OfficeState_OFFICE_STATE_UNSPECIFIED: {exchangev1.OfficeState_OFFICE_STATE_WAITING},
		exchangev1.OfficeState_OFFICE_STATE_WAITING: {
			exchangev1.OfficeState_OFFICE_STATE_SEEN,
			exchangev1.OfficeState_OFFICE_STATE_IMPORTED,
			exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY,
			exchangev1.OfficeState_OFFICE_STATE_REFUSED,
		},
		exchangev1.OfficeState_OFFICE_STATE_SEEN: {
			exchangev1.OfficeState_OFFICE_STATE_IMPORTED,
			exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY,
			exchangev1.OfficeState_OFFICE_STATE_REFUSED,
		},
		exchangev1.OfficeState_OFFICE_STATE_IMPORTED: {
			exchangev1.OfficeState_OFFICE_STATE_POSTED,
			exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY,
			exchangev1.OfficeState_OFFICE_STATE_REFUSED,
		},
		exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY: {
			exchangev1.OfficeState_OFFICE_STATE_SEEN,
			exchangev1.OfficeState_OFFICE_STATE_IMPORTED,
			exchangev1.OfficeState_OFFICE_STATE_REFUSED,
		},
	},
	side: map[exchangev1.OfficeState]Side{
		exchangev1.OfficeState_OFFICE_STATE_WAITING:     Service,
		exchangev1.OfficeState_OFFICE_STATE_SEEN:        Receiver,
		exchangev1.OfficeState_OFFICE_STATE_IMPORTED:    Receiver,
		exchangev1.OfficeState_OFFICE_STATE_POSTED:      Receiver,
		exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY: Receiver,
		exchangev1.OfficeState_OFFICE_STATE_REFUSED:     Receiver,
	},
	reasoned: []exchangev1.OfficeState{
		exchangev1.OfficeState_OFFICE_STATE_UNDER_QUERY,
		exchangev1.OfficeState_OFFICE_STATE_REFUSED,
	},
}

// Version is whether a document still holds.
var Version = Axis[exchangev1.VersionState]{
	name: "version", prefix: "VERSION_STATE_",
	next: map[exchangev1.VersionState][]exchangev1.VersionState{
		exchangev1.VersionState_VERSION_STATE_UNSPECIFIED: {exchangev1.VersionState_VERSION_STATE_CURRENT},
		exchangev1.VersionState_VERSION_STATE_CURRENT: {
			exchangev1.VersionState_VERSION_STATE_SUPERSEDED,
			exchangev1.VersionState_VERSION_STATE_CANCELLED,
			exchangev1.VersionState_VERSION_STATE_DELETED,
		},
	},
	side: map[exchangev1.VersionState]Side{
		exchangev1.VersionState_VERSION_STATE_CURRENT:    Service,
		exchangev1.VersionState_VERSION_STATE_SUPERSEDED: Sender,
		exchangev1.VersionState_VERSION_STATE_CANCELLED:  Sender,
		exchangev1.VersionState_VERSION_STATE_DELETED:    Sender,
	},
}

// State is where a history ends; zero before the first step.
func State[S state](history []Step[S]) S {
	if len(history) == 0 {
		var before S
		return before
	}
	return history[len(history)-1].To
}

// Take takes a step, once however often it comes, and only in its turn. It leaves the given history as it is.
func (a Axis[S]) Take(history []Step[S], step Step[S]) ([]Step[S], Outcome, error) {
	last := int64(len(history))
	switch {
	case step.Sequence < 1:
		return history, 0, a.refused(State(history), step.To)
	case step.Sequence > last+1:
		return history, Early, nil
	case step.Sequence <= last:
		if history[step.Sequence-1] != step {
			return history, 0, a.refused(history[step.Sequence-1].To, step.To)
		}
		return history, Repeated, nil
	}
	if err := a.check(State(history), step); err != nil {
		return history, 0, err
	}
	return append(slices.Clip(history), step), Taken, nil
}

func (a Axis[S]) check(from S, step Step[S]) error {
	if side, known := a.side[step.To]; known && side != step.Side {
		return failure.New(commonv1.Reason_REASON_DOCUMENT_STEP_OTHER_SIDE, "side", string(side), "to", a.word(step.To))
	}
	if !slices.Contains(a.next[from], step.To) {
		return a.refused(from, step.To)
	}
	if slices.Contains(a.reasoned, step.To) && strings.TrimSpace(step.Reason) == "" {
		return failure.New(commonv1.Reason_REASON_DOCUMENT_STEP_NEEDS_REASON, "to", a.word(step.To))
	}
	return nil
}

func (a Axis[S]) refused(from, to S) error {
	return failure.New(commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED, "axis", a.name, "from", a.word(from), "to", a.word(to))
}

// word is a state's name as people read it: `under query`.
func (a Axis[S]) word(s S) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.String(), a.prefix), "_", " "))
}
