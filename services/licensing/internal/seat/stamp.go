package seat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kontor.internal/libs/seal"
)

// Stamps prove a lease to licensing itself, in any copy: a token's signature costs many times more, and who renews often
// does not need one each time. A stamp is the end of the lease in milliseconds and an HMAC-SHA256 over it, the seat, its
// generation and the place.
type Stamps struct{ keys [][]byte }

// NewStamps makes stamps with a secret of 32 characters or more, and reads those made with earlier ones too.
func NewStamps(secret string, earlier ...string) (*Stamps, error) {
	keys, err := seal.Keys("kontor licensing seat stamps", secret, earlier...)
	return &Stamps{keys: keys}, err
}

// Of is the stamp for a seat's lease as it is now.
func (s *Stamps) Of(held Seat) string {
	ends := held.Ends.UnixMilli()
	return strconv.FormatInt(ends, 10) + "." + base64.RawURLEncoding.EncodeToString(mac(s.keys[0], held, ends))
}

// Read returns the end of the lease that a stamp proves for a seat, false for one that proves nothing.
func (s *Stamps) Read(stamp string, held Seat) (time.Time, bool) {
	number, code, _ := strings.Cut(stamp, ".")
	ends, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	got, err := base64.RawURLEncoding.DecodeString(code)
	if err != nil {
		return time.Time{}, false
	}
	for _, key := range s.keys {
		if hmac.Equal(got, mac(key, held, ends)) {
			return time.UnixMilli(ends).UTC(), true
		}
	}
	return time.Time{}, false
}

func mac(key []byte, held Seat, ends int64) []byte {
	code := hmac.New(sha256.New, key)
	fmt.Fprintf(code, "%s\n%d\n%s\n%q\n%d", held.ID, held.Generation, held.Company, held.Device, ends)
	return code.Sum(nil)
}
