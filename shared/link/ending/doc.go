// Package ending is when the credential of a link ends, and how that is known: its owner typed the
// date, the certificate holds it, Microsoft Graph told it, or Entra refused an expired secret.
package ending
