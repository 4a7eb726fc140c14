package rest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// downloads serves every Download… method over GET with byte ranges.
type downloads struct {
	server *Server
	routes []route
}

// route is one method's path.
type route struct {
	method  door.Method
	pattern *regexp.Regexp
}

func (s *Server) newDownloads() *downloads {
	d := &downloads{server: s}
	for _, m := range s.Door.Methods {
		if m.Download() && m.Get != "" {
			d.routes = append(d.routes, route{method: m, pattern: patternOf(m.Get)})
		}
	}
	return d
}

// patternOf makes an expression of an HTTP pattern like
// `/v1/{name=subscribers/*/contracts/*}:download`; its one group is the name.
func patternOf(get string) *regexp.Regexp {
	before, rest, _ := strings.Cut(get, "{")
	inside, after, _ := strings.Cut(rest, "}")
	_, name, _ := strings.Cut(inside, "=")
	name = strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, `[^/:]+`)
	return regexp.MustCompile("^" + regexp.QuoteMeta(before) + "(" + name + ")" + regexp.QuoteMeta(after) + "$")
}

// serve answers a download; it is false when the path is no download's.
func (d *downloads) serve(w http.ResponseWriter, r *http.Request) bool {
	for _, route := range d.routes {
		if found := route.pattern.FindStringSubmatch(r.URL.Path); found != nil {
			if err := d.send(w, r, route.method, found[1]); err != nil {
				d.server.fail(w, r, err)
			}
			return true
		}
	}
	return false
}

// send streams a file or a part of it. An error is answered only before the
// first byte; after it the connection is cut, so that nobody takes half a file
// for a whole one.
func (d *downloads) send(w http.ResponseWriter, r *http.Request, m door.Method, name string) error {
	wanted, err := parseRange(r.Header.Get("Range"))
	if err != nil {
		return err
	}
	info, first, stream, err := d.open(r.Context(), m, name, wanted)
	if err != nil {
		return err
	}
	etag := `"` + hex.EncodeToString(info.GetSha256()) + `"`
	if match := r.Header.Get("If-Range"); match != "" && match != etag && !wanted.whole() {
		wanted = byteRange{} // The file is another by now: send all of it.
		if info, first, stream, err = d.open(r.Context(), m, name, wanted); err != nil {
			return err
		}
	}
	header := w.Header()
	header.Set("ETag", etag)
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Type", info.GetContentType())
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": info.GetFilename()}))
	length := wanted.length(info.GetSizeBytes())
	header.Set("Content-Length", strconv.FormatInt(length, 10))
	if wanted.whole() {
		w.WriteHeader(http.StatusOK)
	} else {
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", wanted.from, wanted.from+length-1, info.GetSizeBytes()))
		w.WriteHeader(http.StatusPartialContent)
	}
	if copyData(w, first, stream) != nil {
		panic(http.ErrAbortHandler) // net/http's way to cut the connection.
	}
	return nil
}

// open begins the stream and reads its first message.
func (d *downloads) open(ctx context.Context, m door.Method, name string, wanted byteRange) (*commonv1.FileInfo, protoreflect.Message, grpc.ClientStream, error) {
	request, err := newMessage(m.Descriptor.Input())
	if err != nil {
		return nil, nil, nil, err
	}
	fields := request.Descriptor().Fields()
	request.Set(fields.ByName("name"), protoreflect.ValueOfString(name))
	request.Set(fields.ByName("offset"), protoreflect.ValueOfInt64(wanted.from))
	if wanted.to >= 0 && !wanted.whole() {
		request.Set(fields.ByName("length"), protoreflect.ValueOfInt64(wanted.to-wanted.from+1))
	}
	stream, err := d.server.Door.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, m.Full)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := stream.SendMsg(request.Interface()); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, nil, nil, err
	}
	first, err := newMessage(m.Descriptor.Output())
	if err != nil {
		return nil, nil, nil, err
	}
	if err := stream.RecvMsg(first.Interface()); err != nil {
		return nil, nil, nil, err
	}
	info, ok := first.Get(first.Descriptor().Fields().ByName("info")).Message().Interface().(*commonv1.FileInfo)
	if !ok || len(info.GetSha256()) == 0 {
		return nil, nil, nil, failure.New(commonv1.Reason_REASON_INTERNAL).Wrap(fmt.Errorf("%s: first message has no file info", m.Full))
	}
	return info, first, stream, nil
}

func newMessage(d protoreflect.MessageDescriptor) (protoreflect.Message, error) {
	known, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return known.New(), nil
}

func copyData(w http.ResponseWriter, first protoreflect.Message, stream grpc.ClientStream) error {
	data := first.Descriptor().Fields().ByName("data")
	message := first
	for {
		if _, err := w.Write(message.Get(data).Bytes()); err != nil {
			return err
		}
		proto.Reset(message.Interface())
		err := stream.RecvMsg(message.Interface())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// byteRange is the part that is wanted: from the first byte, to the last, -1
// for the end. The zero value is the whole file.
type byteRange struct {
	from, to int64
	partial  bool
}

func (b byteRange) whole() bool { return !b.partial }

func (b byteRange) length(size int64) int64 {
	switch {
	case b.whole():
		return size
	case b.to < 0 || b.to >= size:
		return size - b.from
	default:
		return b.to - b.from + 1
	}
}

// parseRange reads `bytes=a-` and `bytes=a-b` (RFC 9110, section 14). Lists of
// ranges and ranges from the end may be ignored by that text, and are.
func parseRange(header string) (byteRange, error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(spec, ",") || strings.HasPrefix(spec, "-") {
		return byteRange{}, nil
	}
	from, to, _ := strings.Cut(spec, "-")
	b := byteRange{partial: true, to: -1}
	var err error
	if b.from, err = strconv.ParseInt(from, 10, 64); err != nil {
		return byteRange{}, failure.Invalid("Range", "is not a byte range")
	}
	if to != "" {
		if b.to, err = strconv.ParseInt(to, 10, 64); err != nil || b.to < b.from {
			return byteRange{}, failure.Invalid("Range", "is not a byte range")
		}
	}
	return b, nil
}
