package application_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/application"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

const (
	orgA      = "11111111-1111-4111-8111-111111111111"
	orgB      = "33333333-3333-4333-8333-333333333333"
	linkApp   = "22222222-2222-4222-8222-222222222222"
	chartApp  = "44444444-4444-4444-8444-444444444444"
	authority = "https://login.sandbox.test/"
	server    = "https://clinic.fhir.sandbox.test"
)

// world is links and registrations over stores in memory, with a sandbox Entra that judges secrets.
type world struct {
	links  *link.Service
	apps   application.Registrations
	tokens *tokens.Service
	stores *linktest.Stores
	vault  *secrettest.Store
	entra  *entratest.Authority

	mu    sync.Mutex
	now   time.Time
	told  []notify.Event
	named bool

	meanwhile func() // called when the timer has looked for the app of a registration; nil: nothing happens
}

// verifier is the real one for registrations of apps; links are taken as they are.
type verifier struct{ *verification.Verifier }

func (v verifier) Verify(ctx context.Context, t verification.Target) verification.Report {
	if t.TokenOnly {
		return v.Verifier.Verify(ctx, t)
	}
	return verification.Report{Status: verification.Pass, TenantID: t.TenantID, Audience: t.Audience, Checks: []verification.Check{{ID: verification.CheckToken, Status: verification.Pass, Code: "ok"}}}
}

func newWorld() *world {
	w := &world{stores: linktest.New(), vault: secrettest.New(), now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), named: true}
	w.entra = entratest.New(entratest.Tenant{ID: orgA, Name: "A", Apps: []entratest.App{
		{ClientID: linkApp, ObjectID: "55555555-5555-4555-8555-555555555555", Secrets: []entratest.Secret{{Value: "canary-link"}}},
		{ClientID: chartApp, ObjectID: "55555555-5555-4555-8555-555555555556", Secrets: []entratest.Secret{{Value: "canary-chart"}, {Value: "canary-next"}, {Value: "canary-old", ExpiresOn: w.now.Add(-time.Hour)}}},
	}})
	w.entra.URL, w.entra.Now = authority, w.clock
	at := func(fhir.BaseURL) string { return authority }
	source := w.entra.Source()
	log := slog.New(slog.DiscardHandler)
	w.links = link.New(link.Deps{
		Stores: w.stores, Secrets: w.vault, Tokens: source, Authority: at, Now: w.clock, Log: log, Channel: w,
		Verifier: verifier{&verification.Verifier{Client: w.entra.Client(), Tokens: source, Authority: at, Now: w.clock}},
	})
	w.links.KeepsApps(w)
	w.apps = application.Registrations{Rows: link.AppRows{Service: w.links}, Now: w.clock}
	w.tokens = tokens.New(tokens.Deps{Links: w.links, Rows: w.stores, Secrets: w.vault, Source: source, Authority: at, Now: w.clock, Log: log})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Removed implements [link.Apps].
func (w *world) Removed(context.Context, link.Link) error { return nil }

// Tend implements [link.Apps].
func (w *world) Tend(ctx context.Context, registration link.Link) (link.Link, string, error) {
	of, err := w.links.Get(ctx, registration.Organization, string(registration.Of))
	named := w.named && err == nil
	if w.meanwhile != nil {
		w.meanwhile()
	}
	return w.apps.Tend(ctx, registration, of, named)
}

// Free implements [link.Apps].
func (w *world) Free(ctx context.Context, tenantID, clientID string) error {
	return w.apps.Free(ctx, tenantID, clientID)
}

// Name implements [notify.Channel].
func (w *world) Name() string { return "webhook" }

// Targets implements [notify.Channel].
func (w *world) Targets(context.Context, string) ([]notify.Target, error) {
	return []notify.Target{{Channel: "webhook", ID: "1"}}, nil
}

// Deliver implements [notify.Channel].
func (w *world) Deliver(_ context.Context, _ string, _ notify.Target, e notify.Event) notify.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, e)
	return notify.Result{Outcome: notify.Delivered}
}

func (w *world) register(t *testing.T, organization, slug, clientID string) link.Link {
	t.Helper()
	result, err := w.links.Register(t.Context(), organization, registration(slug, clientID))
	if err != nil {
		t.Fatal(err)
	}
	return result.Link
}

