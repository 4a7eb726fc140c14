package opening

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seattoken"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

// tries is how often two who open at once may get in each other's way.
const tries = 4

// Open opens a data area for the holder of a seat. The session's row stands before its role lets anybody in, and the
// password is told only once the role is known to be this session's: an opener that dies in between leaves a session that
// is ended when its lease ends, and a role whose password nobody knows.
func (s *Sessions) Open(ctx context.Context, r Request) (*tenancyv1.OpenCompanyResponse, error) {
	seat, err := s.seatOf(ctx, r.Token)
	if err != nil {
		return nil, err
	}
	if err := checkSeat(seat, r, now()); err != nil {
		return nil, err
	}
	f, err := s.gather(ctx, r, seat)
	if err != nil {
		return nil, err
	}
	o, err := s.reserve(ctx, r, f)
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx, f, o, seat); err != nil {
		// The role may be in whatever state: nobody knows its password, and sweeping closes it.
		_ = s.endThese(context.WithoutCancel(ctx), []uuid.UUID{o.ID}, tenancyv1.SessionEnd_SESSION_END_CLOSED)
		return nil, err
	}
	return s.answer(ctx, f, o)
}

// opened is a session with its slot as it was found.
type opened struct {
	Session
	slot    slot
	binding binding
	groups  []string
	// connections that its login may have at a time.
	connections int
}

func (o opened) stands() bool { return o.slot.stands(o.groups, o.ReadOnly) }
func (o opened) bound() bool  { return o.slot.bound(o.binding) }

// reserve writes the session's row, with a slot of its own, in place of what the seat had open in this area there.
func (s *Sessions) reserve(ctx context.Context, r Request, f facts) (o opened, err error) {
	for range tries {
		o = opened{
			Session: Session{
				ID: s.d.NewID(), Subscriber: r.Subscriber, Company: r.Company, Account: r.Account, Seat: f.seat, Area: r.Area,
				ReadOnly: f.readOnly, Created: now(), LeaseEnd: f.leaseEnd,
			},
			binding: binding{Account: r.Account},
			groups:  f.kit.GroupsFor(f.Prefix, f.permissions, f.readOnly),
		}
		var replaced bool
		err = translate(postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
			if err := lockPlace(ctx, tx, r, f); err != nil {
				return err
			}
			if replaced, err = endInPlace(ctx, tx, inPlace{o.Seat, o.Company, f.device}, o.Area, tenancyv1.SessionEnd_SESSION_END_CLOSED); err != nil {
				return err
			}
			return s.write(ctx, tx, r, f, &o)
		}))
		if err == nil && replaced {
			s.wake()
		}
		if failure.Reason(err) != commonv1.Reason_REASON_CONFLICT {
			break
		}
	}
	return o, err
}

// lockPlace keeps the company from maintenance until the session stands.
func lockPlace(ctx context.Context, tx pgx.Tx, r Request, f facts) error {
	c, err := company.LockOpen(ctx, tx, r.Subscriber, r.Company)
	if err == nil && r.Copy == nil && *c.Live != f.ID { // Other books took their place a moment ago.
		err = failure.New(commonv1.Reason_REASON_CONFLICT)
	}
	return err
}

// write writes the row, and what the role is going to be: while it is being changed, it counts as unknown.
func (s *Sessions) write(ctx context.Context, tx pgx.Tx, r Request, f facts, o *opened) (err error) {
	if o.slot, err = s.takeSlot(ctx, tx, f.Database, o.binding); err != nil {
		return err
	}
	q := openingdb.New(tx)
	if o.connections, err = s.share(ctx, q, r.Subscriber, f.Cluster); err != nil {
		return err
	}
	if !o.stands() {
		if err := q.PrepareSlot(ctx, openingdb.PrepareSlotParams{ID: o.slot.ID, Groups: o.groups, ReadOnly: o.ReadOnly}); err != nil {
			return err
		}
	}
	if !o.bound() {
		if err := q.UnbindSlot(ctx, openingdb.UnbindSlotParams{ID: o.slot.ID, YearFrom: o.binding.YearFrom, YearTo: o.binding.YearTo}); err != nil {
			return err
		}
	}
	if err := q.InsertSession(ctx, openingdb.InsertSessionParams{
		ID: o.ID, CompanyID: o.Company, SlotID: o.slot.ID, AccountID: o.Account, Seat: o.Seat, Area: o.Area, Product: f.area.Product,
		ReadOnly: o.ReadOnly, Created: o.Created, LeaseEnd: o.LeaseEnd, LoginUntil: loginUntil(o.LeaseEnd),
		Connections: int32(o.connections), Device: f.device, SeatReads: f.seatReads,
	}); err != nil {
		return err
	}
	return tellOpened(ctx, tx, o.Session)
}

