package people_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"kontor.internal/libs/id"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

// identity answers with one name, or not at all, and counts.
type identity struct {
	identityv1.DirectoryServiceClient
	down  bool
	asked int
}

func (i *identity) BatchGetAccounts(_ context.Context, r *identityv1.BatchGetAccountsRequest, _ ...grpc.CallOption) (*identityv1.BatchGetAccountsResponse, error) {
	i.asked++
	if i.down {
		return nil, errors.New("down")
	}
	answer := &identityv1.BatchGetAccountsResponse{}
	for _, name := range r.GetNames() {
		answer.Accounts = append(answer.Accounts, &identityv1.Account{Name: name, Email: "a@example.test"})
	}
	return answer, nil
}

func TestANameIsAskedForOnceAndNeverWorthARefusal(t *testing.T) {
	account, up, down := id.New(), &identity{}, &identity{down: true}
	p, q := people.New(up), people.New(down)
	for range 3 {
		if got := p.Name(t.Context(), account); got != "a@example.test" {
			t.Errorf("called %q", got)
		}
		if got := q.Name(t.Context(), account); got != "" {
			t.Errorf("called %q", got)
		}
	}
	if up.asked != 1 || down.asked != 1 {
		t.Errorf("asked %d and, while it is down, %d times", up.asked, down.asked)
	}
}

func TestManyAccountsAreAskedForInPortions(t *testing.T) {
	i := &identity{}
	wanted := id.New()
	accounts := []uuid.UUID{wanted}
	for range 2500 {
		accounts = append(accounts, id.New())
	}
	found, err := people.New(i).Accounts(t.Context(), accounts)
	if err != nil || len(found) != 2501 || found[wanted].GetName() != names.Account(wanted) || i.asked != 3 {
		t.Errorf("%d found by asking %d times, %v", len(found), i.asked, err)
	}
}
