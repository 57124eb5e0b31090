package smartauth

import (
	"context"
	"encoding/json"
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
	Delete(ctx context.Context, of link.Link, app, clientID string) error
}

// NewEntra is what an organization sends of an app's own registration in Entra. What is absent stays.
type NewEntra struct {
	ClientID        string       `json:"clientId"`
	ClientSecret    secret.Value `json:"clientSecret"`
	SecretExpiresOn *string      `json:"secretExpiresOn"`
	Secret          ReadOnly     `json:"secret"`
}

// UnmarshalJSON refuses members that a registration does not have, as bodies of requests do.
func (e *NewEntra) UnmarshalJSON(data []byte) error {
	type plain NewEntra
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for name := range members {
		if !slices.Contains([]string{"clientId", "clientSecret", "secretExpiresOn", "secret"}, name) {
			p := problem.New(problem.MalformedBody, "The object entra has no member %.64q. Its members are clientId, clientSecret and secretExpiresOn.", name)
			p.Fields = []problem.Field{{Field: "entra", Code: "unknown_field", Message: "There is no such member.", Fix: "Leave it out."}}
			return p
		}
	}
	return json.Unmarshal(data, (*plain)(e))
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

// ofEntra names the members of entra in the mistakes of an error.
func ofEntra(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) == 0 {
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

// unregister removes a registration that an app has no longer. What fails here is left to the timer: see
// Named.
func (s *Service) unregister(ctx context.Context, l link.Link, app, clientID string) {
	if clientID == "" {
		return
	}
	const enough = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enough)
	defer cancel()
	_ = s.Registrations.Delete(ctx, l, app, clientID)
}

// unused removes a registration that was stored for an app which did not take it, unless another request has
// given it to the app meanwhile.
func (s *Service) unused(ctx context.Context, l link.Link, app, clientID string) {
	if now, _, err := s.app(ctx, l, app); problem.CodeOf(err) == problem.AppNotFound || err == nil && now.EntraClientID != clientID {
		s.unregister(ctx, l, app, clientID)
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
		return nil
	case err != nil:
		return err
	}
	a.Registration = Registration{Row: row, At: s.Now()}
	return nil
}

// allRegistered is registered for a list of apps.
func (s *Service) allRegistered(ctx context.Context, l link.Link, apps []App) error {
	const atOnce = 8
	return flight.Each(ctx, len(apps), atOnce, func(ctx context.Context, i int) error { return s.registered(ctx, l, &apps[i]) })
}

// Named implements [link.Apps].
func (s *Service) Named(ctx context.Context, registration link.Link) (bool, error) {
	l, err := s.Links.Get(ctx, registration.Organization, string(registration.Of))
	var a App
	if err == nil {
		a, _, err = s.app(ctx, l, registration.App)
	}
	switch problem.CodeOf(err) {
	case problem.LinkNotFound, problem.AppNotFound:
		return false, nil
	}
	return err == nil && a.EntraClientID == registration.ClientID && l.TenantID == registration.TenantID, err
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
				err = s.Registrations.Delete(ctx, l, a.ClientID, a.EntraClientID)
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
