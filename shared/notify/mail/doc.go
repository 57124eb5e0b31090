// Package mail sends digests over SMTP. It implements [notify.Mailer].
//
// A digest is one plain-text message in one transaction; the recipients do not see each other.
// The connection is encrypted: by STARTTLS (RFC 3207), or from its start on port 465 (RFC 8314).
// Only a server on loopback may do without. If an answer is lost, the server may have accepted
// the message, so a digest may arrive twice. Its text says so, and both copies have the same
// Message-ID.
package mail
