package link

import (
	"context"
	"strings"
	"time"

	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
)

// AppPrefix begins the names of rows that are registrations of apps. No slug has it.
const AppPrefix = "app."

// ofApp reports whether a row is an app's registration, also if a version that knew of none has written it since.
func (l Link) ofApp() bool { return strings.HasPrefix(string(l.Slug), AppPrefix) }

// inLog is how lines of the log name a row: as its slug or, of an app's registration, as the path of the app.
func (l Link) inLog() string {
	if l.App != "" {
		return string(l.Of) + "/apps/" + l.App
	}
	return string(l.Slug)
}

// AppRows keeps rows that are registrations of apps (see Link.App): package application says what they
// are. They have the lives of links, and no method touches a link.
type AppRows struct{ *Service }

// Get returns the row of a name in whatever phase it is. Errors: LinkNotFound, UpstreamUnavailable.
func (r AppRows) Get(ctx context.Context, name Slug) (Link, error) {
	l, err := r.stores.Get(ctx, name)
	if err == nil && l.App == "" {
		err = explain.NotFound(string(name))
	}
	return l, explain.Store(err, string(name))
}

// Add verifies the registration of an app of a link by a token, and stores it under a name. The timer soon looks
// whether the app names it. Errors: those of Service.Register; SlugTaken means that the name is taken.
func (r AppRows) Add(ctx context.Context, of Link, app string, a intake.Accepted, reader *intake.Reader) (Result, error) {
	if err := r.mayRegister(ctx, of.Organization, Slug(a.Slug)); err != nil {
		return Result{}, err
	}
	return r.add(ctx, of.Organization, a, reader, func(l *Link) {
		l.App, l.Of, l.Enrolled, l.NextVerify = app, of.Slug, false, l.PhaseSince.Add(Grace+time.Minute)
	})
}

// Change changes a row as it was read, as Service.Patch does.
func (r AppRows) Change(ctx context.Context, l Link, p intake.Patch) (Result, error) {
	return r.patch(ctx, l, l.ETag(), p)
}

// Delete removes a row as it was read, and its secret, as Service.Delete does.
func (r AppRows) Delete(ctx context.Context, l Link) error {
	return r.delete(ctx, l, l.Organization, l.ETag())
}

// Follow gives the registration of an app the server and the audience of its link. It returns the row as it is
// then; the zero Link if it was changed meanwhile.
func (r AppRows) Follow(ctx context.Context, l, of Link) (Link, error) {
	return r.writeFinding(ctx, l, func(row *Link, _ time.Time) { row.Audience, row.FHIRServerURL = of.Audience, of.FHIRServerURL })
}