func registration(slug, clientID string) intake.Registration {
	return intake.Registration{
		Slug: slug, Description: "A clinic", FHIRServerURL: server, ClientID: clientID, ClientSecret: secret.New("canary-link"), TenantID: orgA, Audience: server, SecretExpiresOn: "2028-01-01", Contacts: []string{"it@clinic.example"},
	}
}

// sweep tends everything that is due, as the timer does.
func (w *world) sweep(t *testing.T) (findings []link.Finding) {
	t.Helper()
	for range 2 {
		err := w.links.Due(t.Context(), w.clock(), func(slug link.Slug) bool {
			f, err := w.links.Tend(t.Context(), slug)
			if err != nil {
				t.Error(err)
			}
			findings = append(findings, f)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return findings
}

func chart(value, expiresOn string) intake.Application {
	return intake.Application{ClientID: chartApp, ClientSecret: secret.New(value), SecretExpiresOn: expiresOn}
}

func wantCode(t *testing.T, err error, want problem.Code) *problem.Error {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Fatalf("%v, want %s", err, want)
	}
	return p
}

// TestLife: a registration is verified, kept, used, replaced and removed, and nobody sees a link in it.
func TestLife(t *testing.T) {
	w := newWorld()
	of := w.register(t, orgA, "clinic", linkApp)
	for value, want := range map[string]problem.Code{"canary-wrong-secret-of-the-app": problem.VerificationFailed, "canary-old": problem.VerificationFailed, "": problem.InvalidFields} {
		_, err := w.apps.Put(t.Context(), of, "growth-chart", chart(value, ""))
		if p := wantCode(t, err, want); strings.Contains(p.Error(), "canary") || len(p.Fields) == 0 {
			t.Errorf("%v", p)
		}
	}
	if _, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp); problem.CodeOf(err) != problem.LinkNotFound {
		t.Fatalf("what was refused is there: %v", err)
	}
	result, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2027-05-01"))
	if err != nil {
		t.Fatal(err)
	}
	l := result.Link
	if l.Phase != link.Live || l.App != "growth-chart" || l.Of != "clinic" || l.ClientID != chartApp || l.TenantID != orgA || l.SecretState(w.clock()) != link.SecretOK || l.Status(w.clock()) != condition.Active {
		t.Errorf("%+v", l)
	}
	if value, err := w.vault.Get(t.Context(), l.Secret.Name, l.Secret.Version); err != nil || value.Reveal() != "canary-chart" {
		t.Errorf("the secret is not kept: %v", err)
	}
	// No route of links finds it, for nobody.
	for _, slug := range []string{string(l.Slug), strings.TrimPrefix(string(l.Slug), "app.")} {
		if _, err := w.links.Get(t.Context(), orgA, slug); problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("%s is read as a link: %v", slug, err)
		}
		if err := w.links.Delete(t.Context(), orgA, slug, "*"); problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("%s is deleted as a link: %v", slug, err)
		}
		if _, err := w.tokens.Token(t.Context(), orgA, true, slug); problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("%s gives tokens: %v", slug, err)
		}
	}
	if links, _, err := w.links.List(t.Context(), orgA, link.Filter{}, 10, ""); err != nil || len(links) != 1 {
		t.Errorf("%d links, %v", len(links), err)
	}
	use := func(want string) {
		t.Helper()
		l, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp)
		if err != nil {
			t.Fatal(err)
		}
		err = w.tokens.As(t.Context(), l, func(_ context.Context, c entra.Credentials) error {
			if c.ClientID != chartApp || c.Authority != authority || c.Credential.Text().Reveal() != want {
				t.Errorf("used as %s", c.ClientID)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	use("canary-chart")
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-wrong-secret-of-the-app", "")); problem.CodeOf(err) != problem.VerificationFailed {
		t.Errorf("%v", err)
	}
	use("canary-chart")
	next, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-next", "2028-02-01"))
	if err != nil || next.Link.Slug != l.Slug || next.Link.Secret.Previous != l.Secret.Version || next.Link.Secret.ExpiresOn.String() != "2028-02-01" {
		t.Errorf("%+v, %v", next.Link.Secret, err)
	}
	use("canary-next")
	dated, err := w.apps.Date(t.Context(), of, "growth-chart", chartApp, "2028-03-01")
	if err != nil || dated.Link.Secret.ExpiresOn.String() != "2028-03-01" {
		t.Fatal(err)
	}
	if err := w.apps.Delete(t.Context(), next.Link); problem.CodeOf(err) != problem.ChangedMeanwhile {
		t.Errorf("it was deleted as it was no longer: %v", err)
	}
	for range 2 { // gone is gone
		if err := w.apps.Delete(t.Context(), dated.Link); err != nil {
			t.Error(err)
		}
	}
	if versions, err := w.vault.Versions(t.Context(), l.Secret.Name); err != nil || len(versions) != 0 {
		t.Errorf("the secret is still there: %v, %v", versions, err)
	}
	if _, err := w.apps.Put(t.Context(), of, "another", chart("canary-chart", "")); err != nil {
		t.Errorf("the application is not free again: %v", err)
	}
	events, _, err := w.links.Events(t.Context(), orgA, "clinic", 20, "")
	about := map[string]int{}
	for _, e := range events {
		about[e.App]++
	}
	if err != nil || about[""] != 1 || about["another"] != 1 || about["growth-chart"] != 7 { // two refusals among them
		t.Errorf("the trail of the link: %v, %v", about, err)
	}
}

// TestShared: an application is the registration of one app, and of no link, of its tenant.
func TestShared(t *testing.T) {
	w := newWorld()
	of, other := w.register(t, orgA, "clinic", linkApp), w.register(t, orgA, "ward", linkApp)
	stranger := w.register(t, orgB, "stranger", linkApp)
	taken := func(of link.Link, app, clientID string) {
		t.Helper()
		_, err := w.apps.Put(t.Context(), of, app, intake.Application{ClientID: clientID, ClientSecret: secret.New("canary-chart")})
		if p := wantCode(t, err, problem.AppRegistrationShared); p.Code.Status() != 409 || !strings.Contains(p.Detail, clientID) || p.Fields[0].Field != "clientId" {
			t.Errorf("%+v", p)
		}
	}
	taken(of, "growth-chart", linkApp)
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "")); err != nil {
		t.Fatal(err)
	}
	taken(of, "another", strings.ToUpper(chartApp[:4])+chartApp[4:])
	taken(other, "growth-chart", chartApp)
	taken(stranger, "growth-chart", chartApp)
	// A link that uses an application stands in the way of apps, whichever of the organization's it is.
	second := w.register(t, orgA, "second", "66666666-6666-4666-8666-666666666666")
	taken(of, "another", second.ClientID)
	for _, get := range []link.Link{other, stranger} {
		if _, err := w.apps.Get(t.Context(), get, "growth-chart", chartApp); problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("%s sees the registration of another: %v", get.Slug, err)
		}
	}
	// And an app's stands in the way of links: of those to come, and of those that change.
	for _, organization := range []string{orgA, orgB} {
		_, err := w.links.Register(t.Context(), organization, registration("third", chartApp))
		if p := wantCode(t, err, problem.AppRegistrationShared); p.Fields[0].Field != "clientId" {
			t.Errorf("%+v", p)
		}
	}
	change := intake.NewSecret{ClientSecret: secret.New("canary-link"), SecretExpiresOn: "2028-01-01"}.Patch()
	if _, err := w.links.Patch(t.Context(), orgA, "ward", "*", change); err != nil {
		t.Errorf("a new secret of a link: %v", err)
	}
	clientID := chartApp
	change.ClientID = &clientID
	_, err := w.links.Patch(t.Context(), orgA, "ward", "*", change)
	wantCode(t, err, problem.AppRegistrationShared)
	// While another request is about the application, that is no reason to look for another one.
	l, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp)
	if err != nil {
		t.Fatal(err)
	}
	w.vault.Fault = func(op, _ string, _ bool) error {
		if op == "Delete" {
			return store.ErrUnavailable
		}
		return nil
	}
	if err := w.apps.Delete(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	_, err = w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", ""))
	wantCode(t, err, problem.UpstreamUnavailable)
}

