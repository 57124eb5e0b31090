package credential

import (
	"context"
	"fmt"
	"strings"

	"fhirlink/shared/secret"
)

// Credential is one of [ClientSecret] and [Certificate]. Credentials of one type are equal
// under == when they hold the same [secret.Value].
type Credential interface {
	Kind() Kind
	// Text is what the store of secrets keeps of the credential.
	Text() secret.Value
	sealed()
}

// Kind says what a stored text is. The values are stored in rows.
type Kind string

// The kinds. The zero Kind is that of rows from before kinds were stored.
const (
	KindClientSecret Kind = "client_secret"
	KindCertificate  Kind = "certificate"
)

// ClientSecret is a password of the application.
type ClientSecret struct{ Value secret.Value }

// Certificate is a certificate of the application with its private key, and the chain if there
// is one, as PEM.
type Certificate struct{ PEM secret.Value }

// Kind is KindClientSecret.
func (ClientSecret) Kind() Kind { return KindClientSecret }

// Kind is KindCertificate.
func (Certificate) Kind() Kind { return KindCertificate }

// Text is the password.
func (c ClientSecret) Text() secret.Value { return c.Value }

// Text is the PEM text.
func (c Certificate) Text() secret.Value { return c.PEM }

func (ClientSecret) sealed() {}
func (Certificate) sealed()  {}

// pemStart begins every PEM text (RFC 7468 §2). Package intake accepts no client secret that
// begins so.
const pemStart = "-----BEGIN"

// LooksLikePEM reports whether a text begins like a certificate or a key.
func LooksLikePEM(text string) bool { return strings.HasPrefix(text, pemStart) }

// Read is the credential of a kind whose text a store of secrets kept. Without a kind, which is
// how rows were stored before kinds were, the text's beginning decides. An error means that the
// row was written by a later version of this program.
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

// Load gets a version of a credential out of the store of secrets. Errors are the store's, and
// Read's.
func Load(ctx context.Context, from Store, name, version string, kind Kind) (Credential, error) {
	text, err := from.Get(ctx, name, version)
	if err != nil {
		return nil, err
	}
	return Read(kind, text)
}
