package ehr

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/smartauth/redirect"
	"fhirlink/shared/store"
)

// Prefix begins every launch, so that scanners recognize one.
const Prefix = "fll_"

// Context is what an app learns of what the user is working on.
type Context struct {
	secret.Hidden

	Patient   string // id of the patient; empty: none
	Encounter string

	FHIRContext       []json.RawMessage `json:",omitempty"` // objects as the EHR has sent them, without spaces
	Intent            string            `json:",omitzero"`
	NeedPatientBanner *bool             `json:",omitzero"` // nil, and empty texts below: as the link's settings have it
	SmartStyleURL     string            `json:",omitzero"`
	Tenant            string            `json:",omitzero"`
}

// Launch is what is kept for an app that is opened.
type Launch struct {
	secret.Hidden

	SettingsID string // of the time for which SMART was switched on
	Served     string // the FHIR server and the tenant that the link had
	AppID      string `json:",omitzero"` // empty: any app of the link may use it
	User       string `json:",omitzero"` // object id at Entra, in lower case; empty: whoever signs in
	Context    Context
}

// isFor reports whether a server, as it is now, may use the launch for an app, as that is now.
func (l Launch) isFor(server smartauth.Server, app smartauth.App) bool {
	return l.SettingsID == server.Settings.ID && l.Served == server.Served() && (l.AppID == "" || l.AppID == app.ID)
}

// IsOf reports whether whoever has signed in is the user for whom the EHR opens the app.
func (l Launch) IsOf(objectID string) bool {
	return l.User == "" || strings.EqualFold(l.User, objectID)
}

// Servers is the part of [smartauth.Service] that knows the authorization servers of an organization.
type Servers interface {
	Settings(ctx context.Context, organization, slug string) (smartauth.Server, error)
}

// Deps is what a Service works with. All are required.
type Deps struct {
	Servers Servers
	Rows    store.Rows
	Sealer  *seal.Sealer
	Now     func() time.Time
}

// Service keeps launches for the EHRs of organizations.
type Service struct{ Deps }

// New makes a Service. It does nothing else.
func New(d Deps) *Service { return &Service{d} }

// Created is a launch as its EHR gets it.
type Created struct {
	secret.Hidden

	Launch    string // the value of the parameter launch
	ExpiresAt time.Time
	URL       string   // opens the app; empty: the launch names no app, or that has no launchUri
	Notes     []string // what the EHR should know
}

// Create keeps a launch of a link of an organization. Errors: LinkNotFound, SMARTNotEnabled, InvalidFields,
// UserRequired, AppNotFound, UpstreamUnavailable.
func (s *Service) Create(ctx context.Context, organization, slug string, in NewLaunch) (Created, error) {
	server, err := s.Servers.Settings(ctx, organization, slug)
	if err != nil {
		return Created{}, err
	}
	read, err := in.read(server)
	if err != nil {
		return Created{}, err
	}
	ends := s.Now().Truncate(time.Second).Add(read.life) // rows end at whole seconds
	h := handle.New(ends)
	if err := handle.Keep(ctx, handle.Store{Rows: s.Rows, Sealer: s.Sealer}, handle.Launch, h, server.Link.ID, ends, read.launch); err != nil {
		return Created{}, smartauth.Unavailable(err)
	}
	made := Created{Launch: Prefix + string(h), ExpiresAt: ends, Notes: read.notes}
	if read.app.LaunchURI != "" {
		made.URL = redirect.WithQuery(read.app.LaunchURI, [][2]string{{"iss", read.iss}, {"launch", made.Launch}})
	}
	return made, nil
}

// appOf returns the app that a launch names; none if it names none. Error: AppNotFound.
func appOf(server smartauth.Server, clientID string) (smartauth.App, error) {
	app, ok := server.App(clientID)
	switch {
	case clientID == "":
		return smartauth.App{}, nil
	case !ok:
		return smartauth.App{}, problem.New(problem.AppNotFound, "The link %q has no app %.128q. Check clientId, or leave it out: then any app of the link may use the launch.", server.Link.Slug, clientID)
	case app.Disabled:
		return smartauth.App{}, problem.New(problem.AppNotFound, "The app %.128q of the link %q is switched off, so nobody could use the launch. Switch it on (PATCH it with \"enabled\": true), or name another one.", clientID, server.Link.Slug)
	case !app.May(smartauth.AuthorizationCode):
		return smartauth.App{}, problem.New(problem.AppNotFound, "The app %.128q of the link %q is a backend service, which no user opens. Name another one.", clientID, server.Link.Slug)
	}
	return app, nil
}

// Look returns what was kept for a value of the parameter launch, if it may be used at a server for an app. It
// does not spend it: see [handle.Store.Spend]. Errors: [handle.ErrUnknown], also for one of another link or
// app, or from before either was made anew; [handle.ErrUsed]; [handle.ErrEnded]; and those of the store and of
// the sealing keys.
func Look(ctx context.Context, s handle.Store, server smartauth.Server, app smartauth.App, value string, now time.Time) (Launch, store.Row, error) {
	text, ok := strings.CutPrefix(value, Prefix)
	if !ok {
		return Launch{}, store.Row{}, handle.ErrUnknown
	}
	h := handle.Handle(text)
	l, row, err := handle.Look[Launch](ctx, s, handle.Launch, h, server.Link.ID)
	switch {
	case errors.Is(err, handle.ErrUnknown) && h.Over(now): // it may have been removed since
		return Launch{}, row, handle.ErrEnded
	case err != nil && !errors.Is(err, handle.ErrUsed) && !errors.Is(err, handle.ErrEnded):
		return Launch{}, row, err
	case !l.isFor(server, app):
		return Launch{}, row, handle.ErrUnknown
	}
	return l, row, err
}
