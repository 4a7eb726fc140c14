package client

import "github.com/google/uuid"

// RequestID makes an id for the `request_id` of a call that creates something. Repeat a call that did not get through with
// the same id, and what it creates is created once.
func RequestID() string { return uuid.Must(uuid.NewV7()).String() }
