// Package smartauth is SMART authorization in front of Entra: what an organization sets for the apps of
// its link, and what those apps are granted (SMART App Launch 2.2, RFC 6749).
//
// A link with SMART settings is an authorization server of its own. Entra signs the user in; this
// package decides what an app may have of what it asks for, and keeps what lies between the two.
package smartauth
