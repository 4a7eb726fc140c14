package service

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/stats"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/mtls"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

const (
	// callDeadline is for calls between services whose context has none.
	callDeadline = 10 * time.Second
	// shave is kept back of the deadline that is passed on, so that the caller
	// learns which hop was slow instead of timing out together with it.
	shave = 5 * time.Millisecond
)

// Headers between services. Only peers with a service's certificate can send
// them: the gateway removes them from what comes from outside.
const (
	HeaderAuthorization = "authorization"
	HeaderLocale        = "accept-language"
	HeaderAddress       = "x-kontor-address"
	HeaderOnBehalfOf    = "x-kontor-on-behalf-of"
)

// peerPolicy balances over a service's copies and repeats what a copy that went
// away did not answer: every method of Kontor may be repeated.
const peerPolicy = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [{}],
    "waitForReady": true,
    "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 3,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// DialOptions are what a connection to a service needs beside its address.
type DialOptions struct {
	// Name of the service, as in its certificate.
	Name string
	// Addrs of its copies.
	Addrs []string
	// TLS names our own certificate.
	TLS mtls.Files
	// Stats is the telemetry handler; nil for none.
	Stats stats.Handler
	// MaxMessageBytes is the largest answer taken; 0 means 16 MiB.
	MaxMessageBytes int
}

// Dial connects to a service: mutual TLS, balanced over its copies. It does
// not wait for the connection.
func Dial(o DialOptions) (*grpc.ClientConn, error) {
	if len(o.Addrs) == 0 {
		return nil, fmt.Errorf("service: no address of %s is configured", o.Name)
	}
	tlsConfig, err := mtls.ClientConfig(o.TLS, o.Name)
	if err != nil {
		return nil, err
	}
	copies := manual.NewBuilderWithScheme("kontor")
	var state resolver.State
	for _, addr := range o.Addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	copies.InitialState(state)
	size := o.MaxMessageBytes
	if size == 0 {
		size = 16 << 20
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(tlsConfig)),
		grpc.WithResolvers(copies),
		grpc.WithDefaultServiceConfig(peerPolicy),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(size)),
		grpc.WithChainUnaryInterceptor(passOnUnary),
		grpc.WithChainStreamInterceptor(passOnStream),
	}
	if o.Stats != nil {
		options = append(options, grpc.WithStatsHandler(o.Stats))
	}
	return grpc.NewClient(copies.Scheme()+":///"+o.Name, options...)
}

// passOnUnary sends along who called us and keeps a little of the deadline back.
func passOnUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	deadline, ok := ctx.Deadline()
	if ok {
		deadline = deadline.Add(-shave)
	} else {
		deadline = time.Now().Add(callDeadline)
	}
	ctx, cancel := context.WithDeadline(passOn(ctx), deadline)
	defer cancel()
	return invoke(ctx, method, req, reply, cc, opts...)
}

func passOnStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(passOn(ctx), desc, cc, method, opts...)
}

func passOn(ctx context.Context) context.Context {
	who := caller.From(ctx)
	var pairs []string
	if who.Token != "" {
		pairs = append(pairs, HeaderAuthorization, "Bearer "+who.Token)
	}
	if who.Locale != "" {
		pairs = append(pairs, HeaderLocale, who.Locale)
	}
	if who.Address != "" {
		pairs = append(pairs, HeaderAddress, who.Address)
	}
	if behalf := onBehalfOf(who); behalf != "" {
		pairs = append(pairs, HeaderOnBehalfOf, behalf)
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

// onBehalfOf names the account whose wish a service carries out: for the
// record only.
func onBehalfOf(who caller.Caller) string {
	if who.OnBehalfOf != "" {
		return who.OnBehalfOf
	}
	return who.Account
}

// peers are the connections to the other services, opened when first used.
type peers struct {
	base  DialOptions
	addrs map[string][]string

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

func (p *peers) get(name string) grpc.ClientConnInterface {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn, ok := p.conns[name]; ok {
		return conn
	}
	o := p.base
	o.Name, o.Addrs = name, p.addrs[name]
	conn, err := Dial(o)
	if err != nil {
		return unreachable{name: name, err: err}
	}
	p.conns[name] = conn
	return conn
}

func (p *peers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed []string
	for name, conn := range p.conns {
		if err := conn.Close(); err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", name, err))
		}
	}
	clear(p.conns)
	if len(failed) > 0 {
		return fmt.Errorf("service: close peers: %s", strings.Join(failed, "; "))
	}
	return nil
}

// unreachable stands for a service that is not configured: each call says so.
type unreachable struct {
	name string
	err  error
}

func (u unreachable) failure() error {
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", u.name).Wrap(u.err)
}

func (u unreachable) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return u.failure()
}

func (u unreachable) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, u.failure()
}
