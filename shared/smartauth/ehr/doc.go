// Package ehr is what an EHR opens an app for: a user, and the patient, the encounter and whatever else they
// are working on (SMART App Launch 2.2, "Launch App: EHR Launch").
//
// The EHR's back end keeps a launch here, gets a handle for it, and opens the app with that handle. The app
// brings it along when it asks for authorization. A launch opens one app once: it is spent when a code is
// issued for it. It belongs to one link, and to the user and the app that it names.
package ehr
