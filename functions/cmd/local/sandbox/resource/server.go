package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth"
)

// Path is the path below which the FHIR servers of links are: Path + slug.
const Path = "/sandbox/fhir/"

// Deps is what a Server works with. All are required.
type Deps struct {
	// Link reads the link with a slug. Error: LinkNotFound.
	Link func(ctx context.Context, slug string) (link.Link, error)
	// SMART is the part of [smartauth.Service] that tells of a link's authorization server.
	SMART interface {
		Server(ctx context.Context, slug string) (smartauth.Server, error)
		Metadata(ctx context.Context, slug string) (smartauth.Metadata, error)
		KeySet(ctx context.Context, slug string) (jose.JSONWebKeySet, error)
		Issuer(slug string) string
	}
	// Scenarios answers as the scenario of a request's host does, and leaves to usual what nothing is wrong
	// with.
	Scenarios func(usual http.HandlerFunc) http.Handler
	Owns      func(fhir.BaseURL) bool        // reports whether a FHIR server is one of the sandbox's
	Issuers   func(tenantID string) []string // of the access tokens that Entra makes for a tenant
	PublicURL string
	Now       func() time.Time
}

// Server is the sandbox's FHIR servers, as browsers see them.
type Server struct {
	Deps
	scenarios http.Handler
}

// New makes a Server. It does nothing else.
func New(d Deps) *Server {
	s := &Server{Deps: d}
	s.scenarios = d.Scenarios(s.usual)
	return s
}

// Base is the FHIR base of a link's server for browsers; false if the server is not one of the sandbox's.
func (s *Server) Base(l link.Link) (string, bool) {
	server, err := l.Server()
	if err != nil || !s.Owns(server) {
		return "", false
	}
	return s.PublicURL + Path + string(l.Slug), true
}

// exchange is a request to the server of a link.
type exchange struct {
	*Server
	w    http.ResponseWriter
	r    *http.Request
	link link.Link
	base string
}

type exchangeKey struct{}

// ServeHTTP answers what is below Path, to web pages of any origin.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, X-Request-Id")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Prefer")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	slug, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Path), "/")
	e := &exchange{Server: s, w: w, r: r}
	var err error
	if e.link, err = s.Link(r.Context(), slug); err != nil {
		e.failed(err)
		return
	}
	base, ours := s.Base(e.link)
	if !ours {
		e.outcome(http.StatusNotFound, "not-found", "The link's FHIR server is not one of the sandbox's. Ask that server itself.")
		return
	}
	e.base = base
	server, _ := e.link.Server() // Base has read it
	asked := r.Clone(context.WithValue(r.Context(), exchangeKey{}, e))
	asked.Host, asked.URL.Path, asked.URL.RawPath = server.Host(), "/"+rest, ""
	s.scenarios.ServeHTTP(w, asked)
}

// usual answers what no scenario answers in its way.
func (s *Server) usual(w http.ResponseWriter, r *http.Request) {
	e, _ := r.Context().Value(exchangeKey{}).(*exchange) // ServeHTTP is the only caller of the scenarios
	e.w, e.r = w, r
	switch r.URL.Path {
	case "/metadata":
		e.metadata()
	case "/.well-known/smart-configuration":
		e.smartConfiguration()
	default:
		e.records()
	}
}

