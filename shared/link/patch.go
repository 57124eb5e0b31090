package link

import (
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// changes is what a Patch comes to on a given link.
type changes struct {
	target      verification.Target
	credentials bool // the target differs from the link's: the secret is needed, and a verification
	expiresOn   Date
	source      Source
	keyID       string
	dated       bool // the date of the secret's end is among the changes
}

func (s *Service) changes(f *fields, l Link, p Patch) (changes, error) {
	target, err := l.target()
	if err != nil {
		return changes{}, err
	}
	c := changes{target: target, expiresOn: l.Secret.ExpiresOn, source: l.Secret.Source}
	if p.FHIRServerURL != nil {
		c.target.Server = f.server(*p.FHIRServerURL)
	}
	if p.TenantID != nil {
		c.target.TenantID = f.tenantID(*p.TenantID)
	}
	if p.ClientID != nil {
		c.target.ClientID = f.clientID(*p.ClientID, c.target.TenantID)
	}
	if p.Audience != nil {
		c.target.Audience = f.audience(*p.Audience)
	}
	c.credentials = c.target != target || p.brings()
	if c.target.Server != target.Server { // another server names its own, unless they are given
		if p.TenantID == nil {
			c.target.TenantID = ""
		}
		if p.Audience == nil {
			c.target.Audience = ""
		}
	}
	if p.SecretExpiresOn.Present {
		c.dated, c.expiresOn = true, Date{}
		if p.SecretExpiresOn.Value != nil {
			c.expiresOn = f.expiresOn(*p.SecretExpiresOn.Value)
		}
	}
	if p.undated() && !l.Secret.ExpiresOn.IsZero() {
		c.expiresOn = Date{}
		f.note("cleared secretExpiresOn, because a client secret came without its date")
	}
	if p.brings() {
		c.target.Credential, c.expiresOn = f.credential(p.ClientSecret, p.ClientCertificate, c.expiresOn)
	}
	if c.dated || p.brings() {
		c.source = sourceOf(c.expiresOn, p.ClientCertificate)
	}
	return c, nil
}

// undated tells whether the patch has a client secret without a word on when it ends.
func (p Patch) undated() bool {
	unsaid := !p.SecretExpiresOn.Present || p.newSecret && *p.SecretExpiresOn.Value == ""
	return unsaid && !p.ClientSecret.IsZero()
}

// brings tells whether the patch has a new credential, or must have one.
func (p Patch) brings() bool {
	return p.newSecret || !p.ClientSecret.IsZero() || !p.ClientCertificate.IsZero()
}

// secretRequired is the answer to a change of what the secret is used with: whoever could
// point a stored secret at another server or application could have its tokens sent there.
func secretRequired() error {
	return problem.New(problem.SecretRequired, "Changing fhirServerUrl, clientId, tenantId or audience needs clientSecret in the same request. Send it too, or leave these fields out.")
}
