// Command thirdparty writes the .proto sources that Kontor's contract imports
// (google/api, google/rpc, buf/validate) into a folder. The Go modules that
// publish them hold generated code only; the sources are printed back from the
// descriptors linked into that code, so their version is the one in go.mod.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/desc"            //nolint:staticcheck // protoprint takes desc.FileDescriptor.
	"github.com/jhump/protoreflect/desc/protoprint" //nolint:staticcheck // the only maintained descriptor printer.
	_ "google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/rpc/code"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// files lists what the contract imports, by import path.
var files = []string{
	"buf/validate/validate.proto",
	"google/api/annotations.proto",
	"google/api/client.proto",
	"google/api/field_behavior.proto",
	"google/api/http.proto",
	"google/api/launch_stage.proto",
	"google/api/resource.proto",
	"google/rpc/code.proto",
	"google/rpc/error_details.proto",
	"google/rpc/status.proto",
}

func main() {
	out := flag.String("out", "", "folder to write into")
	flag.Parse()
	if *out == "" {
		log.Fatal("thirdparty: -out is required")
	}
	if err := write(*out); err != nil {
		log.Fatalf("thirdparty: %v", err)
	}
}

func write(dir string) error {
	printer := protoprint.Printer{}
	for _, name := range files {
		fd, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		wrapped, err := desc.WrapFile(fd)
		if err != nil {
			return fmt.Errorf("wrap %s: %w", name, err)
		}
		text, err := printer.PrintProtoToString(wrapped)
		if err != nil {
			return fmt.Errorf("print %s: %w", name, err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
