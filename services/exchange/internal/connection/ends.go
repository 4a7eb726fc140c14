package connection

import (
	"context"

	"kontor.internal/libs/caller"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// Permissions of an end: the least that work (S3).
var (
	toSend = []authv1.Permission{
		authv1.Permission_PERMISSION_CONNECTIONS_READ, authv1.Permission_PERMISSION_DOCUMENTS_SEND, authv1.Permission_PERMISSION_DOCUMENTS_READ,
	}
	toReceive = []authv1.Permission{
		authv1.Permission_PERMISSION_CONNECTIONS_READ, authv1.Permission_PERMISSION_DOCUMENTS_RECEIVE, authv1.Permission_PERMISSION_DOCUMENTS_READ,
	}
)

// Ends are the accounts at the ends of connections, and what they may.
type Ends struct {
	Identity identityv1.DirectoryServiceClient
	Access   tenancyv1.AccessServiceClient
}

// seated is an end that has its account.
type seated struct {
	account    string
	activation string
	// wide says that the account is a person's, who may have more rights than an end needs.
	wide bool
}

// seat finds or makes the account of an end. It gives no rights yet.
func (e Ends) seat(ctx context.Context, email string) (seated, error) {
	answer, err := e.Identity.EnsureAccount(ctx, &identityv1.EnsureAccountRequest{
		Email: email, Language: caller.From(ctx).Locale, Kind: identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL,
	})
	if err != nil {
		return seated{}, err
	}
	account := answer.GetAccount()
	return seated{
		account: account.GetName(), activation: answer.GetActivation(),
		wide: account.GetKind() != identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL,
	}, nil
}

// grantAll gives accounts their rights in a connection, in place of those they had.
func (e Ends) grantAll(ctx context.Context, connection string, held map[string][]authv1.Permission) error {
	for account, permissions := range held {
		_, err := e.Access.GrantConnectionAccess(ctx, &tenancyv1.GrantConnectionAccessRequest{
			Account: account, Connection: connection, Permissions: permissions,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// join makes subscribers the connection's: who manages it follows from memberships, at every moment (X4).
func (e Ends) join(ctx context.Context, connection string, subscribers ...string) error {
	for _, subscriber := range subscribers {
		_, err := e.Access.AddConnectionSubscriber(ctx, &tenancyv1.AddConnectionSubscriberRequest{Connection: connection, Subscriber: subscriber})
		if err != nil {
			return err
		}
	}
	return nil
}

// revoke ends an account's rights in a connection.
func (e Ends) revoke(ctx context.Context, account, connection string) error {
	if account == "" {
		return nil
	}
	_, err := e.Access.RevokeConnectionAccess(ctx, &tenancyv1.RevokeConnectionAccessRequest{Account: account, Connection: connection})
	return err
}
