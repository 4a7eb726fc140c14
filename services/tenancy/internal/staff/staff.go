// Package staff is who works for the vendor.
package staff

import (
	"crypto/sha256"
	"crypto/subtle"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// checkToken compares the one-time token with the configured one, in a time that tells nothing about it. Without a
// configured one, no token is right.
func checkToken(configured, token string) error {
	want, got := sha256.Sum256([]byte(configured)), sha256.Sum256([]byte(token))
	if configured == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return failure.New(commonv1.Reason_REASON_STAFF_TOKEN_WRONG)
	}
	return nil
}
