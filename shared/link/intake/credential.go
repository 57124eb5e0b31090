package intake

import (
	"crypto/tls"
	"crypto/x509"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/secret"
)

// credential reads the credential, which is of one of the two kinds, and when it ends. The date of a
// certificate counts more than a typed one.
func (r *Reader) credential(clientSecret, clientCertificate secret.Value, typed date.Date) (credential.Credential, date.Date) {
	if clientCertificate.IsZero() {
		return credential.ClientSecret{Value: r.secret(clientSecret)}, typed
	}
	if !clientSecret.IsZero() {
		r.fail("clientCertificate", "secret_and_certificate", "Send either clientSecret or clientCertificate.", "The request has both a client secret and a client certificate.")
	}
	ends := r.certificate(clientCertificate)
	if !typed.IsZero() && !ends.IsZero() && typed != ends {
		r.Note("took the date on which the certificate ends, %s, instead of secretExpiresOn", ends)
	}
	return credential.Certificate{PEM: clientCertificate}, ends
}

// maxCertificate bounds a certificate with its key and its chain, in bytes.
const maxCertificate = 16 << 10

// certificate checks a PEM file and returns the date on which the certificate ends. Entra
// takes RSA keys only (https://learn.microsoft.com/entra/identity-platform/certificate-credentials).
func (r *Reader) certificate(v secret.Value) date.Date {
	const field = "clientCertificate"
	const fix = "Send one PEM text with the certificate that is uploaded under Certificates & secrets and its unencrypted RSA private key (PKCS #8)."
	text := []byte(v.Reveal())
	if len(text) > maxCertificate {
		r.fail(field, "certificate_too_long", fix, "The certificate has %d bytes, more than the %d allowed.", len(text), maxCertificate)
		return date.Date{}
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		r.fail(field, "certificate_syntax", fix, "The text does not hold a certificate and the private key that belongs to it.")
		return date.Date{}
	}
	if pair.Leaf.PublicKeyAlgorithm != x509.RSA {
		r.fail(field, "certificate_not_rsa", fix, "The certificate's key is not an RSA key, which is the only kind that Entra takes.")
	}
	ends := date.Of(pair.Leaf.NotAfter)
	if ends.DaysFrom(r.today) < 0 {
		r.fail(field, "expiry_past", "Create a new certificate, upload it to the app registration, and send that one.", "The certificate ended on %s.", ends)
	}
	return ends
}
