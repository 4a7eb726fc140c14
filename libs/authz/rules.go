// Package authz decides whether a caller may call a method, by the rule that
// stands in the method's proto and by the rights that tenancy knows.
package authz

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
)

// Rules are the rules of a server's methods, by full method name
// (`/kontor.identity.v1.AccountService/RegisterAccount`).
type Rules map[string]*authv1.Rule

// infrastructure are gRPC's own services; they run on the same port, are
// reached by services only, and show no data.
var infrastructure = []string{"grpc.health.v1.", "grpc.reflection."} //nolint:gochecknoglobals // a constant list.

// LoadRules reads the rule of each method that a server has. A method without
// one, or with one that can't work, is an error: the server must not start.
func LoadRules(services map[string]grpc.ServiceInfo) (Rules, error) {
	rules := Rules{}
	var wrong []string
	for service, info := range services {
		if isInfrastructure(service) {
			continue
		}
		for _, method := range info.Methods {
			full := "/" + service + "/" + method.Name
			rule, err := ruleOf(service, method.Name)
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", full, err))
				continue
			}
			rules[full] = rule
		}
	}
	if len(wrong) > 0 {
		sort.Strings(wrong)
		return nil, fmt.Errorf("authz: methods without a working rule:\n%s", strings.Join(wrong, "\n"))
	}
	return rules, nil
}

func isInfrastructure(service string) bool {
	for _, prefix := range infrastructure {
		if strings.HasPrefix(service, prefix) {
			return true
		}
	}
	return false
}

func ruleOf(service, method string) (*authv1.Rule, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("no descriptor: %w", err)
	}
	described, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("is not a service")
	}
	m := described.Methods().ByName(protoreflect.Name(method))
	if m == nil {
		return nil, fmt.Errorf("is not in the descriptor")
	}
	return RuleOf(m)
}

// RuleOf reads the rule of one method and checks that it can be applied.
func RuleOf(m protoreflect.MethodDescriptor) (*authv1.Rule, error) {
	rule, ok := proto.GetExtension(m.Options(), authv1.E_Rule).(*authv1.Rule)
	if !ok || rule.GetCaller() == nil {
		return nil, fmt.Errorf("has no kontor.auth.v1.rule")
	}
	switch c := rule.GetCaller().(type) {
	case *authv1.Rule_Internal:
		if len(c.Internal.GetServices()) == 0 {
			return nil, fmt.Errorf("names no service that may call it")
		}
	case *authv1.Rule_Scoped:
		if c.Scoped.GetPermission() == authv1.Permission_PERMISSION_UNSPECIFIED {
			return nil, fmt.Errorf("names no permission")
		}
		if err := checkPath(m.Input(), c.Scoped.GetField()); err != nil {
			return nil, err
		}
	}
	return rule, nil
}

func checkPath(message protoreflect.MessageDescriptor, path string) error {
	parts := strings.Split(path, ".")
	for i, part := range parts {
		field := message.Fields().ByName(protoreflect.Name(part))
		switch {
		case field == nil || field.IsList() || field.IsMap():
			return fmt.Errorf("field %q of the rule is not in %s", path, message.FullName())
		case i == len(parts)-1:
			if field.Kind() != protoreflect.StringKind {
				return fmt.Errorf("field %q of the rule is not a string", path)
			}
		case field.Kind() != protoreflect.MessageKind:
			return fmt.Errorf("field %q of the rule is not in a message", path)
		default:
			message = field.Message()
		}
	}
	return nil
}

// fieldValue reads the string at a path that checkPath found good.
func fieldValue(message protoreflect.Message, path string) string {
	parts := strings.Split(path, ".")
	for _, part := range parts[:len(parts)-1] {
		message = message.Get(message.Descriptor().Fields().ByName(protoreflect.Name(part))).Message()
	}
	return message.Get(message.Descriptor().Fields().ByName(protoreflect.Name(parts[len(parts)-1]))).String()
}

// Scope is where a permission is asked for.
type Scope struct {
	// Root is `subscribers/S` or `connections/X`.
	Root string
	// Company is `subscribers/S/companies/C` when the name lies in a company.
	Company string
}

// String is the narrowest name of the scope.
func (s Scope) String() string {
	if s.Company != "" {
		return s.Company
	}
	return s.Root
}

// ScopeOf reads the scope that a resource name begins with.
func ScopeOf(name string) (Scope, bool) {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || parts[1] == "" || (parts[0] != "subscribers" && parts[0] != "connections") {
		return Scope{}, false
	}
	for _, part := range parts {
		if part == "" || part == "-" {
			return Scope{}, false
		}
	}
	s := Scope{Root: parts[0] + "/" + parts[1]}
	if parts[0] == "subscribers" && len(parts) >= 4 && parts[2] == "companies" {
		s.Company = strings.Join(parts[:4], "/")
	}
	return s, true
}
