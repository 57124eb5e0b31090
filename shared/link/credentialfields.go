package link

import (
	"crypto/tls"
	"crypto/x509"
	"strings"

	"fhirlink/shared/credential"
	"fhirlink/shared/secret"
)

// credential reads the one credential of the two kinds, and when it ends: for a certificate
// that is its own date, whatever was typed.
func (f *fields) credential(clientSecret, clientCertificate secret.Value, typed Date) (credential.Credential, Date) {
	if clientCertificate.IsZero() {
		return credential.ClientSecret{Value: f.secret(clientSecret)}, typed
	}
	if !clientSecret.IsZero() {
		f.fail("clientCertificate", "secret_and_certificate", "Send either clientSecret or clientCertificate.", "The request has both a client secret and a client certificate.")
	}
	ends := f.certificate(clientCertificate)
	if !typed.IsZero() && !ends.IsZero() && typed != ends {
		f.note("took the date on which the certificate ends, %s, instead of secretExpiresOn", ends)
	}
	return credential.Certificate{PEM: clientCertificate}, ends
}

// maxCertificate bounds a certificate with its key and its chain, in bytes.
const maxCertificate = 16 << 10

// certificate checks a PEM file and returns the date on which the certificate ends. Entra
// takes RSA keys only (https://learn.microsoft.com/entra/identity-platform/certificate-credentials).
func (f *fields) certificate(v secret.Value) Date {
	const field = "clientCertificate"
	const fix = "Send one PEM text with the certificate that is uploaded under Certificates & secrets and its unencrypted RSA private key (PKCS #8)."
	text := []byte(v.Reveal())
	if len(text) > maxCertificate {
		f.fail(field, "certificate_too_long", fix, "The certificate has %d bytes, more than the %d allowed.", len(text), maxCertificate)
		return Date{}
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		f.fail(field, "certificate_syntax", fix, "The text does not hold a certificate and the private key that belongs to it.")
		return Date{}
	}
	if pair.Leaf.PublicKeyAlgorithm != x509.RSA {
		f.fail(field, "certificate_not_rsa", fix, "The certificate's key is not an RSA key, which is the only kind that Entra takes.")
	}
	ends := DateOf(pair.Leaf.NotAfter)
	if ends.DaysFrom(f.today) < 0 {
		f.fail(field, "expiry_past", "Create a new certificate, upload it to the app registration, and send that one.", "The certificate ended on %s.", ends)
	}
	return ends
}

// maxSecret bounds the client secret, in bytes; Entra's have 40.
const maxSecret = 1024

func (f *fields) secret(v secret.Value) secret.Value {
	text := strings.TrimSpace(v.Reveal())
	const fix = "In the Microsoft Entra admin center open App registrations, your app, Certificates & secrets, create a new client secret, and copy its Value: it is shown only once."
	switch {
	case v.IsZero():
		f.bad(required("clientSecret", fix))
	case text == "":
		f.fail("clientSecret", "secret_blank", fix, "The client secret is blank.")
	case guid.MatchString(strings.ToLower(text)):
		f.fail("clientSecret", "secret_is_id", fix, "This is a GUID: the Secret ID (or the client id) was pasted instead of the secret's Value.")
	case credential.LooksLikePEM(text):
		f.fail("clientSecret", "secret_is_certificate", "Send it as clientCertificate, together with its private key.", "This is a PEM block, not a client secret.")
	case len(text) > maxSecret:
		f.fail("clientSecret", "secret_too_long", fix, "The client secret has %d bytes, more than the %d allowed.", len(text), maxSecret)
	case strings.ContainsFunc(text, unprintable):
		f.fail("clientSecret", "secret_syntax", fix, "The client secret holds a line break or a control character.")
	case text != v.Reveal():
		f.note("removed white space around the client secret")
	}
	return secret.New(text)
}

// expiresOn reads the date on which the secret ends. Entra's longest is 24 months
// (https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials).
func (f *fields) expiresOn(raw string) Date {
	const fix = "Copy the date in the column Expires beside the secret, as YYYY-MM-DD."
	d, err := ParseDate(strings.TrimSpace(raw))
	switch {
	case err != nil:
		f.fail("secretExpiresOn", "expiry_syntax", fix, "The value is not a date of the form YYYY-MM-DD.")
	case d.IsZero():
	case d.DaysFrom(f.today) < 0:
		f.fail("secretExpiresOn", "expiry_past", fix+" If it is right, create a new secret.", "The date %s has passed.", d)
	case d.Time().After(f.today.Time().AddDate(0, 24, 1)):
		f.fail("secretExpiresOn", "expiry_too_far", fix, "The date %s is more than 24 months away; Entra's secrets do not last that long.", d)
	}
	return d
}
