package intake

import (
	"crypto/tls"
	"crypto/x509"
	"strings"

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

// maxSecret bounds the client secret, in bytes; Entra's have 40.
const maxSecret = 1024

func (r *Reader) secret(v secret.Value) secret.Value {
	text := strings.TrimSpace(v.Reveal())
	const fix = "In the Microsoft Entra admin center open App registrations, your app, Certificates & secrets, create a new client secret, and copy its Value: it is shown only once."
	switch {
	case v.IsZero():
		r.bad(required("clientSecret", fix))
	case text == "":
		r.fail("clientSecret", "secret_blank", fix, "The client secret is blank.")
	case guid.MatchString(strings.ToLower(text)):
		r.fail("clientSecret", "secret_is_id", fix, "This is a GUID: the Secret ID (or the client id) was pasted instead of the secret's Value.")
	case credential.LooksLikePEM(text):
		r.fail("clientSecret", "secret_is_certificate", "Send it as clientCertificate, together with its private key.", "This is a PEM block, not a client secret.")
	case len(text) > maxSecret:
		r.fail("clientSecret", "secret_too_long", fix, "The client secret has %d bytes, more than the %d allowed.", len(text), maxSecret)
	case strings.ContainsFunc(text, unprintable):
		r.fail("clientSecret", "secret_syntax", fix, "The client secret holds a line break or a control character.")
	case text != v.Reveal():
		r.Note("removed white space around the client secret")
	}
	return secret.New(text)
}

// expiresOn reads the date on which the secret ends. Entra's longest is 24 months
// (https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials).
func (r *Reader) expiresOn(raw string) date.Date {
	const fix = "Copy the date in the column Expires beside the secret, as YYYY-MM-DD."
	d, err := date.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil:
		r.fail("secretExpiresOn", "expiry_syntax", fix, "The value is not a date of the form YYYY-MM-DD.")
	case d.IsZero():
	case d.DaysFrom(r.today) < 0:
		r.fail("secretExpiresOn", "expiry_past", fix+" If it is right, create a new secret.", "The date %s has passed.", d)
	case d.Time().After(r.today.Time().AddDate(0, 24, 1)):
		r.fail("secretExpiresOn", "expiry_too_far", fix, "The date %s is more than 24 months away; Entra's secrets do not last that long.", d)
	}
	return d
}