// TestWatched: people are told of the secret of an app as of a link's, with the app beside the link.
func TestWatched(t *testing.T) {
	w := newWorld()
	of := w.register(t, orgA, "clinic", linkApp)
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2027-01-10")); err != nil {
		t.Fatal(err)
	}
	w.pass(20 * 24 * time.Hour)
	findings := w.sweep(t)
	if len(w.told) != 1 || w.told[0].Type != notify.SecretExpiring || w.told[0].Slug != "clinic" || w.told[0].App != "growth-chart" || !strings.Contains(w.told[0].Message, "app growth-chart of the link clinic") ||
		!strings.Contains(w.told[0].Fix, "PATCH /api/links/clinic/apps/growth-chart as entra.clientSecret") || w.told[0].Description != "A clinic" {
		t.Fatalf("%+v", w.told)
	}
	about := 0
	for _, f := range findings {
		if f.App == "growth-chart" && f.Slug == "clinic" {
			about++
		}
	}
	if about == 0 {
		t.Errorf("%+v", findings)
	}
	text, err := w.told[0].CloudEvent()
	if err != nil || !strings.Contains(string(text), `"slug":"clinic","app":"growth-chart"`) || strings.Contains(string(text), "canary") {
		t.Errorf("%s, %v", text, err)
	}
	// Entra forgets the secret: the registration is broken, and the link is not.
	w.told = nil
	w.entra.Removed = func(value string) bool { return value == "canary-chart" }
	w.pass(25 * time.Hour)
	w.sweep(t)
	l, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp)
	if err != nil || l.Status(w.clock()) != condition.Broken || len(w.told) == 0 || w.told[0].Type != notify.LinkBroken || w.told[0].App != "growth-chart" {
		t.Errorf("%s, %+v, %v", l.Status(w.clock()), w.told, err)
	}
	if l, err := w.links.Get(t.Context(), orgA, "clinic"); err != nil || l.Status(w.clock()) != condition.Active {
		t.Errorf("the link: %s, %v", l.Status(w.clock()), err)
	}
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-next", "2028-01-10")); err != nil {
		t.Error(err)
	}
	if l, err = w.apps.Get(t.Context(), of, "growth-chart", chartApp); err != nil || l.Status(w.clock()) != condition.Active {
		t.Errorf("%s, %v", l.Status(w.clock()), err)
	}
}

