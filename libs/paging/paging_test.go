package paging_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

type cursor struct {
	After int `json:"after"`
}

func codec(t require.TestingT, fill byte, earlier ...[]byte) *paging.Codec {
	made, err := paging.NewCodec(key(fill), earlier...)
	require.NoError(t, err)
	return made
}

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

func TestSize(t *testing.T) {
	for requested, want := range map[int32]int32{0: 50, 1: 1, 1000: 1000, 1001: 1000} {
		got, err := paging.Size(requested)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := paging.Size(-1)
	require.ErrorIs(t, err, paging.ErrBadSize)
	require.Equal(t, commonv1.Reason_REASON_INVALID_ARGUMENT, failure.Reason(err))
}

func TestTokenIsBoundToItsList(t *testing.T) {
	scope := paging.ScopeOf("List", "state=open", "subscribers/1")
	token, err := codec(t, 1).Encode(scope, cursor{After: 7})
	require.NoError(t, err)
	var got cursor
	require.NoError(t, codec(t, 1).Decode(scope, token, &got), "another copy of the service")
	require.Equal(t, 7, got.After)
	require.NoError(t, codec(t, 2, key(1)).Decode(scope, token, &got), "after the key was changed")

	for name, err := range map[string]error{
		"another filter":  codec(t, 1).Decode(paging.ScopeOf("List", "state=closed", "subscribers/1"), token, &got),
		"another method":  codec(t, 1).Decode(paging.ScopeOf("Find", "state=open", "subscribers/1"), token, &got),
		"shifted parts":   codec(t, 1).Decode(paging.ScopeOf("List", "state=opens", "ubscribers/1"), token, &got),
		"another service": codec(t, 3).Decode(scope, token, &got),
		"no base64":       codec(t, 1).Decode(scope, "?", &got),
		"too short":       codec(t, 1).Decode(scope, "AQ", &got),
		"too long":        codec(t, 1).Decode(scope, strings.Repeat("A", 5000), &got),
		"another version": codec(t, 1).Decode(scope, "B"+token[1:], &got),
	} {
		require.ErrorIs(t, err, paging.ErrBadToken, name)
		require.Equal(t, commonv1.Reason_REASON_PAGE_TOKEN_INVALID, failure.Reason(err), name)
	}
}

func TestNoAlteredTokenIsAccepted(t *testing.T) {
	scope := paging.ScopeOf("List")
	token, err := codec(t, 1).Encode(scope, cursor{After: 7})
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		altered := slices.Clone(raw)
		altered[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
		require.ErrorIs(t, codec(t, 1).Decode(scope, base64.RawURLEncoding.EncodeToString(altered), &cursor{}), paging.ErrBadToken)
	})
}

func TestShortKeysAreRefused(t *testing.T) {
	_, err := paging.NewCodec(key(1), []byte("short"))
	require.Error(t, err)
}

// listRequest is a list request as services have them, made here because libs import no service's contract.
type listRequest struct {
	*dynamicpb.Message
}

func newListRequest(t require.TestingT) listRequest {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("list.proto"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("ListRequest"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("parent", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("page_size", 2, descriptorpb.FieldDescriptorProto_TYPE_INT32),
				field("page_token", 3, descriptorpb.FieldDescriptorProto_TYPE_STRING),
			},
		}},
	}, nil)
	require.NoError(t, err)
	return listRequest{dynamicpb.NewMessage(file.Messages().Get(0))}
}

func (r listRequest) field(name protoreflect.Name) protoreflect.FieldDescriptor {
	return r.Descriptor().Fields().ByName(name)
}

func (r listRequest) with(name protoreflect.Name, value any) listRequest {
	changed := proto.CloneOf(r.Message)
	changed.Set(r.field(name), protoreflect.ValueOf(value))
	return listRequest{changed}
}

func (r listRequest) GetPageSize() int32   { return int32(r.Get(r.field("page_size")).Int()) }
func (r listRequest) GetPageToken() string { return r.Get(r.field("page_token")).String() }

// Walking a list page by page shows every entry once, whatever sizes the pages have.
func TestEveryEntryIsShownOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := make([]int, rapid.IntRange(0, 120).Draw(t, "entries"))
		for i := range all {
			all[i] = i + 1
		}
		pages := codec(t, 1)
		var got []int
		req := newListRequest(t).with("parent", "subscribers/1")
		for {
			req = req.with("page_size", rapid.Int32Range(0, 60).Draw(t, "size"))
			var after cursor
			page, err := pages.Start("List", req, &after)
			require.NoError(t, err)
			rows := all[after.After:]
			rows = rows[:min(len(rows), int(page.Limit()))]
			shown, next, err := paging.Finish(page, rows, func(n int) any { return cursor{After: n} })
			require.NoError(t, err)
			got = append(got, shown...)
			if next == "" {
				break
			}
			require.Len(t, shown, int(page.Size))
			req = req.with("page_token", next)

			_, err = pages.Start("List", req.with("parent", "subscribers/2"), &cursor{})
			require.ErrorIs(t, err, paging.ErrBadToken)
			_, err = pages.Start("List", req, &cursor{}, "another caller")
			require.ErrorIs(t, err, paging.ErrBadToken)
		}
		require.Equal(t, len(all), len(got))
		require.True(t, slices.Equal(all, got))
	})
}

func FuzzDecode(f *testing.F) {
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		if err := codec(t, 1).Decode(paging.ScopeOf("List"), token, &cursor{}); err == nil && token != "" {
			t.Fatalf("forged: %q", token)
		}
	})
}
