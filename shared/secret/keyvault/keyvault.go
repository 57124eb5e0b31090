package keyvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"fhirlink/shared/secret"
)

// contentType describes the secret to people who look into the vault.
const contentType = "text/plain; kind=entra-client-secret"

const tryTimeout = 3 * time.Second

// Vault is a Key Vault, and the prefix of the names of its secrets.
type Vault struct {
	Name   string // must satisfy secret.IsVault
	Client *azsecrets.Client
}

// Store implements [secret.Store] in one or more vaults. It caches nothing. Callers cache,
// because a vault throttles at a few thousand requests in ten seconds
// (https://learn.microsoft.com/azure/key-vault/general/service-limits).
type Store struct{ vaults []Vault }

// New returns a store over at least one vault. Each vault has a name and a client that was made
// with [ClientOptions]. The first vault receives new secrets, so a new vault goes to the front.
// The last vault also holds the secrets whose names do not yet contain a vault.
func New(vaults ...Vault) *Store { return &Store{vaults} }

// ClientOptions returns the options that the store expects: no redirects, and two tries within
// seven seconds. A Retry-After of more than a second is not waited for.
func ClientOptions() *azsecrets.ClientOptions {
	o := &azsecrets.ClientOptions{}
	o.Retry = policy.RetryOptions{MaxRetries: 1, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: time.Second, TryTimeout: tryTimeout}
	o.Telemetry.ApplicationID = "fhirlink"
	o.Transport = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return o
}

// NewName implements [secret.Namer]. The secret belongs to the first vault.
func (s *Store) NewName(kind string) string { return s.vaults[0].Name + "/" + secret.NewName(kind) }

// locate returns the vault that the name says, and the secret's name there.
func (s *Store) locate(name string) (vault *azsecrets.Client, local string, err error) {
	called, local, err := secret.SplitName(name)
	if err != nil {
		return nil, "", err
	}
	if called == "" {
		return s.vaults[len(s.vaults)-1].Client, local, nil
	}
	i := slices.IndexFunc(s.vaults, func(v Vault) bool { return v.Name == called })
	if i < 0 {
		return nil, "", fmt.Errorf("key vault secret %s: %w: there is no vault called %q in FHIRLINK_KEY_VAULT_URL: put it back, with the URL that it has now", name, secret.ErrUnavailable, called)
	}
	return s.vaults[i].Client, local, nil
}

// locateVersion also refuses an invalid version. The vault would take "" for the newest version.
func (s *Store) locateVersion(name, version string) (vault *azsecrets.Client, local string, err error) {
	vault, local, err = s.locate(name)
	if err == nil && !versionID.MatchString(version) {
		err = fmt.Errorf("key vault secret %s: version %.40q: %w", name, version, secret.ErrNotFound)
	}
	return vault, local, err
}

// Get implements [secret.Reader]. It also returns an expired version: Key Vault's exp is
// informational.
func (s *Store) Get(ctx context.Context, name, version string) (secret.Value, error) {
	vault, local, err := s.locateVersion(name, version)
	if err != nil {
		return secret.Value{}, err
	}
	r, err := vault.GetSecret(ctx, local, version, nil)
	if err != nil {
		return secret.Value{}, explain(ctx, "reading", name, err)
	}
	if r.Value == nil {
		return secret.Value{}, explain(ctx, "reading", name, errIncomplete)
	}
	return secret.New(*r.Value), nil
}

// Put implements [secret.Keeper]. It makes one try, because a retry after a lost answer would add
// a second version.
func (s *Store) Put(ctx context.Context, name string, v secret.Value, a secret.Attributes) (string, error) {
	vault, local, err := s.locate(name)
	if err = errors.Join(err, secret.CheckValue(v)); err != nil {
		return "", err
	}
	once := policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1, TryTimeout: tryTimeout})
	r, err := vault.SetSecret(once, local, azsecrets.SetSecretParameters{
		Value: to.Ptr(v.Reveal()), ContentType: to.Ptr(contentType), Tags: tags(a), SecretAttributes: attributes(true, a),
	}, nil)
	switch {
	case status(err) == http.StatusConflict:
		return "", wrap("writing", name, secret.ErrNameUsed, err)
	case err != nil:
		return "", explain(ctx, "writing", name, err)
	case r.ID == nil || r.ID.Version() == "":
		return "", explain(ctx, "writing", name, errIncomplete)
	}
	return r.ID.Version(), nil
}

// Update implements [secret.Keeper]. Key Vault cannot remove an exp: a zero ExpiresOn leaves the
// old one in place.
func (s *Store) Update(ctx context.Context, name, version string, enabled bool, a secret.Attributes) error {
	vault, local, err := s.locateVersion(name, version)
	if err != nil {
		return err
	}
	_, err = vault.UpdateSecretProperties(ctx, local, version, azsecrets.UpdateSecretPropertiesParameters{
		ContentType: to.Ptr(contentType), Tags: tags(a), SecretAttributes: attributes(enabled, a),
	}, nil)
	if err != nil {
		return explain(ctx, "changing", name, err)
	}
	return nil
}

// Versions implements [secret.Keeper].
func (s *Store) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	vault, local, err := s.locate(name)
	if err != nil {
		return nil, err
	}
	var all []secret.Version
	for pager := vault.NewListSecretPropertiesVersionsPager(local, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if status(err) == http.StatusNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, explain(ctx, "listing", name, err)
		}
		for _, p := range page.Value {
			all = append(all, version(p))
		}
	}
	return all, nil
}

// Delete implements [secret.Keeper]. Soft delete blocks the name for as long as the vault's
// retention says.
func (s *Store) Delete(ctx context.Context, name string) error {
	vault, local, err := s.locate(name)
	if err != nil {
		return err
	}
	_, err = vault.DeleteSecret(ctx, local, nil)
	switch status(err) {
	case http.StatusNotFound, http.StatusConflict: // it is deleted, or is being deleted
		return nil
	}
	if err != nil {
		return explain(ctx, "deleting", name, err)
	}
	return nil
}

func tags(a secret.Attributes) map[string]*string {
	return map[string]*string{"slug": &a.Slug, "organization": &a.Organization}
}

func attributes(enabled bool, a secret.Attributes) *azsecrets.SecretAttributes {
	attributes := &azsecrets.SecretAttributes{}
	if !enabled {
		attributes.Enabled = &enabled // without it, the state stays as it is
	}
	if !a.ExpiresOn.IsZero() {
		attributes.Expires = &a.ExpiresOn
	}
	return attributes
}

func version(p *azsecrets.SecretProperties) secret.Version {
	var v secret.Version
	if p.ID != nil {
		v.ID = p.ID.Version()
	}
	if a := p.Attributes; a != nil {
		v.Enabled = a.Enabled == nil || *a.Enabled
		if a.Created != nil {
			v.CreatedAt = a.Created.UTC()
		}
	}
	return v
}