func (e *exchange) json(status int, mediaType string, v any) {
	e.w.Header().Set("Content-Type", mediaType)
	e.w.WriteHeader(status)
	encoder := json.NewEncoder(e.w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // the caller went away
}

const fhirJSON = "application/fhir+json; charset=utf-8"

func (e *exchange) outcome(status int, code, text string) {
	e.json(status, fhirJSON, object{"resourceType": "OperationOutcome", "issue": []object{{"severity": "error", "code": code, "diagnostics": text}}})
}

// failed answers for an error of reading the link or its authorization server.
func (e *exchange) failed(err error) {
	switch {
	case errors.Is(err, smartauth.ErrUnknown):
		e.outcome(http.StatusNotFound, "not-found", "SMART authorization is off for this link.")
	case problem.CodeOf(err) == problem.LinkNotFound:
		e.outcome(http.StatusNotFound, "not-found", "There is no such link.")
	default:
		e.outcome(http.StatusServiceUnavailable, "transient", "The link cannot be read just now.")
	}
}

func (e *exchange) smartConfiguration() {
	document, err := e.SMART.Metadata(e.r.Context(), string(e.link.Slug))
	if err != nil {
		e.failed(err)
		return
	}
	e.json(http.StatusOK, "application/json", document)
}

// metadata advertises the authorization server as SMART App Launch 1.0 does, if there is one.
func (e *exchange) metadata() {
	document, err := e.SMART.Metadata(e.r.Context(), string(e.link.Slug))
	if err != nil && !errors.Is(err, smartauth.ErrUnknown) {
		e.failed(err)
		return
	}
	security := object{"cors": true}
	if err == nil {
		security["service"] = []object{concept("http://terminology.hl7.org/CodeSystem/restful-security-service", "SMART-on-FHIR", "SMART on FHIR")}
		security["extension"] = []object{{
			"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
			"extension": []object{
				{"url": "authorize", "valueUri": document.AuthorizationEndpoint}, {"url": "token", "valueUri": document.TokenEndpoint}, {"url": "revoke", "valueUri": document.RevocationEndpoint},
			},
		}}
	}
	var types []object
	for _, kind := range []string{"Condition", "Encounter", "Observation", "Patient", "Practitioner"} {
		types = append(types, object{"type": kind, "interaction": []object{{"code": "read"}, {"code": "search-type"}}})
	}
	e.json(http.StatusOK, fhirJSON, object{
		"resourceType": "CapabilityStatement", "status": "active", "experimental": true, "date": "2026-05-05", "kind": "instance",
		"software": object{"name": "Sandbox FHIR Server"}, "implementation": object{"description": "Sandbox FHIR Server", "url": e.base},
		"fhirVersion": "4.0.1", "format": []string{"application/fhir+json", "json"}, "rest": []object{{"mode": "server", "security": security, "resource": types}},
	})
}

// records answers reads and searches with what the token lets at.
func (e *exchange) records() {
	access, ok := e.access()
	if !ok {
		return
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(e.r.URL.Path, "/"), "/")
	do := map[string]Interaction{http.MethodGet: Search, http.MethodPost: Create, http.MethodPut: Update, http.MethodDelete: Delete}[e.r.Method]
	if do == Search && id != "" {
		do = Read
	}
	switch {
	case do == "":
		e.outcome(http.StatusMethodNotAllowed, "not-supported", "The method is not supported.")
	case !access.May(do, kind):
		e.outcome(http.StatusForbidden, "forbidden", fmt.Sprintf("No scope of the access token allows this (%s).", do))
	case do == Read:
		e.read(access, kind, id)
	case do == Search:
		e.search(access, kind)
	default:
		e.outcome(http.StatusMethodNotAllowed, "not-supported", "The sandbox stores nothing.")
	}
}

// access judges the request's token; false: the answer has been sent.
func (e *exchange) access() (Access, bool) {
	server, err := e.SMART.Server(e.r.Context(), string(e.link.Slug))
	if errors.Is(err, smartauth.ErrUnknown) {
		e.unauthorized("")
		return Access{}, false
	}
	keys, keysErr := e.SMART.KeySet(e.r.Context(), string(e.link.Slug))
	if err := errors.Join(err, keysErr); err != nil {
		e.failed(err)
		return Access{}, false
	}
	scheme, token, _ := strings.Cut(e.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		e.unauthorized("")
		return Access{}, false
	}
	issuer := Issuer{Names: []string{e.SMART.Issuer(string(e.link.Slug))}, Audience: server.Settings.Audience(e.link), Keys: keys.Keys}
	if server.Settings.Tokens == smartauth.OfEntra {
		issuer.Names, issuer.Audience = e.Issuers(e.link.TenantID), server.Resource()
	}
	claims, err := issuer.Claims(token, e.Now())
	if err != nil {
		e.unauthorized(issuer.whyNot(err))
		return Access{}, false
	}
	access, refusal := Judge(Setup{server.Settings.Server, server.Settings.Tokens, server.Settings.Spelling.Separator}, claims)
	if refusal != nil {
		code := map[int]string{http.StatusBadRequest: "invalid", http.StatusForbidden: "forbidden"}[refusal.Status]
		e.outcome(refusal.Status, code, refusal.Text)
		return Access{}, false
	}
	return access, true
}

func (e *exchange) unauthorized(why string) {
	challenge := fmt.Sprintf("Bearer realm=%q", e.base)
	if why != "" {
		challenge += fmt.Sprintf(`, error="invalid_token", error_description=%q`, why)
	}
	e.w.Header().Set("WWW-Authenticate", challenge)
	text := "Authentication failed."
	if why != "" {
		text += " " + why + "."
	}
	e.outcome(http.StatusUnauthorized, "login", text)
}

// read answers alike for what is not there and for what is out of reach.
func (e *exchange) read(access Access, kind, id string) {
	for _, r := range records {
		if r.Type == kind && r.ID == id && access.Reaches(Read, r) {
			e.json(http.StatusOK, fhirJSON, r.body)
			return
		}
	}
	e.outcome(http.StatusNotFound, "not-found", "There is no such resource, or the access token does not reach it.")
}

// search leaves out what is out of reach. It ignores parameters that are about the answer.
func (e *exchange) search(access Access, kind string) {
	query, err := url.ParseQuery(e.r.URL.RawQuery)
	if err != nil {
		e.outcome(http.StatusBadRequest, "invalid", "The query is malformed.")
		return
	}
	entries := []object{}
	for _, r := range records {
		if r.Type == kind && access.Reaches(Search, r) && found(r, query) {
			entries = append(entries, object{"fullUrl": e.base + "/" + kind + "/" + r.ID, "resource": r.body, "search": object{"mode": "match"}})
		}
	}
	total := len(entries)
	if n, err := strconv.Atoi(query.Get("_count")); err == nil && n >= 0 && n < total {
		entries = entries[:n]
	}
	self := e.base + "/" + kind
	if e.r.URL.RawQuery != "" {
		self += "?" + e.r.URL.RawQuery
	}
	bundle := object{"resourceType": "Bundle", "type": "searchset", "total": total, "link": []object{{"relation": "self", "url": self}}}
	if len(entries) > 0 { // FHIR has no empty lists
		bundle["entry"] = entries
	}
	e.json(http.StatusOK, fhirJSON, bundle)
}

func found(r Resource, query url.Values) bool {
	for name, values := range query {
		about := strings.HasPrefix(name, "_") && name != "_id"
		if !about && slices.ContainsFunc(values, func(value string) bool { return !r.Matches(name, value) }) {
			return false
		}
	}
	return true
}
