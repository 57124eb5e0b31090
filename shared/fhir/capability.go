package fhir

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Capability is the part of a CapabilityStatement that linking needs.
type Capability struct {
	FHIRVersion string // e.g. 4.0.1
	OAuth       OAuthURIs
}

// OAuthURIs is the oauth-uris extension of SMART App Launch in rest.security.
type OAuthURIs struct {
	Authorize string
	Token     string
}

// Reasons why a body is not a usable CapabilityStatement.
var (
	ErrNotCapability = errors.New("not a CapabilityStatement")
	ErrTooLarge      = errors.New("larger than the limit")
)

// MaxCapability is the size limit of a CapabilityStatement, in bytes after decompression.
// Microsoft's has about 1 MB.
const MaxCapability = 8 << 20

// oauthURIs is the extension's URL without its scheme: some servers write https.
const oauthURIs = "://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"

// OtherResourceError says that a body is a resource of another type. FHIRVersion is set for the
// Conformance statement of DSTU2 only.
type OtherResourceError struct{ Type, FHIRVersion string }

// Error implements error.
func (e *OtherResourceError) Error() string { return "another resource type" }

// ReadCapability reads a CapabilityStatement as a stream to its end, in constant memory. The
// error is ErrNotCapability, ErrTooLarge, or the error of r.
func ReadCapability(r io.Reader) (Capability, error) {
	limited := &io.LimitedReader{R: r, N: MaxCapability + 1}
	noting := &notingReader{r: limited}
	c, err := newScanner(noting).capability()
	switch {
	case err == nil:
		return c, nil
	case limited.N <= 0:
		return Capability{}, fmt.Errorf("%w of %d bytes", ErrTooLarge, MaxCapability)
	case noting.err != nil:
		return Capability{}, noting.err
	}
	return Capability{}, fmt.Errorf("%w: %w", ErrNotCapability, err)
}

// notingReader keeps the error of its reader, which tells a broken connection from a broken
// document.
type notingReader struct {
	r   io.Reader
	err error
}

func (n *notingReader) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return k, err
}

func (s scanner) capability() (c Capability, err error) {
	var resourceType string
	err = s.object(func(key string) (err error) {
		switch key {
		case "resourceType":
			resourceType, err = s.text()
			if err == nil && resourceType != statement && resourceType != conformance {
				return &OtherResourceError{Type: resourceType}
			}
			return err
		case "fhirVersion":
			c.FHIRVersion, err = s.text()
			return err
		case "rest":
			return s.array(func() error { return s.rest(&c.OAuth) })
		}
		return s.skip()
	})
	switch {
	case err != nil:
		return c, err
	case resourceType == conformance:
		return c, &OtherResourceError{Type: conformance, FHIRVersion: c.FHIRVersion}
	case resourceType == "":
		return c, errors.New("no resource type")
	}
	return c, nil
}

const (
	statement   = "CapabilityStatement"
	conformance = "Conformance" // its name in DSTU2
)

func (s scanner) rest(found *OAuthURIs) error {
	return s.object(func(key string) error {
		if key != "security" {
			return s.skip()
		}
		return s.security(found)
	})
}

// security reads the extensions of rest.security, where they belong, and of its services, where
// some servers put them.
func (s scanner) security(found *OAuthURIs) error {
	return s.object(func(key string) error {
		switch key {
		case "extension":
			return s.array(func() error { return s.oauthURIs(found) })
		case "service":
			return s.array(func() error { return s.service(found) })
		}
		return s.skip()
	})
}

func (s scanner) service(found *OAuthURIs) error {
	return s.object(func(key string) error {
		if key != "extension" {
			return s.skip()
		}
		return s.array(func() error { return s.oauthURIs(found) })
	})
}

// oauthURIs reads one extension. Its url may come before or after its parts.
func (s scanner) oauthURIs(found *OAuthURIs) error {
	var name string
	var uris OAuthURIs
	err := s.object(func(key string) (err error) {
		switch key {
		case "url":
			name, err = s.text()
			return err
		case "extension":
			return s.array(func() error { return s.oauthURI(&uris) })
		}
		return s.skip()
	})
	_, place, _ := strings.Cut(name, "://")
	if "://"+strings.TrimSuffix(place, "/") == oauthURIs && *found == (OAuthURIs{}) {
		*found = uris
	}
	return err
}

func (s scanner) oauthURI(uris *OAuthURIs) error {
	var name, uri string
	err := s.object(func(key string) (err error) {
		switch {
		case key == "url":
			name, err = s.text()
		case strings.HasPrefix(key, "value"): // valueUri is right; servers publish valueUrl and valueString, too
			uri, err = s.text()
		default:
			err = s.skip()
		}
		return err
	})
	switch name {
	case "authorize":
		uris.Authorize = uri
	case "token":
		uris.Token = uri
	}
	return err
}
