// Package smartapp is a small SMART app for the browsers of this machine: it launches by itself, or a pretend
// EHR opens it (SMART App Launch 2.2, "Standalone Launch" and "EHR Launch"), and it shows each request that it
// makes, and each answer. It also launches with both kinds of access tokens, fhirlink's and Entra's own, and shows
// side by side what each lets it at. The app is the page; this package serves its files, tells it which links it
// can use, registers it with links of the sandbox when the person at the page asks for that, and is the back end
// of the EHR.
package smartapp
