package main

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/link"
	"fhirlink/shared/secret/keyvault/vaulttest"
	"fhirlink/shared/store/aztable"
)

// site is a deployment whose vaults change from one run of its program to the next.
type site struct {
	*testing.T
	cloud          *cloudtest.Cloud
	program, table string
	store          *aztable.Store
	manager, app   string // callers' tokens
}

func newSite(t *testing.T) *site {
	t.Helper()
	cloudtest.LinuxOnly(t)
	s := &site{T: t, cloud: cloudtest.Start(t), program: cloudtest.Build(t, "fhirlink/functions/cmd/azure"), table: table(t)}
	service, err := aztables.NewServiceClientFromConnectionString(s.table, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.store = aztable.New(service.NewClient("links"))
	s.manager, s.app = s.cloud.App(cloudtest.Tenant, "Links.Manage.All"), s.cloud.App(cloudtest.Tenant, "Links.Token.All")
	return s
}

// run replaces the running program by one with these vaults.
func (s *site) run(before *host, vaults string) *host {
	s.Helper()
	if before != nil {
		before.Kill()
	}
	h := &host{cloudtest.Run(s.T, s.program, s.cloud.Env(s.table, "FHIRLINK_KEY_VAULT_URL="+vaults)), s.T}
	h.Ready(s.T)
	return h
}

func (s *site) register(h *host) (slug string) {
	s.Helper()
	slug = newSlug()
	h.want(201, "POST", "/api/register", s.manager, s.cloud.Registration(slug))
	return slug
}

func (s *site) token(h *host, status int, slug string) map[string]any {
	s.Helper()
	return h.want(status, "POST", "/api/token", s.app, map[string]string{"slug": slug})
}

func (s *site) row(slug string) link.Link {
	s.Helper()
	l, err := s.store.Get(s.Context(), link.Slug(slug))
	if err != nil {
		s.Fatal(err)
	}
	return l
}

// wantSecretIn checks that the link's row places its secret in the vault of that name, and that
// the server has this many enabled versions of it.
func (s *site) wantSecretIn(slug, vault string, server *vaulttest.Server, versions int) {
	s.Helper()
	name := s.row(slug).Secret.Name
	local, found := strings.CutPrefix(name, vault+"/")
	if got := len(server.Store.Enabled(local)); !found || got != versions {
		s.Errorf("the row of %s says %s; %d versions are enabled in %s, want %d", slug, name, got, vault, versions)
	}
}

// change edits the link's row without the program.
func (s *site) change(slug string, change func(*link.Link)) {
	s.Helper()
	_, err := s.store.Update(s.Context(), link.Slug(slug), func(l link.Link) (link.Link, error) {
		change(&l)
		return l, nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// A vault is added in front of the existing one: links stay in their vault, and new ones go to
// the new vault.
func TestSecondVault(t *testing.T) {
	s := newSite(t)
	a := s.cloud.Vault
	h := s.run(nil, s.cloud.VaultURL)
	old, older := s.register(h), s.register(h)
	s.wantSecretIn(old, "127-0-0-1", a, 1) // named after the first label of its host, which is an IP address here
	// The other link is from before names said in which vault a secret is.
	s.change(older, func(l *link.Link) { _, l.Secret.Name, _ = strings.Cut(l.Secret.Name, "/") })

	b, address := s.cloud.NewVault(t)
	h = s.run(h, "b="+address+","+s.cloud.VaultURL)
	s.token(h, 200, old)
	s.token(h, 200, older)
	fresh := s.register(h)
	s.wantSecretIn(fresh, "b", b, 1)
	s.token(h, 200, fresh)
	hook := h.want(201, "POST", "/api/webhooks", s.manager, map[string]string{"url": "https://hooks.example.org/"})
	if names := b.Store.Names(); len(names) != 2 || !strings.HasPrefix(names[1], "webhook-") {
		t.Errorf("the vault in front holds %q, want the new link's secret and the webhook's key", names)
	}
	h.want(204, "DELETE", "/api/webhooks/"+hook["id"].(string), s.manager, nil)
	if names := b.Store.Names(); len(names) != 1 {
		t.Errorf("the vault in front holds %q, want the new link's secret", names)
	}

	for _, slug := range []string{old, older} {
		h.want(200, "PUT", "/api/links/"+slug+"/secret", s.manager, map[string]string{"clientSecret": cloudtest.NextSecret}, "If-Match", "*")
		s.token(h, 200, slug)
	}
	s.wantSecretIn(old, "127-0-0-1", a, 2)
	if versions := a.Store.Enabled(s.row(older).Secret.Name); len(versions) != 2 {
		t.Errorf("the last vault has %d versions of a secret whose name says no vault", len(versions))
	}
	for _, slug := range []string{old, older} {
		h.want(204, "DELETE", "/api/links/"+slug, s.manager, nil, "If-Match", "*")
	}
	if left := a.Store.Names(); len(left) != 0 {
		t.Errorf("the deleted links left %q", left)
	}
	s.wantSecretIn(fresh, "b", b, 1)
}

// A vault missing from the setting by mistake breaks no link, and a deletion waits for the
// vault.
func TestVaultLeftOut(t *testing.T) {
	s := newSite(t)
	b, address := s.cloud.NewVault(t)
	all := "b=" + address + ",a=" + s.cloud.VaultURL
	h := s.run(nil, all)
	slug, doomed := s.register(h), s.register(h)

	h = s.run(h, "a="+s.cloud.VaultURL)
	if answer := s.token(h, 503, slug); answer["error"] != "temporarily_unavailable" {
		t.Errorf("token: %v", answer)
	}
	h.want(503, "POST", "/api/verify", s.manager, map[string]string{"slug": slug})
	s.change(slug, func(l *link.Link) { l.NextVerify = time.Now().Add(-time.Minute) }) // due
	h.sweep()
	if s.row(slug).Failures != 1 {
		t.Error("the timer did not look at the link")
	}
	if l := h.want(200, "GET", "/api/links/"+slug, s.manager, nil); l["status"] != "active" {
		t.Errorf("the link is %v", l["status"])
	}
	if said := `no vault called \"b\" in FHIRLINK_KEY_VAULT_URL`; !strings.Contains(h.Output.String(), said) {
		t.Errorf("the log does not say %s:\n%s", said, h.Output)
	}
	h.want(204, "DELETE", "/api/links/"+doomed, s.manager, nil, "If-Match", "*")
	if phase := s.row(doomed).Phase; phase != link.Deleting {
		t.Errorf("a link whose secret could not be deleted is %s", phase)
	}
	s.wantSecretIn(doomed, "b", b, 1)

	h = s.run(h, all)
	s.token(h, 200, slug)
}
