package smartauth

import (
	"context"
	"crypto/rand"
	"time"

	"fhirlink/shared/continuation"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

// AppsPage returns up to limit apps of a link, in the order of their client ids, and how to continue ("" at
// the end). Errors: LinkNotFound, SMARTNotEnabled, InvalidFields, UpstreamUnavailable.
func (s *Service) AppsPage(ctx context.Context, organization, slug string, limit int, from string) ([]App, string, error) {
	_, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return nil, "", err
	}
	list := "apps " + l.ID
	after, err := continuation.Parse(list, from)
	if err != nil {
		return nil, "", err
	}
	apps, err := s.apps(ctx, l)
	if err != nil {
		return nil, "", err
	}
	for len(apps) > 0 && apps[0].ClientID <= after {
		apps = apps[1:]
	}
	next := ""
	if len(apps) > limit {
		apps, next = apps[:limit], continuation.After(list, apps[limit-1].ClientID)
	}
	return apps, next, s.allRegistered(ctx, l, apps)
}

// apps reads all apps of a link, in the order of their client ids.
func (s *Service) apps(ctx context.Context, l link.Link) (apps []App, err error) {
	rows, err := s.Rows.List(ctx, partition(string(l.Slug)), appPrefix(l), "", maxApps+1)
	if err != nil {
		return nil, Unavailable(err)
	}
	for _, row := range rows {
		var a App
		if err := decode(row, &a); err != nil {
			return nil, err
		}
		apps = append(apps, a)
	}
	return apps, nil
}

// App returns an app of a link, and what will not work as it may expect. Errors: LinkNotFound, SMARTNotEnabled, AppNotFound,
// UpstreamUnavailable.
func (s *Service) App(ctx context.Context, organization, slug, clientID string) (a App, notes []string, err error) {
	settings, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return App{}, nil, err
	}
	if a, _, err = s.app(ctx, l, clientID); err == nil {
		err = s.registered(ctx, l, &a)
	}
	return a, a.notes(settings), err
}

func (s *Service) app(ctx context.Context, l link.Link, clientID string) (a App, row store.Row, err error) {
	k := appKey(l, clientID)
	if k.Check() == nil {
		if row, err = s.Rows.Row(ctx, k); err == nil {
			err = decode(row, &a)
		}
	}
	if err != nil {
		return App{}, row, Unavailable(err)
	}
	if a.LinkID != l.ID {
		return App{}, row, problem.New(problem.AppNotFound, "The link %q has no app %.128q. Check the client id (API: GET /api/links/%[1]s/apps lists the apps).", l.Slug, clientID)
	}
	return a, row, nil
}

// CreateApp makes an app. The client secret of a symmetric app is in this answer only; it is zero for
// others. Errors: LinkNotFound, SMARTNotEnabled, InvalidFields, BackendNeedsAsymmetric, AppExists,
// TooManyApps, UpstreamUnavailable.
func (s *Service) CreateApp(ctx context.Context, organization, slug string, in NewApp) (a App, clientSecret secret.Value, notes []string, err error) {
	settings, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return App{}, secret.Value{}, nil, err
	}
	if a, err = in.app(s.AnyTarget); err != nil {
		return App{}, secret.Value{}, nil, err
	}
	apps, err := s.apps(ctx, l)
	switch {
	case err != nil:
		return App{}, secret.Value{}, nil, err
	case len(apps) >= maxApps:
		return App{}, secret.Value{}, nil, tooManyApps(slug)
	}
	now := date.Stored(s.Now())
	a.ID, a.LinkID, a.Tag, a.CreatedAt, a.UpdatedAt = rand.Text(), l.ID, rand.Text(), now, now
	if a.Type == Symmetric {
		clientSecret = newSecret()
		a = a.withSecret(clientSecret, now, now)
	}
	_, row, err := s.app(ctx, l, a.ClientID)
	if err == nil {
		return App{}, secret.Value{}, nil, appExists(slug, a.ClientID)
	}
	if problem.CodeOf(err) != problem.AppNotFound {
		return App{}, secret.Value{}, nil, err
	}
	if err := s.suits(settings, l, in.willHave(a)); err != nil {
		return App{}, secret.Value{}, nil, err
	}
	if a.EntraClientID, err = s.register(ctx, settings.asking(l), a, in.Entra); err != nil {
		return App{}, secret.Value{}, nil, err
	}
	switch swapped, err := s.swap(ctx, row, a); {
	case err != nil:
		s.unused(ctx, l, a.ClientID, a.EntraClientID)
		return App{}, secret.Value{}, nil, err
	case !swapped:
		s.unused(ctx, l, a.ClientID, a.EntraClientID)
		return App{}, secret.Value{}, nil, appExists(slug, a.ClientID)
	}
	if err := s.recount(ctx, l, a); err != nil {
		s.unused(ctx, l, a.ClientID, a.EntraClientID)
		return App{}, secret.Value{}, nil, err
	}
	s.registeredNow(ctx, l, &a)
	return a, clientSecret, a.notes(settings), nil
}

func tooManyApps(slug string) error {
	return problem.New(problem.TooManyApps, "The link %q has %d apps, which is the most. Delete one that nobody uses.", slug, maxApps)
}

