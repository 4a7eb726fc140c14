package tenancy

import (
	"errors"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/service"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/tenancy/internal/access"
	"kontor.internal/services/tenancy/internal/invitation"
	"kontor.internal/services/tenancy/internal/people"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// secretsAndTexts makes what can fail before anything is opened.
func secretsAndTexts(cfg Config) (*subscriber.Codes, *invitation.Links, *invitation.Letters, error) {
	codes, err := subscriber.NewCodes([]byte(cfg.SubscriberCodeKey))
	if err != nil {
		return nil, nil, nil, err
	}
	links, err := invitation.NewLinks([]byte(cfg.LinkKey))
	if err != nil {
		return nil, nil, nil, err
	}
	if len(cfg.Regions) == 0 || slices.Contains(cfg.Regions, "") {
		return nil, nil, nil, errors.New("tenancy: regions names none")
	}
	letters, err := invitation.LoadLetters()
	return codes, links, letters, err
}

// storedClock tells the time as finely as the database keeps it, so that an answer says the same before and after.
type storedClock struct{ clock.Clock }

// Now is whole microseconds.
func (c storedClock) Now() time.Time { return c.Clock.Now().Truncate(time.Microsecond) }

func newPeople(s *service.Service) *people.People {
	return people.New(identityv1.NewDirectoryServiceClient(s.Peer("identity")))
}

func newResolver(s *service.Service) *access.Resolver {
	return access.NewResolver(access.Deps{DB: s.DB, Clock: s.Clock, People: newPeople(s)})
}

// startJobs runs workers and timers for as long as the service lives.
func startJobs(s *service.Service, cfg Config, workers *river.Workers, timers ...jobs.Periodic) error {
	client, err := jobs.New(cfg.Jobs, jobs.Options{
		Pool: s.DB, Service: s.Name, Log: s.Log, Workers: workers, Periodic: append(s.Periodic(), timers...),
	})
	if err != nil {
		return err
	}
	s.Go("jobs", client.Run)
	return nil
}
