// Package smartapp is a small SMART app for the browsers of this machine: it launches by itself, or a pretend
// EHR opens it (SMART App Launch 2.2, "Standalone Launch" and "EHR Launch"), and it shows each request that it
// makes, and each answer. The app is the page; this package serves its files, tells it which links it can use,
// registers it with a link of the sandbox when the person at the page asks for that, and is the back end of the
// EHR.
package smartapp