// admit lets the role in and binds it in the database, and makes sure that the session was not ended meanwhile. The seat is
// asked about once more: an end that came before the session's row stood found nothing to end.
func (s *Sessions) admit(ctx context.Context, f facts, o opened, seat seattoken.Claims) error {
	ctx, cancel := context.WithTimeout(ctx, broken/2)
	defer cancel()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return s.letIn(inner, f, o) })
	group.Go(func() error { _, err := s.leaseOf(inner, seat); return err })
	if !o.bound() {
		group.Go(func() error { return s.bind(inner, f, o) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	over, reason, err := s.settle(ctx, o)
	if err != nil || !over {
		return err
	}
	s.wake() // What swept it may have done so before the role was let in.
	return endedMeanwhile(reason)
}

func (s *Sessions) letIn(ctx context.Context, f facts, o opened) error {
	admin, err := s.d.Clusters.Admin(ctx, f.Cluster)
	if err != nil {
		return err
	}
	l := login{
		Role: o.slot.Role, Database: f.Name, Verifier: f.verifier, Until: loginUntil(o.LeaseEnd), Connections: o.connections,
		Groups: o.groups, ReadOnly: o.ReadOnly, Fresh: !o.slot.Made,
	}
	if o.slot.Made {
		l.Had = o.slot.Groups
	}
	if _, err := admin.Exec(ctx, opening(l)); err != nil {
		return fmt.Errorf("let a login in: %w", err)
	}
	return nil
}

func (s *Sessions) bind(ctx context.Context, f facts, o opened) error {
	return s.d.Databases.InDatabase(ctx, f.Database, func(conn *pgx.Conn) error {
		return kit.Bind(ctx, conn, kit.Binding{
			Login: o.slot.Role, Account: names.Account(o.Account), YearFrom: int(o.binding.YearFrom), YearTo: int(o.binding.YearTo),
		})
	})
}

// settle writes down that the role is as the slot says, and returns whether the session was ended meanwhile, and why.
func (s *Sessions) settle(ctx context.Context, o opened) (over bool, reason tenancyv1.SessionEnd, err error) {
	q := openingdb.New(s.d.DB)
	if o.stands() && o.bound() {
		r, err := q.SetReady(ctx, o.ID)
		return r.Over, tenancyv1.SessionEnd(r.EndReason), translate(err)
	}
	r, err := q.Settle(ctx, openingdb.SettleParams{ID: o.ID, BoundTo: o.Account, Slot: o.slot.ID})
	return r.Over, tenancyv1.SessionEnd(r.EndReason), translate(err)
}

// endedMeanwhile is the refusal of what ended while it was being opened.
func endedMeanwhile(reason tenancyv1.SessionEnd) error {
	switch reason {
	case tenancyv1.SessionEnd_SESSION_END_SEAT:
		return failure.New(commonv1.Reason_REASON_OPENING_SEAT_ENDED)
	case tenancyv1.SessionEnd_SESSION_END_MAINTENANCE:
		return failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "maintenance")
	default: // Opened once more by the same seat, or other rights: what holds now shows when it is tried again.
		return failure.New(commonv1.Reason_REASON_CONFLICT)
	}
}

func (s *Sessions) answer(ctx context.Context, f facts, o opened) (*tenancyv1.OpenCompanyResponse, error) {
	at, err := s.d.Clusters.Get(ctx, f.Cluster)
	if err != nil {
		return nil, err
	}
	answer := &tenancyv1.OpenCompanyResponse{
		Session: o.ToProto(), Permissions: f.permissions, Version: f.area.Version,
		Login: &tenancyv1.DatabaseLogin{
			Host: at.Host, Port: at.Port, Database: f.Name, User: o.slot.Role, Password: f.password, CaPem: at.CAPEM,
			ExpireTime: timestamppb.New(loginUntil(o.LeaseEnd)),
		},
	}
	if !f.mode.Write {
		answer.ReadOnlyText = f.mode.WhyNot
	}
	return answer, nil
}
