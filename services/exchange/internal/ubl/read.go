package ubl

import (
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Limits of a document.
type Limits struct {
	Bytes    int64
	Depth    int // elements within each other
	Elements int
	Value    int // bytes of one value that is read
}

// DefaultLimits are far above what invoices in use need: some thousand lines.
var DefaultLimits = Limits{Bytes: 4 << 20, Depth: 32, Elements: 200_000, Value: 4096}

// Namespaces of UBL 2.1.
const (
	nsInvoice    = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
	nsCreditNote = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2" //nolint:gosec // a namespace, not a credential
	nsAggregate  = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
	nsBasic      = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
)

// Read reads one document to its end. It does not check rules; see Check. Errors are failures with a reason.
func Read(source io.Reader, limits Limits) (*Document, error) {
	bounded := &bounded{source: source, left: limits.Bytes}
	buffered := bufio.NewReader(bounded)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\uFEFF" {
		_, _ = buffered.Discard(3) // Peek has them
	}
	r := &reader{decoder: xml.NewDecoder(buffered), limits: limits}
	for {
		token, err := r.decoder.Token()
		if bounded.passed {
			return nil, failure.New(commonv1.Reason_REASON_DOCUMENT_TOO_LARGE,
				"limit_bytes", strconv.FormatInt(limits.Bytes, 10))
		}
		if errors.Is(err, io.EOF) && r.document != nil {
			return r.document, nil
		}
		if err != nil {
			return nil, r.notXML(err, bounded.broken)
		}
		if err := r.take(token); err != nil {
			return nil, err
		}
	}
}

// bounded gives at most so many bytes, and tells whether there were more, or whether the source broke off.
type bounded struct {
	source io.Reader
	left   int64
	passed bool
	broken error
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broken = err
	}
	if b.left -= int64(n); b.left < 0 {
		b.passed = true
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// reader holds where in the document it is.
type reader struct {
	decoder  *xml.Decoder
	limits   Limits
	document *Document
	open     []*node // of the elements around; nil for one that is not read
	elements int
	text     strings.Builder
	currency string // of the amount being read
	unit     string // of the quantity being read
}

func (r *reader) take(token xml.Token) error {
	switch token := token.(type) {
	case xml.Directive:
		return failure.New(commonv1.Reason_REASON_DOCUMENT_HAS_ENTITIES, "line", r.line())
	case xml.StartElement:
		return r.start(token)
	case xml.EndElement:
		return r.end()
	case xml.CharData:
		return r.characters(token)
	default: // comments and processing instructions say nothing
		return nil
	}
}

func (r *reader) start(element xml.StartElement) error {
	if r.elements++; r.elements > r.limits.Elements {
		return tooComplex("elements", r.limits.Elements)
	}
	if len(r.open) == r.limits.Depth {
		return tooComplex("depth", r.limits.Depth)
	}
	if len(r.open) == 0 {
		return r.root(element.Name)
	}
	around := r.open[len(r.open)-1]
	if around == nil {
		r.open = append(r.open, nil)
		return nil
	}
	found := around.children[element.Name]
	r.open = append(r.open, found)
	if found == nil {
		return nil
	}
	if found.begin != nil {
		found.begin(r.document)
	}
	if found.set != nil {
		r.text.Reset()
		r.attributes(element.Attr)
	}
	return nil
}

func (r *reader) root(name xml.Name) error {
	if r.document != nil {
		return r.notXMLText("there is more than one root element")
	}
	switch name {
	case xml.Name{Space: nsInvoice, Local: "Invoice"}:
		r.document = &Document{Kind: Invoice}
		r.open = append(r.open, invoiceSchema)
	case xml.Name{Space: nsCreditNote, Local: "CreditNote"}:
		r.document = &Document{Kind: CreditNote}
		r.open = append(r.open, creditNoteSchema)
	default:
		return failure.New(commonv1.Reason_REASON_DOCUMENT_KIND_UNKNOWN, "element", clip(name.Local))
	}
	return nil
}

func (r *reader) attributes(attributes []xml.Attr) {
	r.currency, r.unit = "", ""
	for _, a := range attributes {
		switch a.Name {
		case xml.Name{Local: "currencyID"}:
			r.currency = a.Value
		case xml.Name{Local: "unitCode"}:
			r.unit = a.Value
		}
	}
}

func (r *reader) characters(data xml.CharData) error {
	if len(r.open) == 0 {
		if strings.TrimSpace(string(data)) != "" {
			return r.notXMLText("there is text outside the root element")
		}
		return nil
	}
	current := r.open[len(r.open)-1]
	if current == nil || current.set == nil {
		return nil
	}
	if r.text.Len()+len(data) > r.limits.Value {
		return r.invalid(current, errLong)
	}
	r.text.Write(data)
	return nil
}

func (r *reader) end() error {
	current := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	if current == nil || current.set == nil {
		return nil
	}
	value := value{text: strings.TrimSpace(r.text.String()), currency: r.currency, unit: r.unit}
	if err := current.set(r.document, value); err != nil {
		return r.invalid(current, err)
	}
	return nil
}

var errLong = errors.New("is longer than is read")

func (r *reader) invalid(at *node, why error) error {
	return failure.New(commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID,
		"element", at.path, "line", r.line(), "detail", why.Error())
}

func (r *reader) notXML(err, broken error) error {
	if broken != nil {
		return broken
	}
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return r.notXMLText(clip(syntax.Msg))
	}
	if errors.Is(err, io.EOF) {
		return r.notXMLText("it is empty")
	}
	return r.notXMLText(clip(err.Error()))
}

func (r *reader) notXMLText(detail string) error {
	return failure.New(commonv1.Reason_REASON_DOCUMENT_NOT_XML, "line", r.line(), "detail", detail)
}

func (r *reader) line() string {
	line, _ := r.decoder.InputPos()
	return strconv.Itoa(line)
}

func tooComplex(what string, limit int) error {
	return failure.New(commonv1.Reason_REASON_DOCUMENT_TOO_COMPLEX, "what", what, "limit", strconv.Itoa(limit))
}

// clip keeps what a stranger wrote short enough for a message.
func clip(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
