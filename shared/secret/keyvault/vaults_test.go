package keyvault_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/secret"
	"fhirlink/shared/secret/keyvault"
	"fhirlink/shared/secret/keyvault/vaulttest"
	"fhirlink/shared/secret/secrettest"
)

// pair is a store over two vaults: b, the first, which receives new secrets, and a.
type pair struct {
	*keyvault.Store
	b, a *vaulttest.Server
}

func newPair(t *testing.T) pair {
	t.Helper()
	b, a := vaulttest.NewServer(), vaulttest.NewServer()
	return pair{keyvault.New(
		keyvault.Vault{Name: "b", Client: client(t, b, &identity{})},
		keyvault.Vault{Name: "a", Client: client(t, a, &identity{})},
	), b, a}
}

// within puts names without a vault into one vault.
type within struct {
	secret.Store
	vault string
}

func (w within) name(plain string) string {
	if plain == "" || strings.Contains(plain, "/") {
		return plain
	}
	return w.vault + "/" + plain
}

func (w within) Put(ctx context.Context, name string, v secret.Value, a secret.Attributes) (string, error) {
	return w.Store.Put(ctx, w.name(name), v, a)
}

func (w within) Get(ctx context.Context, name, version string) (secret.Value, error) {
	return w.Store.Get(ctx, w.name(name), version)
}

func (w within) Update(ctx context.Context, name, version string, enabled bool, a secret.Attributes) error {
	return w.Store.Update(ctx, w.name(name), version, enabled, a)
}

func (w within) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	return w.Store.Versions(ctx, w.name(name))
}

func (w within) Delete(ctx context.Context, name string) error {
	return w.Store.Delete(ctx, w.name(name))
}

func TestTwoVaults(t *testing.T) {
	for name, in := range map[string]func(secret.Store) secret.Store{
		"names without a vault": func(s secret.Store) secret.Store { return s },
		"in the first":          func(s secret.Store) secret.Store { return within{s, "b"} },
		"in the last":           func(s secret.Store) secret.Store { return within{s, "a"} },
	} {
		t.Run(name, func(t *testing.T) {
			secrettest.Run(t, func(t *testing.T) secret.Store { return in(newPair(t).Store) })
		})
	}
}

func TestNewSecretsGoToTheFirst(t *testing.T) {
	p := newPair(t)
	name := p.NewName("link")
	local, found := strings.CutPrefix(name, "b/")
	if !found || secret.CheckName(name) != nil {
		t.Fatalf("NewName = %q", name)
	}
	if _, err := p.Put(t.Context(), name, secret.New(canary), secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	if got := p.b.Store.Names(); !slices.Equal(got, []string{local}) || p.a.Requests.Load()+p.a.Challenges.Load() != 0 {
		t.Errorf("the first vault holds %q, the second was asked %d times", got, p.a.Requests.Load())
	}
	if name := overTLS(t, vaulttest.NewServer(), &identity{}).NewName("link"); !strings.HasPrefix(name, "contoso/link-") {
		t.Errorf("NewName of a single vault = %q", name)
	}
}

// Every operation goes to the vault that the name says, and to no other.
func TestNamesSayWhere(t *testing.T) {
	p := newPair(t)
	for name, c := range map[string]struct{ where, other *vaulttest.Server }{
		"b/link-b": {p.b, p.a}, "a/link-a": {p.a, p.b}, "link-old": {p.a, p.b},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.other.Requests.Load()
			p.use(t, name, c.where)
			if n := c.other.Requests.Load() - before; n != 0 {
				t.Errorf("the other vault was asked %d times", n)
			}
		})
	}
}

// use calls every method of Store for one secret, and checks the content of the vaults in
// between.
func (p pair) use(t *testing.T, name string, where *vaulttest.Server) {
	t.Helper()
	local := name[strings.Index(name, "/")+1:]
	first, err := p.Put(t.Context(), name, secret.New("one"), secret.Attributes{})
	second, err2 := p.Put(t.Context(), name, secret.New("two"), secret.Attributes{})
	if err = errors.Join(err, err2, p.Update(t.Context(), name, first, false, secret.Attributes{})); err != nil {
		t.Fatal(err)
	}
	if enabled := where.Store.Enabled(local); !slices.Equal(enabled, []string{second}) {
		t.Errorf("of %s the vault has enabled %q, want %q", local, enabled, second)
	}
	if v, err := p.Get(t.Context(), name, second); err != nil || v.Reveal() != "two" {
		t.Errorf("Get = %v", err)
	}
	if all, err := p.Versions(t.Context(), name); err != nil || len(all) != 2 {
		t.Errorf("Versions = %v, %v", all, err)
	}
	if err := p.Delete(t.Context(), name); err != nil || slices.Contains(where.Store.Names(), local) {
		t.Errorf("Delete = %v, left %q", err, where.Store.Names())
	}
}

// The error for a vault that the settings lack names that vault, and no other vault gets a
// request.
func TestMissingVault(t *testing.T) {
	p := newPair(t)
	_, got := p.Get(t.Context(), "gone/link-a", "1")
	_, put := p.Put(t.Context(), "gone/link-a", secret.New(canary), secret.Attributes{})
	_, listed := p.Versions(t.Context(), "gone/link-a")
	for op, err := range map[string]error{
		"Get": got, "Put": put, "Versions": listed,
		"Update": p.Update(t.Context(), "gone/link-a", "1", false, secret.Attributes{}),
		"Delete": p.Delete(t.Context(), "gone/link-a"),
	} {
		if !errors.Is(err, secret.ErrUnavailable) || errors.Is(err, secret.ErrNotFound) ||
			!strings.Contains(err.Error(), `no vault called "gone" in FHIRLINK_KEY_VAULT_URL`) {
			t.Errorf("%s = %v", op, err)
		}
		silent(t, err)
	}
	if n := p.a.Requests.Load() + p.b.Requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
