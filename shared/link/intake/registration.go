package intake

import (
	"encoding/json"

	"fhirlink/shared/date"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// Registration is what a clinic's administrator hands over: seed 1's five fields, and the
// optional ones.
type Registration struct {
	Slug            string       `json:"slug"`
	Description     string       `json:"description"`
	FHIRServerURL   string       `json:"fhirServerUrl"`
	ClientID        string       `json:"clientId"`
	ClientSecret    secret.Value `json:"clientSecret"`
	SecretExpiresOn string       `json:"secretExpiresOn"` // YYYY-MM-DD
	TenantID        string       `json:"tenantId"`
	Audience        string       `json:"audience"`
	Listed          bool         `json:"listed"`
	Contacts        []string     `json:"contacts"` // e-mail addresses of the people to tell about the secret's end

	// ClientCertificate takes the place of ClientSecret: a certificate and its RSA key, PEM.
	ClientCertificate secret.Value `json:"clientCertificate"`
}

// NewSecret is a client secret, or a certificate, that replaces the current one.
type NewSecret struct {
	ClientSecret      secret.Value `json:"clientSecret"`
	ClientCertificate secret.Value `json:"clientCertificate"`
	SecretExpiresOn   string       `json:"secretExpiresOn"`
}

// Patch is a change of some fields of a link. Nil leaves a field as it is, and so does a JSON null,
// except for the Nullable ones, which it clears.
type Patch struct {
	Description     *string            `json:"description"`
	Listed          *bool              `json:"listed"`
	SecretExpiresOn Nullable[string]   `json:"secretExpiresOn"`
	FHIRServerURL   *string            `json:"fhirServerUrl"`
	ClientID        *string            `json:"clientId"`
	TenantID        *string            `json:"tenantId"`
	Audience        *string            `json:"audience"`
	Contacts        Nullable[[]string] `json:"contacts"`
	ClientSecret    secret.Value       `json:"clientSecret"`

	ClientCertificate secret.Value `json:"clientCertificate"`

	newSecret bool // a secret or a certificate is required
}

// Patch is the change that brings the secret.
func (n NewSecret) Patch() Patch {
	return Patch{
		ClientSecret:      n.ClientSecret,
		ClientCertificate: n.ClientCertificate,
		SecretExpiresOn:   Nullable[string]{Present: true, Value: &n.SecretExpiresOn},
		newSecret:         true,
	}
}

// Nullable distinguishes a JSON member that is absent from one that is null.
type Nullable[T any] struct {
	Present bool
	Value   *T // nil when the member is null
}

// UnmarshalJSON runs for present members only, null included.
func (n *Nullable[T]) UnmarshalJSON(data []byte) error {
	n.Present = true
	return json.Unmarshal(data, &n.Value)
}

// Application is what an organization hands over of a SMART app's own registration in Entra.
type Application struct {
	ClientID        string       `json:"clientId"`
	ClientSecret    secret.Value `json:"clientSecret"`
	SecretExpiresOn string       `json:"secretExpiresOn"` // YYYY-MM-DD
}

// Accepted is a registration without mistakes.
type Accepted struct {
	Slug        string
	Description string
	Target      verification.Target
	ExpiresOn   date.Date // of the credential; zero: not known
	Listed      bool
	Contacts    []string
}

// Registration reads a registration.
func (r *Reader) Registration(in Registration) Accepted {
	slug, mistake := Slug(in.Slug)
	r.bad(mistake)
	out := Accepted{Slug: slug, Description: r.description(in.Description), Listed: in.Listed}
	out.Target.Server = r.Server(in.FHIRServerURL)
	out.Target.TenantID = r.tenantID(in.TenantID)
	out.Target.ClientID = r.clientID(in.ClientID, out.Target.TenantID)
	out.Target.Audience = r.audience(in.Audience)
	typed := r.expiresOn(in.SecretExpiresOn)
	out.Contacts = r.contacts(in.Contacts)
	out.Target.Credential, out.ExpiresOn = r.credential(in.ClientSecret, in.ClientCertificate, typed)
	return out
}

// Application reads a registration of an app, whose tenant and resource are those of a target.
func (r *Reader) Application(in Application, target verification.Target) Accepted {
	out := Accepted{Target: target}
	out.Target.ClientID = r.clientID(in.ClientID, target.TenantID)
	typed := r.expiresOn(in.SecretExpiresOn)
	out.Target.Credential, out.ExpiresOn = r.credential(in.ClientSecret, secret.Value{}, typed)
	return out
}
