package credential

import (
	"context"
	"fmt"
	"strings"

	"fhirlink/shared/secret"
)

// Credential is a [ClientSecret] or a [Certificate]. Two credentials of one type are equal under
// == if they hold the same [secret.Value].
type Credential interface {
	Kind() Kind
	// Text returns the text that the store of secrets keeps.
	Text() secret.Value
	sealed()
}

// Kind is the kind of a stored text. Rows store its value.
type Kind string

// The kinds. Rows written before kinds were stored have the zero Kind.
const (
	KindClientSecret Kind = "client_secret"
	KindCertificate  Kind = "certificate"
)

// ClientSecret is a password of the application.
type ClientSecret struct{ Value secret.Value }

// Certificate is a certificate of the application with its private key, and the chain if there is
// one, as PEM.
type Certificate struct{ PEM secret.Value }

// Kind returns KindClientSecret.
func (ClientSecret) Kind() Kind { return KindClientSecret }

// Kind returns KindCertificate.
func (Certificate) Kind() Kind { return KindCertificate }

// Text returns the password.
func (c ClientSecret) Text() secret.Value { return c.Value }

// Text returns the PEM text.
func (c Certificate) Text() secret.Value { return c.PEM }

func (ClientSecret) sealed() {}
func (Certificate) sealed()  {}

// pemStart is the beginning of every PEM text (RFC 7468 §2). Package intake accepts no client
// secret that begins with it.
const pemStart = "-----BEGIN"

// LooksLikePEM reports whether a text begins like a certificate or a key.
func LooksLikePEM(text string) bool { return strings.HasPrefix(text, pemStart) }

// Read returns the credential of the given kind from its stored text. Rows written before kinds
// were stored have none; for them the beginning of the text decides. An error means that a later
// version of this program wrote the row.
func Read(kind Kind, text secret.Value) (Credential, error) {
	if kind == "" && LooksLikePEM(text.Reveal()) {
		kind = KindCertificate
	}
	switch kind {
	case KindClientSecret, "":
		return ClientSecret{text}, nil
	case KindCertificate:
		return Certificate{text}, nil
	}
	return nil, fmt.Errorf("no credential of the kind %.40q is known to this version of the program", string(kind))
}

// Store is the part of [secret.Store] that Load needs.
type Store interface {
	Get(ctx context.Context, name, version string) (secret.Value, error)
}

// Load reads a version of a credential from the store of secrets. The error is the store's or
// Read's.
func Load(ctx context.Context, from Store, name, version string, kind Kind) (Credential, error) {
	text, err := from.Get(ctx, name, version)
	if err != nil {
		return nil, err
	}
	return Read(kind, text)
}
