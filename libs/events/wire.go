package events

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// The headers of a message: CloudEvents 1.0 in binary mode (its NATS protocol binding), with extensions for what the
// envelope has beyond it.
const (
	headerSpec       = "ce-specversion"
	headerID         = "ce-id"
	headerSource     = "ce-source"
	headerType       = "ce-type"
	headerSubject    = "ce-subject"
	headerTime       = "ce-time"
	headerContent    = "ce-datacontenttype"
	headerMessage    = "ce-kontormessage"
	headerVersion    = "ce-kontorversion"
	headerActor      = "ce-kontoractor"
	headerOnBehalfOf = "ce-kontoronbehalfof"
	headerAddress    = "ce-kontoraddress"
	headerRequestID  = "ce-kontorrequestid"
	headerSubscriber = "ce-kontorsubscriber"
	headerCompany    = "ce-kontorcompany"
)

// toMessage writes an event as a message. messageID is what JetStream tells repetitions by.
func toMessage(r Received, messageID string) *nats.Msg {
	e := r.Envelope
	msg := nats.NewMsg(e.GetType())
	msg.Data = r.Payload
	for key, value := range r.trace {
		msg.Header.Set(key, value)
	}
	msg.Header.Set(nats.MsgIdHdr, messageID)
	service, _, _ := strings.Cut(strings.TrimPrefix(e.GetType(), "kontor."), ".")
	for key, value := range map[string]string{
		headerSpec: "1.0", headerContent: "application/protobuf", headerSource: "/services/" + service,
		headerID: e.GetId(), headerType: e.GetType(), headerSubject: e.GetAggregate(), headerMessage: r.Message,
		headerTime:    e.GetTime().AsTime().Format(time.RFC3339Nano),
		headerVersion: strconv.FormatInt(e.GetVersion(), 10),
		headerActor:   e.GetActor(), headerOnBehalfOf: e.GetOnBehalfOf(), headerAddress: e.GetAddress(),
		headerRequestID: e.GetRequestId(), headerSubscriber: e.GetSubscriber(), headerCompany: e.GetCompany(),
	} {
		if value != "" {
			msg.Header.Set(key, escape(value))
		}
	}
	return msg
}

// fromMessage reads a message as an event.
func fromMessage(subject string, header nats.Header, payload []byte) (Received, error) {
	values := map[string]string{}
	for key := range header {
		value, err := url.PathUnescape(header.Get(key))
		if err != nil {
			return Received{}, fmt.Errorf("header %s: %w", key, err)
		}
		values[key] = value
	}
	version, err := strconv.ParseInt(values[headerVersion], 10, 64)
	if err != nil || version < 1 {
		return Received{}, errors.New("the event has no version")
	}
	at, err := time.Parse(time.RFC3339Nano, values[headerTime])
	if err != nil {
		return Received{}, errors.New("the event has no time")
	}
	if values[headerID] == "" || values[headerSubject] == "" || values[headerMessage] == "" || values[headerType] != subject {
		return Received{}, errors.New("the event lacks its id, type, aggregate or message name")
	}
	return Received{
		Envelope: &commonv1.Envelope{
			Id: values[headerID], Type: values[headerType], Aggregate: values[headerSubject], Version: version,
			Time: timestamppb.New(at), Actor: values[headerActor], OnBehalfOf: values[headerOnBehalfOf],
			Address: values[headerAddress], RequestId: values[headerRequestID],
			Subscriber: values[headerSubscriber], Company: values[headerCompany],
		},
		Message: values[headerMessage], Payload: payload,
		trace: map[string]string{"traceparent": values["traceparent"], "tracestate": values["tracestate"]},
	}, nil
}

// escape percent-encodes what a header may not hold (CloudEvents' HTTP binding, section 3.1.3.2).
func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
