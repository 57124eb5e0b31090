package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"fhirlink/shared/notify"
)

// WebhookURL is an address of the sandbox that takes whatever a webhook sends.
const WebhookURL = "https://" + sinkHost + "/"

const sinkHost = "webhooks." + zone

// maxKept is how many notifications a Sink remembers; the oldest go first.
const maxKept = 1000

// Sink receives webhooks and mail for people who try notifications out: it logs each one and
// shows what it holds. It remembers ids, so that one which arrives again is not shown twice.
type Sink struct {
	Log *slog.Logger

	mu   sync.Mutex
	held []*Notification
}

// Notification is one event as it arrived.
type Notification struct {
	Via      string      `json:"via"`  // webhook or mail
	ID       string      `json:"id"`   // webhook-id; of mail, the event's
	Type     notify.Type `json:"type"` // e.g. fhirlink.secret.expiring
	Time     string      `json:"time"` // when it happened
	Slug     string      `json:"slug"`
	Message  string      `json:"message"`
	Fix      string      `json:"fix,omitempty"`
	To       []string    `json:"to,omitempty"` // of mail
	Received int         `json:"received"`     // how often it arrived
}

// ServeHTTP takes a webhook (Standard Webhooks, CloudEvents 1.0).
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

// Digest takes a mail; it is notify.Mailer's.
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
	for _, known := range s.held {
		if known.Via == n.Via && known.ID == n.ID {
			known.Received++
			return
		}
	}
	n.Received = 1
	s.held = append(s.held, &n)
	s.held = s.held[max(0, len(s.held)-maxKept):]
	s.Log.Info("sandbox.notification", "via", n.Via, "type", string(n.Type), "link", n.Slug, "message", n.Message, "to", strings.Join(n.To, ", "))
}

// Held is what the sink holds, the oldest first.
func (s *Sink) Held() []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Notification, len(s.held))
	for i, n := range s.held {
		all[i] = *n
	}
	return all
}

// Show answers with what the sink holds.
func (s *Sink) Show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(map[string][]Notification{"notifications": s.Held()}) // to a client that is gone
}
