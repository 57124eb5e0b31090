// Package authorize is where users sign in for an app (RFC 6749 §4.1.1; SMART App Launch 2.2):
//
//	GET, POST {issuer}/authorize                sends the user to Entra
//	GET, POST {issuer}/oauth2/v2.0/authorize    the same, where Microsoft's FHIR server looks after a failure
//	GET       {issuer}/callback                 takes Entra's answer, and sends the user back to the app
//
// Errors go back to the app where its redirect URI is known to be its own; others are pages. Every redirect
// is a 303.
package authorize
