// Package mail sends digests over SMTP: a [notify.Mailer].
//
// A digest is one message of plain text in one transaction, whose recipients do not see each
// other. The connection is encrypted, by STARTTLS (RFC 3207), or from its start on port 465
// (RFC 8314); only a server on loopback may do without. A mail server may have taken a message
// although its answer got lost, so a digest may arrive twice: it says so, and both have one
// Message-ID.
package mail
