package smartapp

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/date"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
)

// clinic is a link that is prepared when somebody asks for it: the sandbox's clinic, whose apps get access tokens of
// one kind.
type clinic struct {
	slug, description string
	tokens            smartauth.Tokens
	apps              []registration
}

// registration is an app to register. With Entra's tokens it has an application of its own in Entra.
type registration struct {
	clientID, name string
	data           []string // scopes for data that it may be granted
	entraID        string   // empty: none
	entraSecret    string
}

// clinics are all of them. Entra puts every scope of an application into its tokens, and Microsoft's servers
// refuse tokens that mix patient/ and user/ scopes, so that with Entra's tokens there are two apps.
var clinics = []clinic{
	{"good-health-clinic", "Good Health Clinic", smartauth.Own, []registration{
		{"sandbox-app", "Sandbox app", []string{"patient/*.cruds", "user/*.cruds"}, "", ""},
	}},
	{"good-health-clinic-entra", "Good Health Clinic, by Entra’s tokens", smartauth.OfEntra, []registration{
		{"sandbox-patient-app", "Sandbox app for patient/ scopes", []string{"patient/*.cruds"}, sandbox.AppClientID, sandbox.AppSecret},
		{"sandbox-user-app", "Sandbox app for user/ scopes", []string{"user/*.cruds"}, sandbox.UserAppClientID, sandbox.UserAppSecret},
	}},
}

// clinicOf returns the link with a slug, if it is prepared here.
func clinicOf(slug string) (clinic, bool) {
	i := slices.IndexFunc(clinics, func(c clinic) bool { return c.slug == slug })
	if i < 0 {
		return clinic{}, false
	}
	return clinics[i], true
}

// scopes are the most that the app may be granted.
func (r registration) scopes() []string {
	return append([]string{"openid", "profile", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"}, r.data...)
}

// prepare makes a link of the sandbox's clinic if there is none, switches its SMART authorization on for a
// kind of server, and registers the apps: each by the services that the API uses.
func (a *App) prepare(w http.ResponseWriter, r *http.Request) {
	kind, tokens := r.URL.Query().Get("server"), smartauth.Tokens(cmp.Or(r.URL.Query().Get("tokens"), string(smartauth.Own)))
	i := slices.IndexFunc(clinics, func(c clinic) bool { return c.tokens == tokens })
	if i < 0 {
		fail(w, problem.Invalid(problem.Field{Field: "tokens", Code: "unknown_value", Message: "There is no clinic for these tokens.", Fix: "Send fhirlink or entra."}))
		return
	}
	c := clinics[i]
	err := a.register(r.Context(), c)
	if err == nil {
		err = a.switchOn(r.Context(), c, kind)
	}
	if err == nil {
		err = a.registerApps(r.Context(), c)
	}
	a.answer(w, r, err)
}

func (a *App) register(ctx context.Context, c clinic) error {
	l, err := a.Links.Get(ctx, a.Organization, c.slug)
	if err == nil {
		if _, ok := a.Base(l); !ok {
			return problem.New(problem.SlugTaken, "The link %s has a FHIR server that is not the sandbox's. Remove the link, or start with another data folder.", c.slug)
		}
		return nil
	}
	if problem.CodeOf(err) != problem.LinkNotFound {
		return err
	}
	_, err = a.Links.Register(ctx, a.Organization, intake.Registration{
		Slug: c.slug, Description: c.description, FHIRServerURL: "https://clinic.fhir.sandbox.test",
		ClientID: sandbox.ClientID, ClientSecret: secret.New(sandbox.Secret), SecretExpiresOn: a.inAYear(),
	})
	return err
}

func (a *App) inAYear() string { return date.Of(a.Now()).AddDays(365).String() }

// switchOn leaves the settings alone that are for this kind of server already. Entra spells the scopes as the
// server reads them.
func (a *App) switchOn(ctx context.Context, c clinic, kind string) error {
	found, err := a.SMART.Settings(ctx, a.Organization, c.slug)
	p := smartauth.Precondition{IfMatch: found.Settings.ETag()}
	switch {
	case err == nil && string(found.Settings.Server) == kind && found.Settings.Tokens == c.tokens:
		return nil
	case problem.CodeOf(err) == problem.SMARTNotEnabled:
		p = smartauth.Precondition{IfNoneMatch: "*"}
	case err != nil:
		return err
	}
	in := smartauth.NewSettings{Tokens: string(c.tokens), Server: kind}
	if c.tokens == smartauth.OfEntra {
		dialect := string(smart.Firely)
		if kind == string(smartauth.FHIRServer) || kind == string(smartauth.AHDS) {
			dialect = string(smart.AHDS)
		}
		in.Dialect, in.Diagnostics = &dialect, true
	}
	_, _, err = a.SMART.PutSettings(ctx, a.Organization, c.slug, p, in)
	return err
}

// registerApps registers the apps, or tells EHRs where they are now: this site has another port at each start.
func (a *App) registerApps(ctx context.Context, c clinic) error {
	for _, r := range c.apps {
		if err := a.registerApp(ctx, c.slug, r); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) registerApp(ctx context.Context, slug string, r registration) error {
	at := a.Origin + launchPath
	app, _, err := a.SMART.App(ctx, a.Organization, slug, r.clientID)
	may := r.scopes()
	switch {
	case err == nil && app.LaunchURI == at:
		return nil
	case err == nil:
		change := smartauth.NewApp{LaunchURI: &at}
		if app.LaunchURI == "" { // it was registered when EHRs could not open apps
			change.Scopes = &may
		}
		_, _, err = a.SMART.ChangeApp(ctx, a.Organization, slug, r.clientID, smartauth.Precondition{IfMatch: "*"}, change)
		return err
	case problem.CodeOf(err) != problem.AppNotFound:
		return err
	}
	// Of a loopback address any port is good (RFC 8252 §7.3).
	host, _, _ := strings.Cut(strings.TrimPrefix(a.Origin, "http://"), ":")
	redirects := []string{"http://" + host + "/"}
	in := smartauth.NewApp{ClientID: r.clientID, Name: &r.name, Type: string(smartauth.Public), RedirectURIs: &redirects, LaunchURI: &at, Scopes: &may}
	if r.entraID != "" {
		ends := a.inAYear()
		in.Entra = &smartauth.NewEntra{ClientID: r.entraID, ClientSecret: secret.New(r.entraSecret), SecretExpiresOn: &ends}
	}
	_, _, _, err = a.SMART.CreateApp(ctx, a.Organization, slug, in)
	return err
}