// TestWithoutApp: the timer removes a registration that no app names, and leaves others alone while it
// cannot be known.
func TestWithoutApp(t *testing.T) {
	w := newWorld()
	of := w.register(t, orgA, "clinic", linkApp)
	result, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2028-01-10"))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(25 * time.Hour)
	w.sweep(t)
	if _, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp); err != nil {
		t.Fatalf("one that an app names: %v", err)
	}
	w.named = false
	w.pass(25 * time.Hour)
	w.sweep(t)
	if _, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp); problem.CodeOf(err) != problem.LinkNotFound {
		t.Errorf("%v", err)
	}
	if versions, err := w.vault.Versions(t.Context(), result.Link.Secret.Name); err != nil || len(versions) != 0 {
		t.Errorf("its secret is still there: %v, %v", versions, err)
	}
	w.pass(time.Hour)
	w.sweep(t)
	if _, err := w.stores.Get(t.Context(), result.Link.Slug); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its row is still there: %v", err)
	}
}

// TestUsedAgain: a registration that was left without an app, and is being given to one, is not removed while its
// app is being written.
func TestUsedAgain(t *testing.T) {
	w := newWorld()
	of := w.register(t, orgA, "clinic", linkApp)
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2028-01-10")); err != nil {
		t.Fatal(err)
	}
	w.named = false
	w.pass(25 * time.Hour)
	again := func() {
		if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-next", "2028-01-10")); err != nil {
			t.Error(err)
		}
	}
	w.meanwhile = func() { w.meanwhile = nil; again() }
	w.sweep(t)
	l, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp)
	if err != nil || w.meanwhile != nil {
		t.Fatalf("it was removed after the timer had looked: %v", err)
	}
	w.pass(link.Grace - time.Minute)
	if _, err := w.links.Tend(t.Context(), l.Slug); err != nil {
		t.Error(err)
	}
	if _, err := w.apps.Get(t.Context(), of, "growth-chart", chartApp); err != nil {
		t.Errorf("it was removed %s after it was stored: %v", link.Grace-time.Minute, err)
	}
}

