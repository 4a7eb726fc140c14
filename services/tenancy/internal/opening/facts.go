package opening

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/seattoken"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/scram"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// Request is what somebody wants to open.
type Request struct {
	Subscriber, Company, Account uuid.UUID
	Area                         string
	// Token of the seat.
	Token string
	// Copy is a restored database to read in place of the live one; nil for that.
	Copy *uuid.UUID
}

// place is where a data area lies.
type place struct {
	database.Database
	area database.Area
	kit  *kit.Kit
}

// facts are what an opening is decided by.
type facts struct {
	place
	seat        string
	device      string
	seatReads   bool
	leaseEnd    time.Time
	mode        mode
	held        []authv1.Permission
	permissions []string
	readOnly    bool
	password    string
	verifier    string
}

// gather finds out all at once what takes a question to somebody else. What is wrong with the seat or the company is said
// before what is wrong with rights.
func (s *Sessions) gather(ctx context.Context, r Request, seat seattoken.Claims) (facts, error) {
	var (
		f    = facts{seat: seat.Seat, device: seat.Device, seatReads: seat.ReadOnly, password: scram.NewPassword()}
		errs [5]error
		all  sync.WaitGroup
	)
	all.Go(func() { f.place, errs[0] = s.placeOf(ctx, r) })
	all.Go(func() { f.leaseEnd, errs[1] = s.leaseOf(ctx, seat) })
	all.Go(func() {
		if known := s.d.Kits.NewestOf(r.Area); known != nil { // Otherwise no company has such an area.
			f.mode, errs[2] = ask(ctx, s.d.Rights, r.Subscriber, known.Product)
		}
	})
	all.Go(func() { f.held, errs[3] = s.heldBy(ctx, r.Subscriber, r.Company, r.Account) })
	all.Go(func() { f.verifier, errs[4] = scram.Verifier(f.password) })
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return facts{}, err
		}
	}
	return s.judge(ctx, r, seat, f)
}

// judge works out what the login may do. RIGHT_MISSING when the licence allows nothing, PERMISSION_DENIED when the caller's
// rights come to nothing in this area.
func (s *Sessions) judge(ctx context.Context, r Request, seat seattoken.Claims, f facts) (facts, error) {
	if err := checkProduct(seat, f.area.Product); err != nil {
		return facts{}, err
	}
	if f.mode.Refused != nil {
		return facts{}, f.mode.Refused
	}
	f.readOnly = f.seatReads || !f.mode.Write || f.Purpose == database.RestoredBeside
	f.permissions = PermissionsIn(f.kit, f.held, f.readOnly)
	if len(f.permissions) == 0 {
		return facts{}, s.denied(ctx, r, f.kit)
	}
	return f, nil
}

// denied names whom to ask, as refusals by rules do.
func (s *Sessions) denied(ctx context.Context, r Request, k *kit.Kit) error {
	pairs := []string{"permission", strings.Join(k.PermissionNames(), ", "), "scope", names.Company(r.Subscriber, r.Company)}
	if of, err := subscriber.Get(ctx, s.d.DB, r.Subscriber); err == nil {
		if name := s.d.People.Name(ctx, of.Owner); name != "" {
			pairs = append(pairs, "administrator", name)
		}
	}
	return failure.New(commonv1.Reason_REASON_PERMISSION_DENIED, pairs...)
}

// heldBy are the permissions that an account has in a company now.
func (s *Sessions) heldBy(ctx context.Context, subscriber, company, account uuid.UUID) ([]authv1.Permission, error) {
	m, _, err := member.OfAccount(ctx, s.d.DB, subscriber, account)
	if err != nil {
		return nil, translate(err)
	}
	return inCompany(m.Rights(s.d.Members.Today()), company), nil
}

// placeOf finds the database and its area.
func (s *Sessions) placeOf(ctx context.Context, r Request) (place, error) {
	c, err := company.Get(ctx, s.d.DB, r.Subscriber, r.Company)
	if err != nil {
		return place{}, err
	}
	if err := c.Ready(); err != nil {
		return place{}, err
	}
	wanted := c.Live
	if r.Copy != nil {
		wanted = r.Copy
	}
	d, err := database.Get(ctx, s.d.DB, *wanted)
	if err != nil {
		return place{}, err
	}
	if r.Copy != nil {
		if err := checkCopy(d, r.Company); err != nil {
			return place{}, err
		}
	}
	return placeIn(d, r.Area, s.d.Kits)
}

// checkCopy refuses what is no copy of the company, and one that can't be read.
func checkCopy(d database.Database, company uuid.UUID) error {
	if d.Company != company || d.Purpose != database.RestoredBeside {
		return failure.NotFound(names.Target(d.ID))
	}
	if d.State != database.InUse {
		return failure.New(commonv1.Reason_REASON_RESTORE_TARGET_STATE, "state", d.State.String())
	}
	return nil
}

// placeIn finds an area's kit. DATA_AREA_MISSING when the database has no such area.
func placeIn(d database.Database, name string, kits *kit.Set) (place, error) {
	area, ok := d.Area(name)
	if !ok {
		var known []string
		for _, a := range d.Areas {
			known = append(known, a.Area)
		}
		return place{}, failure.New(commonv1.Reason_REASON_DATA_AREA_MISSING, "area", name, "known", strings.Join(known, ", "))
	}
	k, err := kitOf(kits, area.Product, area.Version)
	return place{Database: d, area: area, kit: k}, err
}

// kitOf finds the kit that an area was made from.
func kitOf(kits *kit.Set, product, version string) (*kit.Kit, error) {
	parsed, err := kit.ParseVersion(version)
	if err != nil {
		return nil, err
	}
	if k := kits.Get(product, parsed); k != nil {
		return k, nil
	}
	return nil, failure.New(commonv1.Reason_REASON_KIT_UNKNOWN, "product", product+" "+version, "known", strings.Join(kits.Products(), ", "))
}
