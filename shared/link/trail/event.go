package trail

import (
	"context"
	"fmt"
	"math"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/date"
)

// Event is one entry of the trail. It holds no secret and no token.
type Event struct {
	ID           string // sorts the latest first
	At           time.Time
	Organization string // of the link's owner
	Slug         string
	App          string `json:",omitempty"` // client id of the link's app that it is about; empty: it is about the link
	LinkID       string `json:",omitempty"` // of the registration
	Action       Action
	Outcome      string // "ok", or a code: of problem, of a verification, or of Entra's answer
	By           Actor
}

// Action is what was done.
type Action string

// The actions of a trail.
const (
	Registered    Action = "register"
	Verified      Action = "verify"
	Changed       Action = "change"        // of fields
	SecretChanged Action = "change_secret" // with or without other fields
	Deleted       Action = "delete"
	TokenIssued   Action = "token"           // once per caller and UTC hour
	FellBack      Action = "fall_back"       // the previous secret stands in for the current one
	Retired       Action = "retire_previous" // the previous secret was disabled
)

// OK is the outcome of what succeeded.
const OK = "ok"

// Actor is who did it; the zero Actor is this service itself.
type Actor struct {
	Organization string `json:",omitempty"` // tenant id
	ObjectID     string `json:",omitempty"` // of the user or service principal
	AppID        string `json:",omitempty"` // client id of the application that was used
	App          bool   `json:",omitempty"` // an application by itself, without a user
}

// ActorOf is the caller on whose behalf a request runs.
func ActorOf(ctx context.Context) Actor {
	c, _ := caller.From(ctx) // without one, it is the timer
	return Actor{Organization: c.Organization, ObjectID: c.ObjectID, AppID: c.AppID, App: c.App}
}

// ID is the ID of an event at a time. IDs of later events sort before those of earlier ones.
func ID(at time.Time, unique string) string {
	return fmt.Sprintf("%019d-%s", math.MaxInt64-at.UnixMicro(), unique)
}

// Stored is e as every Store keeps it: its time in UTC and cut to the microsecond.
func (e Event) Stored() Event {
	e.At = date.Stored(e.At)
	return e
}
