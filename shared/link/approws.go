package link

import (
	"context"

	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
)

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

// Add verifies the registration of an app of a link by a token, and stores it under a name. Errors: those of
// Service.Register; SlugTaken means that the name is taken.
func (r AppRows) Add(ctx context.Context, of Link, app string, a intake.Accepted, reader *intake.Reader) (Result, error) {
	if err := r.mayRegister(ctx, of.Organization, Slug(a.Slug)); err != nil {
		return Result{}, err
	}
	return r.add(ctx, of.Organization, a, reader, func(l *Link) { l.App, l.Of, l.Enrolled = app, of.Slug, false })
}

// Change changes a row, as Service.Patch does.
func (r AppRows) Change(ctx context.Context, l Link, p intake.Patch) (Result, error) {
	return r.patch(ctx, l, "*", p)
}

// Delete removes a row and its secret, as Service.Delete does.
func (r AppRows) Delete(ctx context.Context, l Link) error {
	return r.delete(ctx, l, l.Organization, "*")
}
