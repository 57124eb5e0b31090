package application

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/explain"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// Registrations are those of the apps of a deployment's links.
type Registrations struct {
	Rows      link.AppRows
	AnyTarget bool             // as link.Deps.AnyTarget
	Now       func() time.Time // nil: time.Now
}

func (r Registrations) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// name is that of the row of an application of a tenant.
func name(tenantID, clientID string) link.Slug {
	const enough = 16
	sum := sha256.Sum256([]byte("application\n" + tenantID + "\n" + clientID))
	return link.Slug(link.AppPrefix + strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString(sum[:enough]), "=")))
}

// Get returns the registration of an app of a link. Errors: LinkNotFound, UpstreamUnavailable.
func (r Registrations) Get(ctx context.Context, of link.Link, app, clientID string) (link.Link, error) {
	l, err := r.Rows.Get(ctx, name(of.TenantID, clientID))
	if err == nil && (l.Phase != link.Live || l.Organization != of.Organization || l.Of != of.Slug || l.App != app) {
		return link.Link{}, explain.NotFound(string(of.Slug))
	}
	return l, err
}

// Put verifies the registration of an app of a link by a token, and stores it. If the app has that
// registration already, it gets the secret. Errors: InvalidFields, AppRegistrationShared,
// VerificationFailed, UpstreamUnavailable; nothing is stored then.
func (r Registrations) Put(ctx context.Context, of link.Link, app string, in intake.Application) (link.Result, error) {
	server, err := of.Server()
	if err != nil {
		return link.Result{}, err
	}
	reader := intake.NewReader(date.Of(r.now()), r.AnyTarget)
	accepted := reader.Application(in, verification.Target{Server: server, TenantID: of.TenantID, Audience: of.Audience, TokenOnly: true})
	if err := reader.Err(); err != nil {
		return link.Result{}, err
	}
	clientID := accepted.Target.ClientID
	switch known, err := r.Get(ctx, of, app, clientID); {
	case err == nil:
		change := intake.NewSecret{ClientSecret: in.ClientSecret, SecretExpiresOn: in.SecretExpiresOn}.Patch()
		change.FHIRServerURL, change.TenantID, change.Audience = &of.FHIRServerURL, &of.TenantID, &of.Audience
		return r.Rows.Change(ctx, known, change)
	case problem.CodeOf(err) != problem.LinkNotFound:
		return link.Result{}, err
	}
	if err := r.mayBeApps(ctx, of, clientID); err != nil {
		return link.Result{}, err
	}
	accepted.Slug, accepted.Description = string(name(of.TenantID, clientID)), of.Description
	result, err := r.Rows.Add(ctx, of, app, accepted, reader)
	if problem.CodeOf(err) == problem.SlugTaken {
		err = r.taken(ctx, of, app, clientID)
	}
	return result, err
}

// taken says why the name of an application is taken.
func (r Registrations) taken(ctx context.Context, of link.Link, app, clientID string) error {
	l, err := r.Rows.Get(ctx, name(of.TenantID, clientID))
	switch own := l.Organization == of.Organization && l.Of == of.Slug && l.App == app; {
	case err != nil && problem.CodeOf(err) != problem.LinkNotFound:
		return err
	case err != nil, l.Phase != link.Live, own:
		return problem.Unavailable(err, retryAfter, "Another request registers or removes the application %s for an app just now. Send the request again in a minute.", clientID)
	}
	return shared(clientID)
}

// retryAfter is how long another request is given to finish.
const retryAfter = time.Minute

// Free is nil unless an application of a tenant is an app's own. Errors: AppRegistrationShared,
// UpstreamUnavailable.
func (r Registrations) Free(ctx context.Context, tenantID, clientID string) error {
	l, err := r.Rows.Get(ctx, name(tenantID, clientID))
	switch {
	case problem.CodeOf(err) == problem.LinkNotFound:
		return nil
	case err == nil && (l.Phase == link.Live || l.Phase == link.Reserved):
		return shared(clientID)
	}
	return err
}

// Date changes when the secret of a registration ends. Errors: LinkNotFound, InvalidFields,
// UpstreamUnavailable.
func (r Registrations) Date(ctx context.Context, of link.Link, app, clientID, secretExpiresOn string) (link.Result, error) {
	l, err := r.Get(ctx, of, app, clientID)
	if err != nil {
		return link.Result{}, err
	}
	return r.Rows.Change(ctx, l, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: &secretExpiresOn}})
}

// Tend removes a registration that its app does not name (any more), when every request that may be about to
// write the app has ended; others get the server and the audience of the link that they are for. It returns what
// [link.Apps] says.
func (r Registrations) Tend(ctx context.Context, registration, of link.Link, named bool) (row link.Link, did string, err error) {
	used := registration.PhaseSince
	for _, at := range []time.Time{registration.Secret.Since, changing(registration)} { // the app is written after it
		if at.After(used) {
			used = at
		}
	}
	switch {
	case !named && r.now().Sub(used) >= link.Grace:
		if err = r.Delete(ctx, registration); problem.CodeOf(err) == problem.ChangedMeanwhile {
			return link.Link{}, "", nil
		}
		return link.Link{}, "removed a registration without an app", err
	case named && (of.Audience != registration.Audience || of.FHIRServerURL != registration.FHIRServerURL):
		row, err = r.Rows.Follow(ctx, registration, of)
		return row, "gave a registration the audience of its link", err
	}
	return registration, "", nil
}

// changing is when a change of the secret began; zero: none is under way.
func changing(registration link.Link) (since time.Time) {
	if registration.Change != nil {
		since = registration.Change.Since
	}
	return since
}

// Delete removes a registration as it was read, and its secret. One that is not there is gone. Errors:
// ChangedMeanwhile, UpstreamUnavailable.
func (r Registrations) Delete(ctx context.Context, registration link.Link) error {
	err := r.Rows.Delete(ctx, registration)
	if problem.CodeOf(err) == problem.LinkNotFound {
		return nil
	}
	return err
}

// mayBeApps is nil unless an application is that of a link of the organization, in the same tenant.
func (r Registrations) mayBeApps(ctx context.Context, of link.Link, clientID string) error {
	const atOnce = 200
	from := ""
	for {
		links, next, err := r.Rows.List(ctx, of.Organization, link.Filter{}, atOnce, from)
		if err != nil {
			return err
		}
		for _, l := range append(links, of) {
			if l.TenantID == of.TenantID && l.ClientID == clientID {
				return shared(clientID)
			}
		}
		if from = next; from == "" {
			return nil
		}
	}
}

func shared(clientID string) error {
	message := fmt.Sprintf("The application %s is used by another app, or by a link, of its tenant. Entra gives an application every scope that was ever consented to for it, so apps that share one would have each other's.", clientID)
	const fix = "Make another app registration in Entra."
	return problem.InField(problem.AppRegistrationShared, "clientId", message, fix)
}
