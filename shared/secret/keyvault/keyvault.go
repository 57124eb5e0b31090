// Package keyvault keeps client secrets in Azure Key Vault: one secret per link, one version
// per client secret. Its identity needs the role Key Vault Secrets Officer on the vault.
package keyvault

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"fhirlink/shared/secret"
)

// contentType tells people who look into the vault what a secret is.
const contentType = "text/plain; kind=entra-client-secret"

const tryTimeout = 3 * time.Second

// Store is a [secret.Store] in one vault. It caches nothing: Key Vault throttles at a few
// thousand requests in ten seconds, so callers cache
// (https://learn.microsoft.com/azure/key-vault/general/service-limits).
type Store struct{ client *azsecrets.Client }

// New returns a store over a client that was made with [ClientOptions].
func New(client *azsecrets.Client) *Store { return &Store{client} }

// ClientOptions are the options that the store is made for: no redirects, two tries within
// seven seconds. A Retry-After of more than a second is not waited for.
func ClientOptions() *azsecrets.ClientOptions {
	o := &azsecrets.ClientOptions{}
	o.Retry = policy.RetryOptions{MaxRetries: 1, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: time.Second, TryTimeout: tryTimeout}
	o.Telemetry.ApplicationID = "fhirlink"
	o.Transport = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return o
}

// NewName is secret.Namer's.
func (s *Store) NewName(kind string) string { return secret.NewName(kind) }

// Get returns one enabled version. An expired one too: Key Vault's exp is informational.
func (s *Store) Get(ctx context.Context, name, version string) (secret.Value, error) {
	if err := checkVersion(name, version); err != nil {
		return secret.Value{}, err
	}
	r, err := s.client.GetSecret(ctx, name, version, nil)
	if err != nil {
		return secret.Value{}, explain(ctx, "reading", name, err)
	}
	if r.Value == nil {
		return secret.Value{}, explain(ctx, "reading", name, errIncomplete)
	}
	return secret.New(*r.Value), nil
}

// Put adds a version. It is tried once, because a second try after an answer that got lost
// would make a second version.
func (s *Store) Put(ctx context.Context, name string, v secret.Value, a secret.Attributes) (string, error) {
	if err := errors.Join(secret.CheckLocal(name), secret.CheckValue(v)); err != nil {
		return "", err
	}
	once := policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1, TryTimeout: tryTimeout})
	r, err := s.client.SetSecret(once, name, azsecrets.SetSecretParameters{
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

// Update changes a version. Key Vault cannot take an exp away: a zero ExpiresOn leaves what
// was there.
func (s *Store) Update(ctx context.Context, name, version string, enabled bool, a secret.Attributes) error {
	if err := checkVersion(name, version); err != nil {
		return err
	}
	_, err := s.client.UpdateSecretProperties(ctx, name, version, azsecrets.UpdateSecretPropertiesParameters{
		ContentType: to.Ptr(contentType), Tags: tags(a), SecretAttributes: attributes(enabled, a),
	}, nil)
	if err != nil {
		return explain(ctx, "changing", name, err)
	}
	return nil
}

// Versions lists the versions of name.
func (s *Store) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	if err := secret.CheckLocal(name); err != nil {
		return nil, err
	}
	var all []secret.Version
	for pager := s.client.NewListSecretPropertiesVersionsPager(name, nil); pager.More(); {
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

// Delete removes the secret; soft delete keeps its name from being used again for as long
// as the vault's retention says.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := secret.CheckLocal(name); err != nil {
		return err
	}
	_, err := s.client.DeleteSecret(ctx, name, nil)
	switch status(err) {
	case http.StatusNotFound, http.StatusConflict: // is deleted, or is being deleted
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
		attributes.Enabled = &enabled // left out, it stays as it is
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
