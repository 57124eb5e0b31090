package intake

import (
	"fhirlink/shared/date"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// Changes is what a Patch comes to on a given link.
type Changes struct {
	Description *string // nil: as it is; likewise Listed and Contacts
	Listed      *bool
	Contacts    *[]string

	Target    verification.Target // after the change
	Verify    bool                // Target differs, or there is a new credential: it must be verified
	ExpiresOn date.Date           // of the credential, after the change
	Dated     bool                // the date is among the changes
}

// Patch reads a change of a link that has this target, whose Credential is not set, and a
// credential that ends on expiresOn. Another server names its own tenant and audience, unless
// they are given.
func (r *Reader) Patch(p Patch, target verification.Target, expiresOn date.Date) Changes {
	c := Changes{Target: target, ExpiresOn: expiresOn, Listed: p.Listed}
	if p.FHIRServerURL != nil {
		c.Target.Server = r.Server(*p.FHIRServerURL)
	}
	if p.TenantID != nil {
		c.Target.TenantID = r.tenantID(*p.TenantID)
	}
	if p.ClientID != nil {
		c.Target.ClientID = r.clientID(*p.ClientID, c.Target.TenantID)
	}
	if p.Audience != nil {
		c.Target.Audience = r.audience(*p.Audience)
	}
	c.Verify = c.Target != target || p.BringsCredential()
	if c.Target.Server != target.Server {
		if p.TenantID == nil {
			c.Target.TenantID = ""
		}
		if p.Audience == nil {
			c.Target.Audience = ""
		}
	}
	r.credentialOf(p, &c)
	if p.Description != nil {
		description := r.description(*p.Description)
		c.Description = &description
	}
	if p.Contacts.Present {
		contacts := []string(nil)
		if p.Contacts.Value != nil {
			contacts = r.contacts(*p.Contacts.Value)
		}
		c.Contacts = &contacts
	}
	return c
}

// credentialOf reads the patch's credential and the date on which it ends.
func (r *Reader) credentialOf(p Patch, c *Changes) {
	known := c.ExpiresOn
	if p.SecretExpiresOn.Present {
		c.Dated, c.ExpiresOn = true, date.Date{}
		if p.SecretExpiresOn.Value != nil {
			c.ExpiresOn = r.expiresOn(*p.SecretExpiresOn.Value)
		}
	}
	if p.undated() && !known.IsZero() {
		c.ExpiresOn = date.Date{}
		r.Note("cleared secretExpiresOn, because a client secret came without its date")
	}
	if p.BringsCredential() {
		c.Target.Credential, c.ExpiresOn = r.credential(p.ClientSecret, p.ClientCertificate, c.ExpiresOn)
	}
}

// undated reports whether the patch has a client secret without the date on which it ends.
func (p Patch) undated() bool {
	unsaid := !p.SecretExpiresOn.Present || p.newSecret && *p.SecretExpiresOn.Value == ""
	return unsaid && !p.ClientSecret.IsZero()
}

// BringsCredential reports whether the patch has a new credential, or must have one.
func (p Patch) BringsCredential() bool {
	return p.newSecret || !p.ClientSecret.IsZero() || !p.ClientCertificate.IsZero()
}

// SecretRequired is the answer to a change of what the secret is used with. Somebody who could
// point a stored secret at another server or application could have its tokens sent there.
func SecretRequired() error {
	const (
		message = "Changing fhirServerUrl, clientId, tenantId or audience needs clientSecret in the same request."
		fix     = "Send it too, or leave these fields out."
	)
	return problem.InField(problem.SecretRequired, "clientSecret", message, fix)
}
