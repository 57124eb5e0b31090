package fhir

import (
	"errors"
	"fmt"
	"io"
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

const oauthURIs = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"

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
			if resourceType, err = s.text(); err == nil && resourceType != "CapabilityStatement" {
				return errors.New("another resource type")
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
	if err == nil && resourceType == "" {
		err = errors.New("no resource type")
	}
	return c, err
}

func (s scanner) rest(found *OAuthURIs) error {
	return s.object(func(key string) error {
		if key != "security" {
			return s.skip()
		}
		return s.object(func(key string) error {
			if key != "extension" {
				return s.skip()
			}
			return s.array(func() error { return s.oauthURIs(found) })
		})
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
	if name == oauthURIs && *found == (OAuthURIs{}) {
		*found = uris
	}
	return err
}

func (s scanner) oauthURI(uris *OAuthURIs) error {
	var name, uri string
	err := s.object(func(key string) (err error) {
		switch key {
		case "url":
			name, err = s.text()
		case "valueUri":
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
