package smartauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/flight"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// Registrations keeps the registrations that apps have of their own in Entra; [application.Registrations]
// implements it.
type Registrations interface {
	Get(ctx context.Context, of link.Link, app, clientID string) (link.Link, error)
	Put(ctx context.Context, of link.Link, app string, in intake.Application) (link.Result, error)
	Date(ctx context.Context, of link.Link, app, clientID, secretExpiresOn string) (link.Result, error)
	Delete(ctx context.Context, registration link.Link) error
	Tend(ctx context.Context, registration, of link.Link, named bool) (row link.Link, did string, err error)
	Free(ctx context.Context, tenantID, clientID string) error
}

// NewEntra is what an organization sends of an app's own registration in Entra. What is absent stays.
type NewEntra struct {
	ClientID        string       `json:"clientId"`
	ClientSecret    secret.Value `json:"clientSecret"`
	SecretExpiresOn *string      `json:"secretExpiresOn"`
	Secret          ReadOnly     `json:"secret"`
}

// willHave returns an app with the registration that is sent, if one is.
func (in NewApp) willHave(a App) App {
	if in.Entra != nil && in.Entra.ClientID != "" {
		a.EntraClientID = in.Entra.ClientID
	}
	return a
}

// register verifies and stores what was sent of an app's registration, and returns the client id that the app
// has in Entra then. Errors: InvalidFields, AppRegistrationShared, VerificationFailed, UpstreamUnavailable.
func (s *Service) register(ctx context.Context, l link.Link, a App, in *NewEntra) (clientID string, err error) {
	if in == nil {
		return a.EntraClientID, nil
	}
	clientID = strings.ToLower(strings.TrimSpace(in.ClientID))
	if clientID == "" {
		clientID = a.EntraClientID
	}
	ends := ""
	if in.SecretExpiresOn != nil {
		ends = *in.SecretExpiresOn
	}
	var result link.Result
	switch known := clientID != "" && clientID == a.EntraClientID; {
	case known && in.ClientSecret.IsZero() && in.SecretExpiresOn == nil:
		return clientID, nil
	case known && in.ClientSecret.IsZero():
		result, err = s.Registrations.Date(ctx, l, a.ClientID, clientID, ends)
		if problem.CodeOf(err) == problem.LinkNotFound { // its row is gone
			err = problem.Invalid(problem.Field{Field: "clientSecret", Code: "required", Message: "The registration of the app is not kept any more.", Fix: "Send clientSecret, too."})
		}
	default:
		result, err = s.Registrations.Put(ctx, l, a.ClientID, intake.Application{ClientID: clientID, ClientSecret: in.ClientSecret, SecretExpiresOn: ends})
	}
	if err != nil {
		return "", ofEntra(err)
	}
	return result.Link.ClientID, nil
}

// ofEntra says an error of a registration as one of the app's member entra.
func ofEntra(err error) error {
	var p *problem.Error
	switch {
	case problem.CodeOf(err) == problem.ChangedMeanwhile:
		return problem.New(problem.ChangedMeanwhile, "Another request changes the app's registration in Entra just now, so this one did not change it. Read the app again in a minute, and send the request with its ETag.")
	case !errors.As(err, &p) || len(p.Fields) == 0:
		return err
	}
	told := *p
	told.Fields = slices.Clone(p.Fields)
	for i, f := range told.Fields {
		if slices.Contains([]string{"clientId", "clientSecret", "secretExpiresOn"}, f.Field) {
			told.Fields[i].Field = "entra." + f.Field
		}
	}
	return &told
}

// unused removes a registration that an app does not name, or names no longer, unless another request has given
// it to the app meanwhile. What fails here is left to the timer: see Tend.
func (s *Service) unused(ctx context.Context, l link.Link, app, clientID string) {
	if clientID == "" {
		return
	}
	const enough = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enough)
	defer cancel()
	registration, err := s.Registrations.Get(ctx, l, app, clientID)
	if err != nil {
		return
	}
	if now, _, err := s.app(ctx, l, app); problem.CodeOf(err) == problem.AppNotFound || err == nil && now.EntraClientID != clientID {
		_ = s.Registrations.Delete(ctx, registration)
	}
}