// recount takes a new app away again if others that were made at the same time are too many with it.
func (s *Service) recount(ctx context.Context, l link.Link, made App) error {
	apps, err := s.apps(ctx, l)
	if err != nil || len(apps) <= maxApps {
		return err
	}
	a, row, err := s.app(ctx, l, made.ClientID)
	if err == nil && a.ID == made.ID {
		_, err = s.remove(ctx, row)
	}
	if err != nil {
		return err
	}
	return tooManyApps(string(l.Slug))
}

func appExists(slug, clientID string) error {
	message, fix := "The link "+slug+" has an app "+clientID+" already.", "Choose another client id, or change that app."
	return problem.InField(problem.AppExists, "clientId", message, fix)
}

// ChangeApp changes the fields that were sent. Errors: those of App, InvalidFields,
// BackendNeedsAsymmetric, IfMatchRequired, ChangedMeanwhile.
func (s *Service) ChangeApp(ctx context.Context, organization, slug, clientID string, p Precondition, in NewApp) (changed App, notes []string, err error) {
	settings, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return App{}, nil, err
	}
	change := func(a App) (App, error) {
		if err := (Precondition{IfMatch: p.IfMatch}).check(a.ETag(), "settings of the app"); err != nil {
			return App{}, err
		}
		return in.change(a, s.AnyTarget)
	}
	before, _, err := s.app(ctx, l, clientID)
	if err == nil {
		changed, err = change(before)
	}
	if err == nil {
		err = s.suits(settings, l, in.willHave(changed))
	}
	if err != nil {
		return App{}, nil, err
	}
	registered, err := s.register(ctx, settings.asking(l), before, in.Entra)
	if err != nil {
		return App{}, nil, err
	}
	changed, err = s.updateApp(ctx, l, clientID, func(a App) (App, error) {
		if in.Entra != nil {
			if a.ID != before.ID || a.EntraClientID != before.EntraClientID {
				return App{}, problem.New(problem.ChangedMeanwhile, "The app %q was made anew, or its registration in Entra was changed, while this request was under way. Read it again, look at what changed, and send the request with its ETag.", clientID)
			}
			a.EntraClientID = registered
		}
		return change(a)
	})
	if err != nil {
		s.unused(ctx, l, clientID, registered)
		return App{}, nil, butEntra(err, before, registered, in.Entra)
	}
	if before.EntraClientID != changed.EntraClientID {
		s.unused(ctx, l, clientID, before.EntraClientID)
	}
	s.registeredNow(ctx, l, &changed)
	return changed, changed.notes(settings), nil
}

// NewAppSecret gives a symmetric app another client secret. If-Match is checked when it was sent. made is
// zero if the secret came with the request. Errors: those of App, InvalidFields, ChangedMeanwhile.
func (s *Service) NewAppSecret(ctx context.Context, organization, slug, clientID string, p Precondition, in NewSecret) (changed App, made secret.Value, notes []string, err error) {
	settings, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return App{}, secret.Value{}, nil, err
	}
	clientSecret, overlap, err := in.read()
	if err != nil {
		return App{}, secret.Value{}, nil, err
	}
	changed, err = s.updateApp(ctx, l, clientID, func(a App) (App, error) {
		if p.IfMatch != "" {
			if err := (Precondition{IfMatch: p.IfMatch}).check(a.ETag(), "settings of the app"); err != nil {
				return App{}, err
			}
		}
		if a.Type != Symmetric {
			return App{}, problem.Invalid(problem.Field{
				Field: "type", Code: "app_has_no_secret", Message: "The app is of the type " + string(a.Type) + ", which has no client secret.", Fix: "Make a symmetric app instead. The key of an asymmetric app is changed with PATCH, by jwks or jwksUri.",
			})
		}
		now := s.Now()
		return a.withSecret(clientSecret, now.Add(time.Duration(overlap)*time.Hour), now), nil
	})
	if err != nil {
		return App{}, secret.Value{}, nil, err
	}
	if in.ClientSecret.IsZero() {
		made = clientSecret
	}
	s.registeredNow(ctx, l, &changed)
	return changed, made, changed.notes(settings), nil
}

// DeleteApp removes an app: what it was granted is dead. Errors: those of App, IfMatchRequired,
// ChangedMeanwhile.
func (s *Service) DeleteApp(ctx context.Context, organization, slug, clientID string, p Precondition) error {
	_, l, err := s.enabled(ctx, organization, slug)
	if err != nil {
		return err
	}
	for range attempts {
		a, row, err := s.app(ctx, l, clientID)
		if err != nil {
			return err
		}
		if err := (Precondition{IfMatch: p.IfMatch}).check(a.ETag(), "settings of the app"); err != nil {
			return err
		}
		gone, err := s.remove(ctx, row)
		if gone {
			s.unused(ctx, l, clientID, a.EntraClientID)
		}
		if err != nil || gone {
			return err
		}
	}
	return busy("settings of the app")
}

// updateApp changes an app; change may run more than once.
func (s *Service) updateApp(ctx context.Context, l link.Link, clientID string, change func(App) (App, error)) (App, error) {
	for range attempts {
		a, row, err := s.app(ctx, l, clientID)
		if err != nil {
			return App{}, err
		}
		if a, err = change(a); err != nil {
			return App{}, err
		}
		a.Tag, a.UpdatedAt = rand.Text(), date.Stored(s.Now())
		switch swapped, err := s.swap(ctx, row, a); {
		case err != nil:
			return App{}, err
		case swapped:
			return a, nil
		}
	}
	return App{}, busy("settings of the app")
}
