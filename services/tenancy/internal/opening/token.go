package opening

import (
	"context"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// SeatTokens checks seat tokens with licensing's public keys.
type SeatTokens struct {
	keys *authn.RemoteKeys
}

// NewSeatTokens returns SeatTokens over licensing's keys.
func NewSeatTokens(keys *authn.RemoteKeys) *SeatTokens { return &SeatTokens{keys: keys} }

// SeatOf reads a token that licensing signed. Whether its time is over is the reader's to judge.
func (t *SeatTokens) SeatOf(ctx context.Context, token string) (Seat, error) {
	set, err := t.keySet(ctx, token)
	if err != nil {
		return Seat{}, err
	}
	parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(set), jwt.WithValidate(false))
	if err != nil {
		return Seat{}, SeatInvalid("licensing did not sign it")
	}
	if err := jwt.Validate(parsed, jwt.WithResetValidators(true), jwt.WithIssuer("kontor-licensing"), jwt.WithAudience("kontor"),
		jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithClaimValue("use", "seat")); err != nil {
		return Seat{}, SeatInvalid("it is no seat")
	}
	seat := Seat{}
	seat.Account, _ = parsed.Subject()
	seat.Expires, _ = parsed.Expiration()
	if parsed.Get("seat", &seat.Name) != nil || parsed.Get("cmp", &seat.Company) != nil {
		return Seat{}, SeatInvalid("it is no seat")
	}
	return seat, nil
}

// keySet finds the keys that have the token's key, looking again for one that is not known yet.
func (t *SeatTokens) keySet(ctx context.Context, token string) (jwk.Set, error) {
	message, err := jws.Parse([]byte(token))
	if err != nil || len(message.Signatures()) != 1 {
		return nil, SeatInvalid("it is nobody's")
	}
	id, _ := message.Signatures()[0].ProtectedHeaders().KeyID()
	set, err := t.keys.Keys(ctx)
	if err == nil {
		if _, found := set.LookupKeyID(id); !found {
			set, err = t.keys.Refresh(ctx)
		}
	}
	if err != nil {
		return nil, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "licensing").Wrap(err)
	}
	return set, nil
}
