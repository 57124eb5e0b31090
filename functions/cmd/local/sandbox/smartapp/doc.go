// Package smartapp is a small SMART app for the browsers of this machine: it launches by itself (SMART App
// Launch 2.2, "Standalone Launch"), and shows each request that it makes, and each answer. The app is the
// page; this package serves its files, tells it which links it can use, and registers it with a link of the
// sandbox when the person at the page asks for that.
package smartapp
