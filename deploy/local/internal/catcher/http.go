package catcher

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"mime"
	"net/http"
	"strconv"
	"time"
)

//go:embed page.html
var page string

// longestWait bounds a long poll.
const longestWait = time.Minute

// Register puts the inbox's page and API on a mux:
//
//	GET  /                                  the page
//	GET  /inbox?to=&subject=&after=&wait=   messages, JSON; waits for the first at most `wait` (a duration)
//	GET  /inbox/{id}                        one message with its attachments
//	GET  /inbox/{id}/html                   its HTML part, scripts off
//	GET  /inbox/{id}/attachments/{n}        one attachment
//	POST /sms                               {"from", "to", "text"}: what an SMS provider is sent
func Register(mux *http.ServeMux, store *Store) error {
	tmpl, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	h := handlers{store: store, page: tmpl}
	mux.HandleFunc("GET /{$}", h.showPage)
	mux.HandleFunc("GET /inbox", h.list)
	mux.HandleFunc("GET /inbox/{id}", h.get)
	mux.HandleFunc("GET /inbox/{id}/html", h.html)
	mux.HandleFunc("GET /inbox/{id}/attachments/{n}", h.attachment)
	mux.HandleFunc("POST /sms", h.sms)
	return nil
}

type handlers struct {
	store *Store
	page  *template.Template
}

func (h handlers) showPage(w http.ResponseWriter, _ *http.Request) {
	messages, _ := h.store.List(Query{})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = h.page.Execute(w, messages) // The viewer went away.
}

func (h handlers) list(w http.ResponseWriter, r *http.Request) {
	query := Query{To: r.FormValue("to"), Subject: r.FormValue("subject"), After: r.FormValue("after")}
	wait, err := time.ParseDuration("0" + r.FormValue("wait"))
	if err != nil {
		http.Error(w, "wait is not a duration", http.StatusBadRequest)
		return
	}
	timer := time.NewTimer(min(wait, longestWait))
	defer timer.Stop()
	for {
		found, arrived := h.store.List(query)
		if len(found) > 0 || wait == 0 {
			writeJSON(w, found)
			return
		}
		select {
		case <-arrived:
		case <-timer.C:
			wait = 0
		case <-r.Context().Done():
			return
		}
	}
}

func (h handlers) get(w http.ResponseWriter, r *http.Request) {
	if m, ok := h.find(w, r); ok {
		writeJSON(w, m)
	}
}

func (h handlers) html(w http.ResponseWriter, r *http.Request) {
	m, ok := h.find(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write([]byte(m.HTML)) // As it came, in a sandbox without scripts.
}

func (h handlers) attachment(w http.ResponseWriter, r *http.Request) {
	m, ok := h.find(w, r)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(m.Attachments) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", m.Attachments[n].ContentType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": m.Attachments[n].Filename}))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(m.Attachments[n].Content)
}

func (h handlers) sms(w http.ResponseWriter, r *http.Request) {
	var in struct{ From, To, Text string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil || in.To == "" || in.Text == "" {
		http.Error(w, "want from, to and text", http.StatusBadRequest)
		return
	}
	if err := h.store.Add(Message{Kind: "sms", From: in.From, To: []string{in.To}, Text: in.Text}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (h handlers) find(w http.ResponseWriter, r *http.Request) (Message, bool) {
	m, ok := h.store.Get(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
	}
	return m, ok
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // The caller went away.
}
