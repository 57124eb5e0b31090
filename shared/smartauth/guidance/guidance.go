package guidance

import (
	"slices"
	"strings"

	"fhirlink/shared/smart"
)

// Tokens says whose access tokens apps get.
type Tokens string

// The kinds of access tokens.
const (
	Own   Tokens = "fhirlink"
	Entra Tokens = "entra"
)

// Server is a kind of FHIR server. Of others than these, nothing is known.
type Server string

// The kinds of servers.
const (
	Firely     Server = "firely"
	FHIRServer Server = "fhirServer" // Microsoft's open-source FHIR server
	AHDS       Server = "ahds"       // Azure Health Data Services
)

// Link is what a link is, as far as its FHIR server and the users of its apps depend on it. Every default is
// filled in.
type Link struct {
	Tokens        Tokens
	Server        Server
	Issuer        string // the address of the authorization server
	EntraAudience string // of the FHIR server in Entra: the link's audience
	Authority     string // of Entra: https://{host}/
	TenantID      string

	// With our own tokens.
	TokenAudience    string
	ServerClientID   string // also where Azure Health Data Services wants a client id in either case
	Compartment      string // claim or fhirUser
	AccessTokenRoles []string

	// With Entra's.
	Dialect, Separator string // how scopes are spelled there: see package smart
}

// app is what an app may ask for, as far as FHIR servers treat it in their own ways.
type app struct {
	wants  [uses]bool
	writes bool
	v2     bool // it asks in the syntax of SMART v2
}

var everything = app{wants: [uses]bool{true, true, true, true}, writes: true, v2: true}

// of tells from an app's scopes what it may ask for.
func of(scopes []string) (a app) {
	launch := slices.Contains(scopes, "launch")
	for _, one := range scopes {
		scope := smart.Parse(one)
		switch scope.Context {
		case "patient":
			a.wants[ownData], a.wants[oneChart] = true, launch
		case "user":
			a.wants[clinician] = true
		case "system":
			a.wants[backend] = true
		}
		a.v2 = a.v2 || scope.Version() == smart.V2
		a.writes = a.writes || writes(scope)
	}
	return a
}

func writes(scope smart.Scope) bool {
	return scope.Version() != smart.NoVersion && scope.Permissions != "read" && strings.Trim(scope.Permissions, "rs") != ""
}

// Notes are what will not work at the link's FHIR server, of all that apps can want, each with what to do
// instead.
func Notes(l Link) []string { return l.notes(everything) }

// AppNotes are those of the [Notes] that concern an app with the given scopes.
func AppNotes(l Link, scopes []string) []string { return l.notes(of(scopes)) }

func (l Link) notes(a app) (texts []string) {
	add := func(n note) {
		if (n.when == nil || n.when(l, a)) && !slices.Contains(texts, n.text) {
			texts = append(texts, n.text)
		}
	}
	if slices.Contains(a.wants[:], true) {
		add(misspelled)
	}
	for _, r := range table {
		if r.tokens != l.Tokens || r.server != l.Server {
			continue
		}
		for use, cell := range r.cells {
			if !a.wants[use] {
				continue
			}
			for _, n := range cell.notes {
				add(n)
			}
		}
	}
	return texts
}

// misspelled is about scopes in Entra's tokens that the FHIR server cannot read.
var misspelled = note{
	"This kind of FHIR server does not read scopes in the link's dialect (by its source code or documentation; not tried). Set dialect to firely for Firely Server, and to ahds for Microsoft's servers.",
	func(l Link, _ app) bool { return l.Tokens == Entra && !l.spelled() },
}

// spelled reports whether the FHIR server reads scopes as they are spelled in Entra.
func (l Link) spelled() bool {
	switch dialect := smart.Dialect(l.Dialect); l.Server {
	case Firely:
		return dialect == smart.Firely
	case FHIRServer, AHDS: // they read / $ . and %2f (reference: microsoft/fhir-server@14f5285, SmartClinicalScopesMiddleware)
		return dialect == smart.AHDS || dialect == smart.FHIRServerProxy
	default:
		return true
	}
}
