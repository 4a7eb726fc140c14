package seat

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Hub passes on what the pools tell to the streams of this copy that it concerns. What is missed is found by looking.
// Safe for concurrent use.
type Hub struct {
	redis redis.UniversalClient

	mu   sync.Mutex
	ears map[string]map[*Ear]bool // by what is listened for
}

// Ear hears that there is something to look at.
type Ear struct {
	hub   *Hub
	heard chan struct{}
	on    []string
}

// NewHub returns a hub; Run keeps it listening.
func NewHub(client redis.UniversalClient) *Hub {
	return &Hub{redis: client, ears: map[string]map[*Ear]bool{}}
}

// Run listens until ctx ends. The client connects anew by itself.
func (h *Hub) Run(ctx context.Context) error {
	channels := make([]string, partitions)
	for p := range partitions {
		channels[p] = newsKey(p)
	}
	subscription := h.redis.Subscribe(ctx, channels...)
	defer func() { _ = subscription.Close() }()
	news := subscription.Channel(redis.WithChannelSize(10_000))
	for {
		select {
		case <-ctx.Done():
			return nil
		case message, ok := <-news:
			if !ok {
				return nil
			}
			_, subject, _ := strings.Cut(message.Payload, " ")
			h.tell(subject)
		}
	}
}

func (h *Hub) tell(subject string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ear := range h.ears[subject] {
		select {
		case ear.heard <- struct{}{}:
		default: // It will look anyhow.
		}
	}
}

// Listen returns an ear; Close it.
func (h *Hub) Listen() *Ear { return &Ear{hub: h, heard: make(chan struct{}, 1)} }

// For listens for one more seat or licence, by its id.
func (e *Ear) For(subject string) {
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	if e.hub.ears[subject] == nil {
		e.hub.ears[subject] = map[*Ear]bool{}
	}
	e.hub.ears[subject][e] = true
	e.on = append(e.on, subject)
}

// Heard is ready when something was told since it was last received from.
func (e *Ear) Heard() <-chan struct{} { return e.heard }

// Close listens no more.
func (e *Ear) Close() {
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	for _, subject := range e.on {
		delete(e.hub.ears[subject], e)
		if len(e.hub.ears[subject]) == 0 {
			delete(e.hub.ears, subject)
		}
	}
}
