// Package upload takes copies of on-premises databases in, piece by piece, and
// examines them before anything is made of them.
package upload

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

const (
	// kept is how long an upload waits to be made a company of, and its bytes after that.
	kept = 7 * 24 * time.Hour
	// openLimit bounds a subscriber's uploads that no company was made of.
	openLimit = 20
	// partBytes is the size of an object in the store; only a broken connection leaves smaller ones.
	partBytes = 8 << 20
)

// Verified is an upload that a company can be made of.
type Verified struct {
	ID       uuid.UUID
	Filename string
	Size     int64
	Product  string
	Edition  string
	Version  kit.Version
}

// row is what every query of uploads reads.
type row = uploaddb.Upload

func state(u row) tenancyv1.UploadState { return tenancyv1.UploadState(u.State) }

// toProto shows an upload.
func toProto(u row) *tenancyv1.Upload {
	return &tenancyv1.Upload{
		Name: names.Upload(u.SubscriberID, u.ID), Filename: u.Filename, SizeBytes: u.SizeBytes, ReceivedBytes: u.ReceivedBytes,
		Sha256: u.Sha256, State: state(u), Product: u.Product, Version: u.Version, RefusalReason: u.Refusal,
		CreateTime: timestamppb.New(u.Created), ExpireTime: timestamppb.New(u.Expires),
	}
}

// verified reads an upload that was found good.
func verified(u row) (Verified, error) {
	version, err := kit.ParseVersion(u.Version)
	return Verified{
		ID: u.ID, Filename: u.Filename, Size: u.SizeBytes, Product: u.Product, Edition: u.Edition, Version: version,
	}, err
}

// unfit refuses what can't be done in the upload's state; a refused upload answers its refusal.
func unfit(u row) error {
	if state(u) == tenancyv1.UploadState_UPLOAD_STATE_REFUSED {
		return refusalOf(u)
	}
	shown := strings.ToLower(strings.TrimPrefix(state(u).String(), "UPLOAD_STATE_"))
	return failure.New(commonv1.Reason_REASON_UPLOAD_STATE_UNFIT, "state", shown)
}

// refusal is why a copy can't be used, as it is kept.
type refusal struct {
	reason commonv1.Reason
	values map[string]string
}

// pairs are the values in the order of their keys.
func (r refusal) pairs() []string {
	var pairs []string
	for key, value := range r.values {
		pairs = append(pairs, key+"\x00"+value)
	}
	slices.Sort(pairs)
	var flat []string
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "\x00")
		flat = append(flat, key, value)
	}
	return flat
}

// refusalOf is the refusal that was kept.
func refusalOf(u row) error {
	r := refusal{reason: commonv1.Reason(commonv1.Reason_value["REASON_"+u.Refusal])}
	if err := json.Unmarshal(u.RefusalValues, &r.values); err != nil {
		return err
	}
	return failure.New(r.reason, r.pairs()...)
}
