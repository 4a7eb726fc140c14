package names_test

import (
	"testing"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/exchange/internal/names"
)

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	x, d := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	if c, got, err := names.ParseDocument(names.Document(x, d)); err != nil || c != x || got != d {
		t.Error(c, got, err)
	}
	if got, err := names.SubscriberOf(names.Subscriber(x) + "/companies/" + d.String()); err != nil || got != x {
		t.Error(got, err)
	}
	for _, wrong := range []string{"", "connections/", names.Connection(x), names.Document(x, d) + "x", "documents/" + d.String(), "connections/x/documents/" + d.String()} {
		if _, _, err := names.ParseDocument(wrong); failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
