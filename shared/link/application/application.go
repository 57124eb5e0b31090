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

// name is that of the row of an application of a tenant.
func name(tenantID, clientID string) link.Slug {
	const enough = 16
	sum := sha256.Sum256([]byte("application\n" + tenantID + "\n" + clientID))
	return link.Slug("app." + strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString(sum[:enough]), "=")))
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
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	reader := intake.NewReader(date.Of(now()), r.AnyTarget)
	accepted := reader.Application(in, verification.Target{Server: server, TenantID: of.TenantID, Audience: of.Audience, TokenOnly: true})
	if err := reader.Err(); err != nil {
		return link.Result{}, err
	}
	clientID := accepted.Target.ClientID
	switch known, err := r.Get(ctx, of, app, clientID); {
	case err == nil:
		return r.Rows.Change(ctx, known, intake.NewSecret{ClientSecret: in.ClientSecret, SecretExpiresOn: in.SecretExpiresOn}.Patch())
	case problem.CodeOf(err) != problem.LinkNotFound:
		return link.Result{}, err
	}
	if err := r.mayBeApps(ctx, of, clientID); err != nil {
		return link.Result{}, err
	}
	accepted.Slug, accepted.Description = string(name(of.TenantID, clientID)), of.Description
	result, err := r.Rows.Add(ctx, of, app, accepted, reader)
	if problem.CodeOf(err) == problem.SlugTaken {
		err = shared(clientID)
	}
	return result, err
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

// Delete removes a registration and its secret. One that is not there is gone. Error: UpstreamUnavailable.
func (r Registrations) Delete(ctx context.Context, of link.Link, app, clientID string) error {
	l, err := r.Get(ctx, of, app, clientID)
	if err == nil {
		err = r.Rows.Delete(ctx, l)
	}
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
	const fix = "Make an app registration in Entra for this app alone."
	e := problem.New(problem.AppRegistrationShared, "%s %s", message, fix)
	e.Fields = []problem.Field{{Field: "clientId", Code: string(problem.AppRegistrationShared), Message: message, Fix: fix}}
	return e
}
