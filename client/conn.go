package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// conn shows a token with every call and types every error.
type conn struct {
	to       grpc.ClientConnInterface
	language string
	// token gives the token to show; nil shows none. A token that was refused as expired is named, to get another.
	token func(ctx context.Context, refused string) (string, error)
	// refused hears of every error; nil when nobody wants to.
	refused func(err error)
}

// Invoke calls a unary method.
func (c conn) Invoke(ctx context.Context, method string, in, out any, options ...grpc.CallOption) error {
	shown, err := c.authorise(ctx, "")
	if err != nil {
		return err
	}
	err = c.tell(c.to.Invoke(c.outgoing(ctx, shown), method, in, out, options...))
	if c.token == nil || Reason(err) != "TOKEN_EXPIRED" {
		return err
	}
	// This machine was asleep or its clock is wrong: nothing was done, so the call can go again.
	if shown, err = c.authorise(ctx, shown); err != nil {
		return err
	}
	return c.tell(c.to.Invoke(c.outgoing(ctx, shown), method, in, out, options...))
}

// NewStream begins a streaming method.
func (c conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	shown, err := c.authorise(ctx, "")
	if err != nil {
		return nil, err
	}
	opened, err := c.to.NewStream(c.outgoing(ctx, shown), desc, method, options...)
	if err != nil {
		return nil, c.tell(err)
	}
	return stream{opened, c, shown}, nil
}

// tell types an error and lets it be heard.
func (c conn) tell(err error) error {
	err = typed(err)
	if err != nil && c.refused != nil {
		c.refused(err)
	}
	return err
}

func (c conn) authorise(ctx context.Context, refused string) (string, error) {
	if c.token == nil {
		return "", nil
	}
	return c.token(ctx, refused)
}

func (c conn) outgoing(ctx context.Context, token string) context.Context {
	if c.language != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "accept-language", c.language)
	}
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// stream types errors; io.EOF stays itself.
type stream struct {
	grpc.ClientStream
	conn  conn
	shown string // the token
}

func (s stream) SendMsg(m any) error { return s.conn.tell(s.ClientStream.SendMsg(m)) }
func (s stream) CloseSend() error    { return s.conn.tell(s.ClientStream.CloseSend()) }

// RecvMsg gets another token when the one that was shown had expired, for whoever begins the stream again.
func (s stream) RecvMsg(m any) error {
	err := s.conn.tell(s.ClientStream.RecvMsg(m))
	if Reason(err) == "TOKEN_EXPIRED" && s.conn.token != nil {
		_, _ = s.conn.authorise(s.Context(), s.shown) // Else the next try shows what is wrong.
	}
	return err
}
