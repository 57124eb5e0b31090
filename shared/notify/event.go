package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// Type says what happened (CloudEvents 1.0 §3.1.1, "type").
type Type string

// The types of events.
const (
	SecretExpiring    Type = "fhirlink.secret.expiring"     // the secret's end has come nearer past a threshold
	SecretExpired     Type = "fhirlink.secret.expired"      // its date has passed, or Entra said so (AADSTS7000222)
	SecretDateMissing Type = "fhirlink.secret.date_missing" // nobody knows when the secret ends
	SecretRotated     Type = "fhirlink.secret.rotated"      // the link has a new secret, or fell back to the one before
	LinkBroken        Type = "fhirlink.link.broken"         // a setting is wrong: no token, or no access
	LinkRecovered     Type = "fhirlink.link.recovered"      // it works again
	WebhookTest       Type = "fhirlink.webhook.test"        // somebody asked for a test
)

// Event is one thing that happened to one link. It holds no secret. It is kept in ledgers as
// JSON; what receivers get is [Event.CloudEvent].
type Event struct {
	ID           string // of ID; 1 to 64 letters, digits, '_' and '-'
	Type         Type
	Time         time.Time // when it happened, not when it was sent
	Organization string    // tenant id of the link's owner
	Slug         string    // "" when it is about no link
	Description  string    // of the link
	Status       string    // of the link; "" when it is about no link
	SecretState  string    // "" when it is about no link
	ExpiresOn    string    // 2006-01-02; "" when not known
	DaysLeft     *int      // nil when not known
	Threshold    *int      // the days left that were passed, of SecretExpiring; nil for other types
	Code         string    // what is wrong: a code of a verification, "" when nothing is
	Message      string    // what happened, for people
	Fix          string    // what to do, for people; "" when nothing is to be done
}

// ID makes an event's ID of what it is about. The same parts give the same ID; no two lists
// of parts give one.
func ID(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash has no error
		_, _ = h.Write([]byte(part))
	}
	return "msg_" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// ContentType is the media type of CloudEvent (CloudEvents 1.0, JSON Event Format §3).
const ContentType = "application/cloudevents+json"

// envelope is an event in structured content mode, context attributes beside the data.
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
	Description  string      `json:"description,omitempty"`
	Status       string      `json:"status,omitempty"`
	Secret       *secretData `json:"secret,omitempty"`
	Code         string      `json:"code,omitempty"`
	Message      string      `json:"message"`
	Fix          string      `json:"fix,omitempty"`
}

// secretData has the names that the API's links have; threshold is of notifications only.
type secretData struct {
	ExpiresOn *string `json:"expiresOn"`
	DaysLeft  *int    `json:"daysLeft"`
	State     string  `json:"state"`
	Threshold *int    `json:"threshold,omitempty"`
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CloudEvent is the event in the JSON format of CloudEvents 1.0. The error is about an event
// that was made wrongly: no ID, Type, Time or Organization.
func (e Event) CloudEvent() ([]byte, error) {
	if !idPattern.MatchString(e.ID) || e.Type == "" || e.Time.IsZero() || e.Organization == "" {
		return nil, fmt.Errorf("event %.80q cannot be written: it needs an ID of 1 to 64 letters, digits, '_' and '-', a type, a time and an organization", e.ID)
	}
	return json.Marshal(envelope{
		SpecVersion: "1.0", ID: e.ID, Type: e.Type, Subject: e.Slug,
		Source:          "urn:fhirlink:organization:" + e.Organization,
		Time:            e.Time.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano),
		DataContentType: "application/json",
		Data: data{
			Organization: e.Organization, Slug: e.Slug, Description: e.Description, Status: e.Status,
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
