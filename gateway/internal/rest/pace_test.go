package rest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
)

// serve runs a handler behind the guard on a real connection.
func serve(t *testing.T, patience time.Duration, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	texts, err := failure.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Door:         &door.Door{Texts: texts, Log: slog.New(slog.NewTextHandler(io.Discard, nil))},
		BodyPatience: patience, Patience: patience,
	}
	server := httptest.NewUnstartedServer(s.guarded(handle))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelDebug)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestAPanicIsOneFailedRequest(t *testing.T) {
	server := serve(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
		}
		panic("a slip")
	})
	answer, err := get(t, server, "/early")
	if err != nil || !strings.Contains(answer, `"INTERNAL"`) || strings.Contains(answer, "slip") {
		t.Errorf("early: %s %v", answer, err)
	}
	if answer, err := get(t, server, "/late"); err == nil {
		t.Errorf("late: %q ended as if it were whole", answer)
	}
}

func TestWhoReadsNothingIsCutOff(t *testing.T) {
	ended := make(chan struct{})
	server := serve(t, 100*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				close(ended)
				return
			}
		}
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	select {
	case <-ended: // Nothing was read, and yet the handler is free again.
	case <-time.After(20 * time.Second):
		t.Error("the handler waits for ever")
	}
}

func TestAnAnswerMayTakeLongerThanItsPieces(t *testing.T) {
	const patience = 50 * time.Millisecond
	server := serve(t, patience, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		quiet, cancel := context.WithTimeout(r.Context(), 4*patience)
		defer cancel()
		<-quiet.Done()
		if errors.Is(r.Context().Err(), context.Canceled) {
			return
		}
		_, _ = w.Write(body)
	})
	for _, client := range []*http.Client{server.Client(), http1(server)} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("sent"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil || string(raw) != "sent" {
			t.Errorf("%s: %q %v", answer.Proto, raw, err)
		}
	}
}

func get(t *testing.T, server *httptest.Server, path string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	return string(raw), err
}

// http1 is a client that does not speak HTTP/2.
func http1(server *httptest.Server) *http.Client {
	transport, ok := server.Client().Transport.(*http.Transport)
	if !ok {
		return server.Client()
	}
	transport = transport.Clone()
	transport.ForceAttemptHTTP2, transport.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
	return &http.Client{Transport: transport}
}
