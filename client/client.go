package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Config says where Kontor is and how to talk to it.
type Config struct {
	// Address of the gateway's gRPC, `host:port`.
	Address string
	// Roots are the authorities that may have signed the gateway's certificate; nil trusts those of the machine.
	Roots *x509.CertPool
	// Language of texts, as in Accept-Language, e.g. `lv`; empty is English.
	Language string
	// Dial opens network connections; nil dials TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Client is a connection to Kontor, for any number of sessions. It connects when it is first used and again whenever the
// connection is lost.
type Client struct {
	grpc     *grpc.ClientConn
	language string
}

// retries repeats calls that found no service: those that create something carry a request id, and repeating the others
// changes nothing more.
const retries = `{"methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
}}]}`

// Connect prepares a connection; whether Kontor answers shows with the first call.
func Connect(config Config) (*Client, error) {
	if _, _, err := net.SplitHostPort(config.Address); err != nil {
		return nil, fmt.Errorf("the address of Kontor: %w", err)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: config.Roots, MinVersion: tls.VersionTLS12})),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// A connection that was cut without a word is found dead before a seat's lease is over.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
	}
	if config.Dial != nil {
		options = append(options, grpc.WithContextDialer(config.Dial))
	}
	opened, err := grpc.NewClient("passthrough:///"+config.Address, options...)
	if err != nil {
		return nil, err
	}
	return &Client{grpc: opened, language: config.Language}, nil
}

// ReadRoots reads authorities from a PEM file, for a Kontor whose certificate no public authority signed.
func ReadRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(file + " holds no certificate")
	}
	return roots, nil
}

// Conn calls methods of the contract that need no sign-in.
func (c *Client) Conn() grpc.ClientConnInterface { return conn{to: c.grpc, language: c.language} }

// Close ends the connection. Sign out of sessions and release seats before it.
func (c *Client) Close() error { return c.grpc.Close() }

func (c *Client) sessions() identityv1.SessionServiceClient {
	return identityv1.NewSessionServiceClient(c.Conn())
}
