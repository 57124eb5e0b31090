package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"fhirlink/shared/notify"
)

// WebhookURL is an address in the sandbox that accepts every webhook delivery.
const WebhookURL = "https://" + sinkHost + "/"

const sinkHost = "webhooks." + zone

// maxKept is how many notifications a Sink keeps; it drops the oldest first.
const maxKept = 1000

// Sink receives webhooks and mail for people who try notifications out. It logs each one and
// shows all that it holds. It remembers ids, so that a repeated delivery is not shown twice. It
// appends what arrives to a file, one line of JSON each.
type Sink struct {
	log  *slog.Logger
	file string // "": none

	mu   sync.Mutex
	held []*Notification
}

// NewSink returns a sink that holds what file has. The file need not exist; "" means no file. A last
// line that a killed process left unfinished is removed from the file.
func NewSink(file string, log *slog.Logger) (*Sink, error) {
	s := &Sink{log: log, file: file}
	if file == "" {
		return s, nil
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if whole := bytes.LastIndexByte(content, '\n') + 1; bytes.HasPrefix(content[whole:], []byte("{")) {
		if err := os.Truncate(file, int64(whole)); err != nil {
			return nil, fmt.Errorf("sandbox: the unfinished last line cannot be removed: %w", err)
		}
		content = content[:whole]
	}
	for lines := json.NewDecoder(bytes.NewReader(content)); ; {
		var n Notification
		switch err := lines.Decode(&n); {
		case errors.Is(err, io.EOF):
			return s, nil
		case err != nil:
			return nil, fmt.Errorf("sandbox: %s cannot be read, remove it: %w", file, err)
		}
		s.hold(n)
	}
}

// Notification is one event that the sink received.
type Notification struct {
	Via      string      `json:"via"`  // webhook or mail
	ID       string      `json:"id"`   // webhook-id, or the id of the event in a mail
	Type     notify.Type `json:"type"` // e.g. fhirlink.secret.expiring
	Time     string      `json:"time"` // when it happened
	Slug     string      `json:"slug"`
	Message  string      `json:"message"`
	Fix      string      `json:"fix,omitempty"`
	To       []string    `json:"to,omitempty"` // mail only
	Received int         `json:"received"`     // number of deliveries
}

// ServeHTTP accepts a webhook delivery (Standard Webhooks, CloudEvents 1.0).
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Type    notify.Type `json:"type"`
		Time    string      `json:"time"`
		Subject string      `json:"subject"`
		Data    struct {
			Message string `json:"message"`
			Fix     string `json:"fix"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&event); err != nil || r.Method != http.MethodPost {
		http.Error(w, "send an event with POST", http.StatusBadRequest)
		return
	}
	s.add(Notification{
		Via: "webhook", ID: r.Header.Get("Webhook-Id"), Type: event.Type, Time: event.Time, Slug: event.Subject,
		Message: event.Data.Message, Fix: event.Data.Fix,
	})
	w.WriteHeader(http.StatusNoContent)
}

// Digest implements notify.Mailer.
func (s *Sink) Digest(_ context.Context, d notify.Digest) notify.Result {
	for _, e := range d.Events {
		s.add(Notification{
			Via: "mail", ID: e.ID, Type: e.Type, Time: e.Time.UTC().Format("2006-01-02T15:04:05Z"), Slug: e.Slug,
			Message: e.Message, Fix: e.Fix, To: d.Contacts,
		})
	}
	return notify.Result{Outcome: notify.Delivered}
}

func (s *Sink) add(n Notification) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold(n) {
		s.log.Info("sandbox.notification", "via", n.Via, "type", string(n.Type), "link", n.Slug, "message", n.Message, "to", strings.Join(n.To, ", "))
	}
	if err := s.write(n); err != nil {
		s.log.Warn("sandbox.notification.unwritten", "error", err.Error())
	}
}

// hold stores a notification, and reports whether it is new.
func (s *Sink) hold(n Notification) bool {
	for _, known := range s.held {
		if known.Via == n.Via && known.ID == n.ID {
			known.Received++
			return false
		}
	}
	n.Received = 1
	s.held = append(s.held, &n)
	s.held = s.held[max(0, len(s.held)-maxKept):]
	return true
}

func (s *Sink) write(n Notification) error {
	if s.file == "" {
		return nil
	}
	f, err := os.OpenFile(s.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(n), f.Close())
}

// Held returns the notifications that the sink holds, oldest first.
func (s *Sink) Held() []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Notification, len(s.held))
	for i, n := range s.held {
		all[i] = *n
	}
	return all
}

// Show answers with the notifications that the sink holds.
func (s *Sink) Show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(map[string][]Notification{"notifications": s.Held()}) // fails when the client is gone
}
