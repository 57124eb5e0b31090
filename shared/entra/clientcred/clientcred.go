package clientcred

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
)

// Limits of one call. Entra throttles with a Retry-After of up to a minute. A wait longer than
// maxDelay is not waited for but returned to the caller.
const (
	tryTimeout = 5 * time.Second
	delay      = 200 * time.Millisecond
	maxDelay   = time.Second

	maxLifetime = 24 * time.Hour // the longest time for which a token is trusted, whatever its expires_in
)

// Source implements [entra.TokenSource]. The zero Source uses Go's default transport. A Source must
// not be copied.
type Source struct {
	Client *http.Client // its redirect policy is ignored: redirects are never followed

	known configurations
}

// Token requests a new token with one POST, and one GET before it unless the tenant's
// openid-configuration is known. Each is tried at most twice. It sends the secret over TLS to the
// host of c.Authority only.
func (s *Source) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	if bad := c.Refused(); bad != nil {
		return entra.Token{}, bad
	}
	transport, err := s.transport(c.Authority)
	if err != nil {
		return entra.Token{}, err
	}
	identity, err := transport.credential(c)
	if err != nil {
		return entra.Token{}, entra.NotReached(ctx, err)
	}
	token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		err = transport.explain(ctx, c.Credential)
		if forgets(err) {
			s.known.forget(transport.host, c.TenantID)
		}
		return entra.Token{}, err
	}
	return transport.usable(token)
}

// numberTenant is the number of Entra's error that the tenant does not exist (any more).
const numberTenant = 90002

// forgets reports whether an error casts doubt on where the tenant's token endpoint is. A refusal came
// from there, unless it says that there is no such tenant; a caller that goes away says nothing.
func forgets(err error) bool {
	var refusal *entra.Refusal
	if errors.As(err, &refusal) {
		return refusal.Number == numberTenant
	}
	return !errors.Is(err, context.Canceled)
}

// credential returns azidentity's credential for the type of c.Credential. The operator
// configures the authority, so instance discovery is off.
func (t *transport) credential(c entra.Credentials) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.Authority},
		Transport: t,
		Retry:     policy.RetryOptions{MaxRetries: 1, RetryDelay: delay, MaxRetryDelay: maxDelay, TryTimeout: tryTimeout},
	}
	switch of := c.Credential.(type) {
	case credential.ClientSecret:
		return azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, of.Value.Reveal(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	case credential.Certificate:
		chain, key, err := azidentity.ParseCertificates([]byte(of.PEM.Reveal()), nil)
		if err != nil {
			return nil, errCertificate
		}
		return azidentity.NewClientCertificateCredential(c.TenantID, c.ClientID, chain, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	}
	return nil, fmt.Errorf("a credential of type %T cannot be used for client credentials", c.Credential)
}

// errCertificate replaces azidentity's error about a PEM text, which might quote the text.
var errCertificate = errors.New("the stored client certificate cannot be read")

// transport returns the transport to one authority.
func (s *Source) transport(authority string) (*transport, error) {
	u, err := url.Parse(authority)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, &entra.Unreachable{Reason: "its configured address is not an https URL"}
	}
	client := http.Client{}
	if s.Client != nil {
		client = *s.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &transport{client: &client, host: u.Host, known: &s.known}, nil
}

// usable rejects unusable answers that azidentity accepts.
func (t *transport) usable(token azcore.AccessToken) (entra.Token, error) {
	var wire struct {
		TokenType string `json:"token_type"`
	}
	now := time.Now()
	if json.Unmarshal(t.body, &wire) != nil || !strings.EqualFold(wire.TokenType, "Bearer") || !token.ExpiresOn.After(now) {
		return entra.Token{}, &entra.Unreachable{Reason: "it answered with a token that cannot be used", Status: t.status}
	}
	expires := token.ExpiresOn
	if limit := now.Add(maxLifetime); expires.After(limit) {
		expires = limit
	}
	return entra.Token{Access: secret.New(token.Token), ExpiresOn: expires}, nil
}
