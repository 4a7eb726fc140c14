package rest

import (
	"cmp"
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
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	sent, err := d.open(ctx, m, name, wanted)
	if wanted.partial && behindTheEnd(err) {
		return d.unsatisfiable(ctx, w, m, name)
	}
	if err != nil {
		return err
	}
	if match := r.Header.Get("If-Range"); match != "" && match != etagOf(sent.info) && wanted.partial {
		wanted = byteRange{} // The file is another by now: send all of it.
		if sent, err = d.open(ctx, m, name, wanted); err != nil {
			return err
		}
	}
	size := sent.info.GetSizeBytes()
	if wanted.partial && wanted.from >= size {
		return d.unsatisfiable(ctx, w, m, name)
	}
	length := wanted.length(size)
	describe(w.Header(), sent.info, length)
	code := http.StatusOK
	if wanted.partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", wanted.from, wanted.from+length-1, size))
		code = http.StatusPartialContent
	}
	w.WriteHeader(code)
	if r.Method == http.MethodHead {
		return nil
	}
	if n, err := sent.copyTo(w); err != nil || n != length {
		panic(http.ErrAbortHandler) // net/http's way to cut the connection.
	}
	return nil
}

// behindTheEnd recognises the refusal of an offset behind the file's end.
func behindTheEnd(err error) bool {
	if failure.Reason(err) != commonv1.Reason_REASON_INVALID_ARGUMENT {
		return false
	}
	return failure.From(err).Meta("field") == "offset"
}

// unsatisfiable answers a range behind the end with the file's size (RFC 9110,
// section 15.5.17).
func (d *downloads) unsatisfiable(ctx context.Context, w http.ResponseWriter, m door.Method, name string) error {
	whole, err := d.open(ctx, m, name, byteRange{})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", whole.info.GetSizeBytes()))
	st := d.server.Door.Status(ctx, failure.Invalid("Range", "lies behind the end of the file"))
	d.server.writeCoded(w, st, http.StatusRequestedRangeNotSatisfiable)
	return nil
}

func etagOf(info *commonv1.FileInfo) string { return `"` + hex.EncodeToString(info.GetSha256()) + `"` }

func describe(header http.Header, info *commonv1.FileInfo, length int64) {
	header.Set("ETag", etagOf(info))
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Type", cmp.Or(info.GetContentType(), "application/octet-stream"))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": info.GetFilename()}))
	header.Set("Content-Length", strconv.FormatInt(length, 10))
}

// file is one that is being streamed.
type file struct {
	info    *commonv1.FileInfo
	message protoreflect.Message
	stream  grpc.ClientStream
}

// open begins the stream and reads its first message.
func (d *downloads) open(ctx context.Context, m door.Method, name string, wanted byteRange) (file, error) {
	request, err := newMessage(m.Descriptor.Input())
	if err != nil {
		return file{}, err
	}
	fields := request.Descriptor().Fields()
	request.Set(fields.ByName("name"), protoreflect.ValueOfString(name))
	request.Set(fields.ByName("offset"), protoreflect.ValueOfInt64(wanted.from))
	if wanted.partial && wanted.to >= 0 {
		request.Set(fields.ByName("length"), protoreflect.ValueOfInt64(wanted.to-wanted.from+1))
	}
	first, err := newMessage(m.Descriptor.Output())
	if err != nil {
		return file{}, err
	}
	stream, err := d.server.Door.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, m.Full)
	if err != nil {
		return file{}, err
	}
	if err := stream.SendMsg(request.Interface()); err != nil && !errors.Is(err, io.EOF) { // EOF: the answer tells.
		return file{}, err
	}
	if err := stream.CloseSend(); err != nil {
		return file{}, err
	}
	if err := stream.RecvMsg(first.Interface()); err != nil {
		return file{}, err
	}
	info, ok := first.Get(first.Descriptor().Fields().ByName("info")).Message().Interface().(*commonv1.FileInfo)
	if !ok || len(info.GetSha256()) == 0 {
		return file{}, fmt.Errorf("rest: %s: the first message has no file info", m.Full)
	}
	// The message is used again for what follows; its file info is not.
	return file{info: proto.CloneOf(info), message: first, stream: stream}, nil
}

func newMessage(d protoreflect.MessageDescriptor) (protoreflect.Message, error) {
	known, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return known.New(), nil
}

// copyTo answers how many bytes it sent.
func (f file) copyTo(w http.ResponseWriter) (sent int64, err error) {
	data := f.message.Descriptor().Fields().ByName("data")
	for {
		n, err := w.Write(f.message.Get(data).Bytes())
		sent += int64(n)
		if err != nil {
			return sent, err
		}
		proto.Reset(f.message.Interface())
		err = f.stream.RecvMsg(f.message.Interface())
		if errors.Is(err, io.EOF) {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
}

// byteRange is the part that is wanted: from the first byte, to the last, -1
// for the end. The zero value is the whole file.
type byteRange struct {
	from, to int64
	partial  bool
}

func (b byteRange) length(size int64) int64 {
	switch {
	case !b.partial:
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
