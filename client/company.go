package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// OpenRequest says what to open.
type OpenRequest struct {
	// Company is `subscribers/S/companies/C`.
	Company string
	// DataArea is the part of its database, e.g. `books`.
	DataArea string
	// Seat is held for the company.
	Seat *Seat
	// Copy is a copy restored beside the live books, `targets/T`, to look into; empty for the live ones.
	Copy string
	// Connections is how many there are at the most; 0 means 4.
	Connections int32
	// Program is what the database shows as the connections' name; may be empty.
	Program string
}

// Company is an open company: a way into its database that holds as long as the seat.
type Company struct {
	session *Session
	request OpenRequest
	pool    *pgxpool.Pool

	mu    sync.Mutex
	login *tenancyv1.OpenCompanyResponse
	tls   *tls.Config
}

// OpenCompany opens a data area of a company. Reasons of a refusal: OPENING_SEAT_ENDED, OPENING_SEAT_INVALID,
// COMPANY_NOT_READY, DATA_AREA_MISSING, PERMISSION_DENIED, RIGHT_MISSING.
func (s *Session) OpenCompany(ctx context.Context, request OpenRequest) (*Company, error) {
	if request.Seat == nil {
		return nil, errors.New("open a company: no seat is held")
	}
	c := &Company{session: s, request: request}
	if err := c.Reopen(ctx); err != nil {
		return nil, err
	}
	config, err := c.poolConfig()
	if err != nil {
		return nil, err
	}
	if c.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if err := c.pool.Ping(ctx); err != nil {
		c.Close(ctx)
		return nil, fmt.Errorf("connect to the company's database: %w", err)
	}
	return c, nil
}

// poolConfig makes connections that verify the server and ask for the login of the moment each.
func (c *Company) poolConfig() (*pgxpool.Config, error) {
	// Whatever PG… variables the machine has, none of them counts here.
	config, err := pgxpool.ParseConfig("host=127.0.0.1 port=5432 user=none dbname=none sslmode=disable passfile='' connect_timeout=10")
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Fallbacks = nil
	config.ConnConfig.ValidateConnect = nil
	config.ConnConfig.RuntimeParams = map[string]string{"application_name": c.request.Program, "timezone": "UTC"}
	config.MaxConns = c.request.Connections
	if config.MaxConns == 0 {
		config.MaxConns = 4
	}
	config.BeforeConnect = func(_ context.Context, to *pgx.ConnConfig) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		login := c.login.GetLogin()
		to.Host, to.Port, to.Database = login.GetHost(), uint16(login.GetPort()), login.GetDatabase()
		to.User, to.Password = login.GetUser(), login.GetPassword()
		to.TLSConfig = c.tls
		return nil
	}
	return config, nil
}

// Reopen gets a fresh login with the same seat, after the database's connections ended while the seat is still held. The
// login before it ends.
func (c *Company) Reopen(ctx context.Context) error {
	answer, err := tenancyv1.NewOpeningServiceClient(c.session.Conn()).OpenCompany(ctx, &tenancyv1.OpenCompanyRequest{
		Name: c.request.Company, DataArea: c.request.DataArea, SeatToken: c.request.Seat.Token(), Copy: c.request.Copy,
	})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(answer.GetLogin().GetCaPem())) {
		return errors.New("Kontor named no authority for the database's certificate") //nolint:staticcheck // Kontor is a name
	}
	c.mu.Lock()
	c.login = answer
	c.tls = &tls.Config{RootCAs: roots, ServerName: answer.GetLogin().GetHost(), MinVersion: tls.VersionTLS12}
	c.mu.Unlock()
	if c.pool != nil {
		c.pool.Reset()
	}
	return nil
}

// Pool is the way into the database, for reading and writing. SessionEnded tells which of its errors mean that it was
// taken away; InTx deals with them.
func (c *Company) Pool() *pgxpool.Pool { return c.pool }

// InTx does something in a transaction, which is committed unless do gives an error. When the database's connections were
// ended although the seat is held (a restore, a restart), it opens the company again before the transaction begins; when the
// seat is gone, the error says why, and Seat.Lost is closed.
func (c *Company) InTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	tx, err := c.pool.Begin(ctx)
	if SessionEnded(err) {
		if err := c.request.Seat.Check(ctx); err != nil {
			return err
		}
		if err := c.Reopen(ctx); err != nil {
			return err
		}
		tx, err = c.pool.Begin(ctx)
	}
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// Session is the session's name, `subscribers/S/companies/C/sessions/X`.
func (c *Company) Session() string { return c.opened().GetSession().GetName() }

// ReadOnly tells whether nothing can be written, and why, for people.
func (c *Company) ReadOnly() (bool, string) {
	o := c.opened()
	return o.GetSession().GetReadOnly(), o.GetReadOnlyText()
}

// Permissions are what the login may do, by the kit's names, e.g. `books.post_vouchers`.
func (c *Company) Permissions() []string { return slices.Clone(c.opened().GetPermissions()) }

// Version is the release of the data area, e.g. `1.4.0`.
func (c *Company) Version() string { return c.opened().GetVersion() }

func (c *Company) opened() *tenancyv1.OpenCompanyResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login
}

// Close ends the database's connections, once those in use are given back, and the session. The seat stays held.
func (c *Company) Close(ctx context.Context) error {
	c.pool.Close()
	_, err := tenancyv1.NewOpeningServiceClient(c.session.Conn()).CloseSession(ctx, &tenancyv1.CloseSessionRequest{Name: c.Session()})
	return err
}

// SQLSTATE codes (PostgreSQL, appendix A) of a login that was taken away.
const (
	adminShutdown    = "57P01"
	databaseDropped  = "57P04"
	authorisation    = "28000"
	invalidPassword  = "28P01"
	noSuchDatabase   = "3D000"
	cannotConnectNow = "57P03"
)

// SessionEnded tells whether an error of the database means that its connections were ended or its login works no more,
// rather than that a statement was wrong.
func SessionEnded(err error) bool {
	if err == nil {
		return false
	}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{adminShutdown, databaseDropped, authorisation, invalidPassword, noSuchDatabase, cannotConnectNow}, answer.Code)
	}
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	_, broken := errors.AsType[*net.OpError](err)
	return refused || broken || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || pgconn.SafeToRetry(err)
}
