// Package registration binds products' serial numbers to subscribers (C1, C2, C12).
package registration

import (
	"time"

	"github.com/google/uuid"
)

// Delivery is how a product came to its buyer.
type Delivery string

// The ways of delivery.
const (
	Boxed      Delivery = "boxed"      // with a PIN in an envelope; buyers of any edition but base have six months of maintenance free (C3)
	Electronic Delivery = "electronic" // number and PIN come from the partner; no card goes to the vendor (C12)
	Rented     Delivery = "rented"     // as electronic, for as long as it is rented (C12)
)

// Registered is a product that is bound to a subscriber: what other concepts need to know of a registration.
type Registered struct {
	ID         uuid.UUID
	Subscriber uuid.UUID
	Serial     string // the product's serial number
	Product    string // id in the catalogue
	Edition    string // id in the catalogue
	Delivery   Delivery
	Partner    uuid.UUID // that sold it; nil when the vendor did
	Time       time.Time
	Ended      time.Time // when it was taken off the subscriber; zero while it holds
}
