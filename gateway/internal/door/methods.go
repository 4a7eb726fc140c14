// Package door decides what comes in: which methods there are for outsiders,
// who calls, how often, and what of a request's headers is passed on.
package door

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"kontor.internal/libs/authz"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
)

// Method is one method that outsiders may call.
type Method struct {
	// Full is `/kontor.identity.v1.AccountService/RegisterAccount`.
	Full string
	// Backend is the service that answers it; empty when the operation's name tells.
	Backend string
	// Public says that one need not be signed in.
	Public bool
	// Sensitive says that the method is public and changes something: it can be
	// abused to guess, to flood mailboxes, to fill tables.
	Sensitive bool
	// Get is the path pattern of a GET, empty for others and for methods
	// without HTTP.
	Get string
	// Descriptor of the method.
	Descriptor protoreflect.MethodDescriptor
}

// Streaming says whether the method is anything but unary.
func (m Method) Streaming() bool {
	return m.Descriptor.IsStreamingClient() || m.Descriptor.IsStreamingServer()
}

// Download says whether the method streams a file (see kontor/common/v1/file.proto).
func (m Method) Download() bool {
	return strings.HasPrefix(string(m.Descriptor.Name()), "Download") && m.Descriptor.IsStreamingServer()
}

// Methods are all methods for outsiders, by full name.
type Methods map[string]Method

// operations is served by every backend that has operations.
const operations = "kontor.common.v1.OperationService"

// LoadMethods reads the contract that is linked into the program. Methods for
// services only are left out: to outsiders they do not exist.
func LoadMethods() (Methods, error) {
	methods := Methods{}
	var wrong error
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "kontor.") {
			return true
		}
		for i := range file.Services().Len() {
			if err := methods.add(file.Services().Get(i)); err != nil {
				wrong = err
				return false
			}
		}
		return true
	})
	return methods, wrong
}

func (m Methods) add(service protoreflect.ServiceDescriptor) error {
	backend := strings.Split(string(service.FullName()), ".")[1]
	if string(service.FullName()) == operations {
		backend = ""
	}
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		rule, err := authz.RuleOf(method)
		if err != nil {
			return fmt.Errorf("door: %s: %w", method.FullName(), err)
		}
		if rule.GetInternal() != nil {
			continue
		}
		full := "/" + string(service.FullName()) + "/" + string(method.Name())
		get, changes := httpOf(method)
		_, public := rule.GetCaller().(*authv1.Rule_Public)
		m[full] = Method{
			Full: full, Backend: backend, Public: public, Sensitive: public && changes, Get: get, Descriptor: method,
		}
	}
	return nil
}

// httpOf reads the method's HTTP rule: the pattern when it is a GET, and
// whether it can change something.
func httpOf(method protoreflect.MethodDescriptor) (get string, changes bool) {
	rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return "", true
	}
	return rule.GetGet(), rule.GetGet() == ""
}