// TestSoonAfter: the timer looks soon whether what was stored has an app.
func TestSoonAfter(t *testing.T) {
	w := newWorld()
	of := w.register(t, orgA, "clinic", linkApp)
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2028-01-10")); err != nil {
		t.Fatal(err)
	}
	w.named = false
	w.pass(link.Grace + 2*time.Minute)
	w.sweep(t)
	if _, err := w.apps.Put(t.Context(), of, "another", chart("canary-next", "2028-01-10")); err != nil {
		t.Errorf("the application is not free: %v", err)
	}
}

// TestFollows: a registration is verified for the audience that its link has now.
func TestFollows(t *testing.T) {
	const next = "https://ward.fhir.sandbox.test"
	for what, do := range map[string]func(*world, link.Link) error{
		"the timer": func(w *world, _ link.Link) error {
			w.pass(25 * time.Hour)
			w.sweep(t)
			return nil
		},
		"a new secret": func(w *world, of link.Link) error {
			_, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-next", "2028-01-10"))
			return err
		},
	} {
		w := newWorld()
		of := w.register(t, orgA, "clinic", linkApp)
		if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2028-01-10")); err != nil {
			t.Fatal(err)
		}
		change := intake.NewSecret{ClientSecret: secret.New("canary-link"), SecretExpiresOn: "2028-01-01"}.Patch()
		server, tenant, audience := next, orgA, next
		change.FHIRServerURL, change.TenantID, change.Audience = &server, &tenant, &audience
		moved, err := w.links.Patch(t.Context(), orgA, "clinic", "*", change)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(w, moved.Link); err != nil {
			t.Fatal(err)
		}
		if l, err := w.apps.Get(t.Context(), moved.Link, "growth-chart", chartApp); err != nil || l.Audience != next || l.FHIRServerURL != moved.Link.FHIRServerURL {
			t.Errorf("%s: %s at %s, %v", what, l.Audience, l.FHIRServerURL, err)
		}
	}
}

// TestAfterOlderVersion: a version that knew no registrations of apps writes their rows as links'. The timer
// removes what is left of them, and the app can send its registration again.
func TestAfterOlderVersion(t *testing.T) {
	w := newWorld()
	of := w.register(t, orgA, "clinic", linkApp)
	result, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2028-01-10"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.stores.Update(t.Context(), result.Link.Slug, func(l link.Link) (link.Link, error) {
		l.App, l.Of = "", ""
		return l, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(25 * time.Hour)
	w.sweep(t)
	if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-next", "2028-01-10")); err != nil {
		t.Error(err)
	}
}

// TestKilledAnywhere: wherever storing a registration ends, nothing is left after a while but a whole one.
func TestKilledAnywhere(t *testing.T) {
	for n := range 12 {
		w := newWorld()
		of := w.register(t, orgA, "clinic", linkApp)
		left, down := n, false
		fault := func(before bool) error {
			if down {
				return store.ErrUnavailable
			}
			if before {
				return nil
			}
			if left--; left < 0 {
				down = true
				return store.ErrUnavailable
			}
			return nil
		}
		w.stores.Fault = func(_ string, _ link.Slug, before bool) error { return fault(before) }
		w.vault.Fault = func(_, _ string, before bool) error { return fault(before) }
		_, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-chart", "2028-01-10"))
		w.stores.Fault, w.vault.Fault = nil, nil
		w.pass(time.Hour)
		w.sweep(t)
		l, found := w.apps.Get(t.Context(), of, "growth-chart", chartApp)
		if err == nil && found != nil {
			t.Fatalf("after %d: promised, and gone: %v", n, found)
		}
		if found == nil {
			if _, err := w.vault.Get(t.Context(), l.Secret.Name, l.Secret.Version); err != nil {
				t.Errorf("after %d: without its secret: %v", n, err)
			}
		}
		if _, err := w.apps.Put(t.Context(), of, "growth-chart", chart("canary-next", "2028-01-10")); err != nil {
			t.Errorf("after %d: it cannot be done again: %v", n, err)
		}
	}
}
