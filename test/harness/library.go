package harness

import (
	"context"
	"net"

	"kontor.internal/client"
)

// Library is the public client library on a connection of this visitor's, from its network address. It finds the suite after
// a restart too. Close it.
func (c *Client) Library() (*client.Client, error) {
	return c.library(func() string { return c.suite.State().GRPC })
}

// LibraryBy is the same by another way to the gateway's gRPC, e.g. a Proxy's address.
func (c *Client) LibraryBy(address string) (*client.Client, error) {
	return c.library(func() string { return address })
}

func (c *Client) library(address func() string) (*client.Client, error) {
	roots, err := client.ReadRoots(c.suite.State().CA)
	if err != nil {
		return nil, err
	}
	language := c.Language
	if language == "" {
		language = "en"
	}
	return client.Connect(client.Config{
		Address: address(), Roots: roots, Language: language,
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			return c.dialer.DialContext(ctx, "tcp", address())
		},
	})
}