// registered fills in what is known of an app's registration. Error: UpstreamUnavailable.
func (s *Service) registered(ctx context.Context, l link.Link, a *App) error {
	if a.EntraClientID == "" {
		return nil
	}
	row, err := s.Registrations.Get(ctx, l, a.ClientID, a.EntraClientID)
	switch {
	case problem.CodeOf(err) == problem.LinkNotFound:
		row = link.Link{}
	case err != nil:
		return err
	}
	a.Registration = Registration{Row: row, At: s.Now()}
	return nil
}

// registeredNow is registered after a change: that has been made, and must be answered, whatever can be read now.
func (s *Service) registeredNow(ctx context.Context, l link.Link, a *App) {
	_ = s.registered(ctx, l, a)
}

// butEntra says of a change that was not made that the new secret of the app's registration, or its date, was
// stored before.
func butEntra(err error, before App, registered string, sent *NewEntra) error {
	var p *problem.Error
	if sent == nil || registered != before.EntraClientID || sent.ClientSecret.IsZero() && sent.SecretExpiresOn == nil || !errors.As(err, &p) {
		return err
	}
	told := *p
	told.Detail += " What was sent of the secret in entra has been stored before that."
	return &told
}

// allRegistered is registered for a list of apps.
func (s *Service) allRegistered(ctx context.Context, l link.Link, apps []App) error {
	const atOnce = 8
	return flight.Each(ctx, len(apps), atOnce, func(ctx context.Context, i int) error { return s.registered(ctx, l, &apps[i]) })
}

// Tend implements [link.Apps].
func (s *Service) Tend(ctx context.Context, registration link.Link) (row link.Link, did string, err error) {
	l, err := s.Links.Get(ctx, registration.Organization, string(registration.Of))
	var a App
	if err == nil {
		a, _, err = s.app(ctx, l, registration.App)
	}
	var settings Settings
	if err == nil {
		settings, _, err = s.settings(ctx, l)
	}
	switch problem.CodeOf(err) {
	case problem.LinkNotFound, problem.AppNotFound:
		return s.Registrations.Tend(ctx, registration, link.Link{}, false)
	case problem.SMARTNotEnabled: // the apps stay for the day when it is
		err = nil
	}
	if err != nil {
		return link.Link{}, "looked for the app of a registration", err
	}
	named := a.EntraClientID == registration.ClientID && l.TenantID == registration.TenantID
	return s.Registrations.Tend(ctx, registration, settings.asking(l), named)
}

// Free implements [link.Apps].
func (s *Service) Free(ctx context.Context, tenantID, clientID string) error {
	return s.Registrations.Free(ctx, tenantID, clientID)
}

// Removed implements [link.Apps]: it removes the settings and the apps of a link, with their registrations. What
// was granted ended when the link was marked.
func (s *Service) Removed(ctx context.Context, l link.Link) error {
	row, err := s.Rows.Row(ctx, settingsKey(string(l.Slug)))
	var settings Settings
	if err == nil {
		err = decode(row, &settings)
	}
	if err == nil && settings.LinkID == l.ID {
		err = s.removeAll(ctx, row)
	}
	for err == nil {
		apps, failed := s.Rows.List(ctx, partition(string(l.Slug)), appPrefix(l), "", maxApps)
		if failed != nil || len(apps) == 0 {
			return failed
		}
		for _, row := range apps {
			var a App
			if err = decode(row, &a); err == nil && a.EntraClientID != "" {
				err = s.deregister(ctx, l, a)
			}
			if err == nil {
				err = s.removeAll(ctx, row)
			}
			if err != nil {
				return err
			}
		}
	}
	return err
}

// deregister removes the registration of an app.
func (s *Service) deregister(ctx context.Context, l link.Link, a App) error {
	registration, err := s.Registrations.Get(ctx, l, a.ClientID, a.EntraClientID)
	if err == nil {
		err = s.Registrations.Delete(ctx, registration)
	}
	if problem.CodeOf(err) == problem.LinkNotFound {
		return nil
	}
	return err
}
