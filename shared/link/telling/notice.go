package telling

import (
	"time"
	"unicode/utf8"

	"fhirlink/shared/date"
	"fhirlink/shared/notify"
)

// About is what people are told about: a link, or the registration of one of its apps.
type About struct {
	Row           string // names the row that has the notices
	LinkID        string // of that row
	Organization  string
	Slug          string // of the link
	App           string // client id of the app; empty: it is the link itself
	Description   string
	Contacts      []string // e-mail addresses
	SecretVersion string   // the current one
}

// Notice is something that people are to be told about a link.
//
// Its ID is made of the link's ID, the secret's version, the type, the threshold and the date
// that it is about. Every attempt of every delivery carries it.
type Notice struct {
	ID        string
	Type      notify.Type
	At        time.Time // when it came about
	Version   string    `json:",omitempty"` // of the secret that it is about
	Status    string    `json:",omitempty"` // of the link, then
	State     string    `json:",omitempty"` // of the secret, then
	ExpiresOn date.Date `json:",omitzero"`
	Threshold int       `json:",omitempty"` // of notify.SecretExpiring: the days that were passed

	Code    string `json:",omitempty"` // of notify.LinkBroken: what is wrong
	Message string `json:",omitempty"`
	Fix     string `json:",omitempty"`

	// Deliveries are those still to be made; nil while the receivers are not yet known.
	Deliveries []Delivery `json:",omitempty"`
}

// Delivery is one notice on its way to one receiver. A run of the timer claims it before it
// sends, so that overlapping runs do not send at once. It leaves the row when the receiver has
// acknowledged it.
type Delivery struct {
	Target   notify.Target
	Next     time.Time // when the next attempt is due; while it is claimed, when the claim lapses
	Claim    string    `json:",omitempty"` // random; of the run that is sending it
	Attempts int       `json:",omitempty"` // that failed
}

// aboutEnd reports whether the notice is about the end of its version of the secret.
func (n Notice) aboutEnd() bool {
	return n.Type == notify.SecretExpiring || n.Type == notify.SecretExpired || n.Type == notify.SecretDateMissing
}

// untouched reports whether none of the deliveries that are left was ever begun.
func (n Notice) untouched() bool {
	for _, d := range n.Deliveries {
		if d.Claim != "" || d.Attempts > 0 {
			return false
		}
	}
	return true
}

// due is when the timer must look at the notice.
func (n Notice) due() (due time.Time) {
	if n.Deliveries == nil {
		return n.At
	}
	for _, d := range n.Deliveries {
		if due.IsZero() || d.Next.Before(due) {
			due = d.Next
		}
	}
	return due
}

// maxText bounds message and fix, in characters.
const maxText = 240

// cut keeps a text within maxText characters.
func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	return string([]rune(s)[:maxText-1]) + "…"
}
