package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"fhirlink/shared/date"
)

// Type says what happened (CloudEvents 1.0 §3.1.1, "type").
type Type string

// The types of events.
const (
	SecretExpiring    Type = "fhirlink.secret.expiring"     // the days until the secret's end have passed a threshold
	SecretExpired     Type = "fhirlink.secret.expired"      // its date has passed, or Entra said so (AADSTS7000222)
	SecretDateMissing Type = "fhirlink.secret.date_missing" // it is not known when the secret ends
	SecretRotated     Type = "fhirlink.secret.rotated"      // the link has a new secret, or went back to the previous one
	LinkBroken        Type = "fhirlink.link.broken"         // a setting is wrong: no token, or no access
	LinkRecovered     Type = "fhirlink.link.recovered"      // it works again
	WebhookTest       Type = "fhirlink.webhook.test"        // a test was requested
)

// Event is one thing that happened to one link. It contains no secret. Ledgers keep it as JSON;
// receivers get [Event.CloudEvent].
type Event struct {
	ID           string // from [ID]; 1 to 64 letters, digits, '_' and '-'
	Type         Type
	Time         time.Time // when it happened, not when it was sent
	Organization string    // tenant id of the link's owner
	Slug         string    // "" when the event is not about a link
	App          string    // client id of the link's app that it is about; "" when it is about the link itself
	Description  string    // of the link
	Status       string    // of the link; "" when the event is not about a link
	SecretState  string    // "" when the event is not about a link
	ExpiresOn    string    // 2006-01-02; "" when not known
	DaysLeft     *int      // nil when not known
	Threshold    *int      // days left, as the threshold that SecretExpiring passed; nil for other types
	Code         string    // what is wrong: the code of a verification; "" when nothing is
	Message      string    // what happened, for people
	Fix          string    // what to do, for people; "" when there is nothing to do
}

// ID derives an event's ID from what the event is about. The same parts give the same ID, and
// different lists of parts give different IDs.
func ID(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash returns no error
		_, _ = h.Write([]byte(part))
	}
	return "msg_" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// ContentType is the media type of [Event.CloudEvent] (CloudEvents 1.0, JSON Event Format §3).
const ContentType = "application/cloudevents+json"

// envelope is an event in structured content mode, with context attributes beside the data.
type envelope struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            Type   `json:"type"`
	Subject         string `json:"subject,omitempty"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Data            data   `json:"data"`
}

type data struct {
	Organization string      `json:"organization"`
	Slug         string      `json:"slug,omitempty"`
	App          string      `json:"app,omitempty"`
	Description  string      `json:"description,omitempty"`
	Status       string      `json:"status,omitempty"`
	Secret       *secretData `json:"secret,omitempty"`
	Code         string      `json:"code,omitempty"`
	Message      string      `json:"message"`
	Fix          string      `json:"fix,omitempty"`
}

// secretData uses the names of the API's links. Only notifications have threshold.
type secretData struct {
	ExpiresOn *string `json:"expiresOn"`
	DaysLeft  *int    `json:"daysLeft"`
	State     string  `json:"state"`
	Threshold *int    `json:"threshold,omitempty"`
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CloudEvent returns the event in the JSON format of CloudEvents 1.0. An event without ID, Type,
// Time or Organization is an error.
func (e Event) CloudEvent() ([]byte, error) {
	if !idPattern.MatchString(e.ID) || e.Type == "" || e.Time.IsZero() || e.Organization == "" {
		return nil, fmt.Errorf("event %.80q cannot be written: it needs an ID of 1 to 64 letters, digits, '_' and '-', a type, a time and an organization", e.ID)
	}
	return json.Marshal(envelope{
		SpecVersion: "1.0", ID: e.ID, Type: e.Type, Subject: e.Slug,
		Source:          "urn:fhirlink:organization:" + e.Organization,
		Time:            date.At(e.Time).String(),
		DataContentType: "application/json",
		Data: data{
			Organization: e.Organization, Slug: e.Slug, App: e.App, Description: e.Description, Status: e.Status,
			Secret: e.secret(), Code: e.Code, Message: e.Message, Fix: e.Fix,
		},
	})
}

func (e Event) secret() *secretData {
	if e.SecretState == "" {
		return nil
	}
	s := &secretData{DaysLeft: e.DaysLeft, State: e.SecretState, Threshold: e.Threshold}
	if e.ExpiresOn != "" {
		s.ExpiresOn = &e.ExpiresOn
	}
	return s
}
