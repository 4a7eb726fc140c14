package document

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/names"
)

// Document is one. Its axes end where Transport, Office and Version say.
type Document struct {
	ID         uuid.UUID
	Connection uuid.UUID
	Message    string
	Kind       exchangev1.DocumentType
	Filename   string
	Size       int64
	SHA256     []byte
	Seller     string
	Number     string
	Invoice    *exchangev1.InvoiceSummary
	Breaks     []*exchangev1.RuleBreak
	Supersedes *uuid.UUID
	Transport  exchangev1.TransportState
	Office     exchangev1.OfficeState
	Version    exchangev1.VersionState
	Created    time.Time
	Delivered  *time.Time
}

// Name is `connections/X/documents/D`.
func (d Document) Name() string { return names.Document(d.Connection, d.ID) }

// ToProto shows a document with its steps.
func ToProto(d Document, steps []Placed) *exchangev1.Document {
	shown := &exchangev1.Document{
		Name: d.Name(), MessageId: d.Message, Type: d.Kind, Filename: d.Filename, SizeBytes: d.Size, ContentSha256: hash(d.SHA256),
		Invoice: d.Invoice, RuleBreaks: d.Breaks, TransportState: d.Transport, OfficeState: d.Office, VersionState: d.Version,
		CreateTime: timestamppb.New(d.Created),
	}
	if d.Delivered != nil {
		shown.DeliverTime = timestamppb.New(*d.Delivered)
	}
	for _, s := range steps {
		if s.Document == d.ID {
			shown.Steps = append(shown.Steps, s.ToProto())
		}
	}
	return shown
}

// axis numbers an axis, as the database does.
type axis int16

const (
	onTransport axis = 1
	onOffice    axis = 2
	onVersion   axis = 3
)

// Placed is a step of a document, at its place among all steps in the connection.
type Placed struct {
	Document uuid.UUID
	Message  string
	Place    int64
	Axis     axis
	Sequence int64
	State    int16
	Reason   string
	Account  string
	Created  time.Time
}

// ToProto shows a step.
func (p Placed) ToProto() *exchangev1.DocumentStep {
	step := &exchangev1.DocumentStep{Sequence: p.Sequence, Reason: p.Reason, Account: p.Account, CreateTime: timestamppb.New(p.Created)}
	switch p.Axis {
	case onTransport:
		step.State = &exchangev1.DocumentStep_Transport{Transport: exchangev1.TransportState(p.State)}
	case onOffice:
		step.State = &exchangev1.DocumentStep_Office{Office: exchangev1.OfficeState(p.State)}
	case onVersion:
		step.State = &exchangev1.DocumentStep_Version{Version: exchangev1.VersionState(p.State)}
	}
	return step
}
