package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// control asks kontor-local's control API.
func (s *Suite) control(ctx context.Context, method, path string, in, out any) error {
	state := s.State()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, state.Control+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+state.ControlToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, bytes.TrimSpace(raw))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// MoveClock sets how far the suite's business dates are from the real ones,
// and gives the suite's time.
func (s *Suite) MoveClock(ctx context.Context, offset time.Duration) (time.Time, error) {
	var answer struct{ Now time.Time }
	err := s.control(ctx, http.MethodPost, "/clock", map[string]string{"offset": offset.String()}, &answer)
	return answer.Now, err
}

// Action is what can be done to a copy of a service or to a store.
type Action string

// The actions. Start and Stop are for copies, Restart is for stores.
const (
	Kill    Action = "kill"
	Pause   Action = "pause"
	Resume  Action = "resume"
	Begin   Action = "start"
	End     Action = "stop"
	Restart Action = "restart"
)

// Copy does something to a process of a service, e.g. `identity-2`; with
// Processes only.
func (s *Suite) Copy(ctx context.Context, name string, do Action) error {
	if err := s.control(ctx, http.MethodPost, "/copies/"+name+"/"+string(do), nil, nil); err != nil {
		return err
	}
	var state State
	if err := s.control(ctx, http.MethodGet, "/state", nil, &state); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	return nil
}

// Store does something to `postgres`, `redis` or `nats`.
func (s *Suite) Store(ctx context.Context, name string, do Action) error {
	return s.control(ctx, http.MethodPost, "/stores/"+name+"/"+string(do), nil, nil)
}
