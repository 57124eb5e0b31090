// Package launches serves what EHRs open apps for:
//
//	POST /api/links/{slug}/launches    keeps a launch, and answers the address that opens the app with it
//
// The caller is the back end of an EHR, an application of the link's organization.
package launches
