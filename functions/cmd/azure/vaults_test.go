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

// run starts the program with these vaults, in place of the one that runs.
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

// lies fails unless the link's row says that its secret lies in the vault of that name, and the
// server has so many enabled versions of it.
func (s *site) lies(slug, vault string, server *vaulttest.Server, versions int) {
	s.Helper()
	name := s.row(slug).Secret.Name
	local, found := strings.CutPrefix(name, vault+"/")
	if got := len(server.Store.Enabled(local)); !found || got != versions {
		s.Errorf("the row of %s says %s; %d versions are enabled in %s, want %d", slug, name, got, vault, versions)
	}
}

// change changes the link's row behind the program's back.
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

// A vault is put in front of the one that there is: links go on where they are, and new ones
// begin in the new vault.
func TestSecondVault(t *testing.T) {
	s := newSite(t)
	a := s.cloud.Vault
	h := s.run(nil, s.cloud.VaultURL)
	old, older := s.register(h), s.register(h)
	s.lies(old, "127-0-0-1", a, 1) // by the first label of its host, which is an IP address here
	// The other is of before names said in which vault a secret lies.
	s.change(older, func(l *link.Link) { _, l.Secret.Name, _ = strings.Cut(l.Secret.Name, "/") })

	b, address := s.cloud.NewVault(t)
	h = s.run(h, "b="+address+","+s.cloud.VaultURL)
	s.token(h, 200, old)
	s.token(h, 200, older)
	fresh := s.register(h)
	s.lies(fresh, "b", b, 1)
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
	s.lies(old, "127-0-0-1", a, 2)
	if versions := a.Store.Enabled(s.row(older).Secret.Name); len(versions) != 2 {
		t.Errorf("of a secret whose name says no vault, the last has %d versions", len(versions))
	}
	for _, slug := range []string{old, older} {
		h.want(204, "DELETE", "/api/links/"+slug, s.manager, nil, "If-Match", "*")
	}
	if left := a.Store.Names(); len(left) != 0 {
		t.Errorf("the deleted links left %q", left)
	}
	s.lies(fresh, "b", b, 1)
}

// A vault that is left out of the setting by mistake breaks no link, and a deletion waits for it.
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
		t.Errorf("a link is %s whose secret could not be deleted", phase)
	}
	s.lies(doomed, "b", b, 1)

	h = s.run(h, all)
	s.token(h, 200, slug)
}
