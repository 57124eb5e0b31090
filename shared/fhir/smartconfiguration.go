package fhir

import (
	"errors"
	"io"
)

// SMARTConfiguration is the part of .well-known/smart-configuration that linking needs (SMART App
// Launch 2.2 §7).
type SMARTConfiguration struct {
	Authorize string
	Token     string
	Issuer    string
	Keys      string // jwks_uri
}

// maxSMARTConfiguration limits a document, in bytes. Lists of granular scopes make it long.
const maxSMARTConfiguration = 1 << 20

// readSMARTConfiguration ignores members of an unexpected type, and takes what stands before a
// syntax error: the document only helps to find the tenant.
func readSMARTConfiguration(body io.Reader) (c SMARTConfiguration, err error) {
	noting := &notingReader{r: io.LimitReader(body, maxSMARTConfiguration)}
	s := newScanner(noting)
	members := map[string]*string{
		"authorization_endpoint": &c.Authorize, "token_endpoint": &c.Token, "issuer": &c.Issuer, "jwks_uri": &c.Keys,
	}
	syntax := s.object(func(key string) error {
		member := members[key]
		if member == nil || *member != "" {
			return s.skip()
		}
		*member, err = s.text()
		return err
	})
	if noting.err != nil {
		return SMARTConfiguration{}, noting.err
	}
	if c == (SMARTConfiguration{}) {
		return c, errors.Join(errors.New("not a SMART configuration"), syntax)
	}
	return c, nil
}
