package fhirtest

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
)

// Server serves every scenario. Set the exported fields before use.
type Server struct {
	Domain    string // suffix of the scenarios' host names: fhir.sandbox.test
	Authority string // issuer of the tokens: https://login.sandbox.test/
	TenantID  string // the trusted tenant

	// Validate checks a token's signature and expiry, and returns its claims. The server itself
	// checks audience and tenant.
	Validate func(token string) (entra.Claims, error)

	// Healthy names further servers with nothing wrong. Their tokens have something wrong
	// instead, see entratest.Scenarios.
	Healthy []string

	// Usual answers, in place of the server's own answers, what no scenario answers in its way. It checks
	// tokens itself, so that Validate is not used. Nil: the server's own.
	Usual http.HandlerFunc

	// Delay is the delay of the scenario "slow"; 0: 30 s.
	Delay time.Duration

	mu       sync.Mutex
	counters map[string]*Counters
}

// Counters says how often a scenario was asked.
type Counters struct {
	Requests int            // all of them
	Paths    map[string]int // by method and path, with ids replaced: "GET /Basic/{id}"
	Refused  int            // reads with a token that were answered 403
}

// Counters returns a copy of the counters of a scenario.
func (s *Server) Counters(scenario string) Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *s.counter(scenario)
	paths := make(map[string]int, len(c.Paths))
	for path, n := range c.Paths {
		paths[path] = n
	}
	c.Paths = paths
	return c
}

func (s *Server) counter(scenario string) *Counters {
	if s.counters == nil {
		s.counters = make(map[string]*Counters)
	}
	c := s.counters[scenario]
	if c == nil {
		c = &Counters{Paths: make(map[string]int)}
		s.counters[scenario] = c
	}
	return c
}

// count counts a request by its path.
func (s *Server) count(e *exchange) {
	path := e.r.Method + " " + e.r.URL.Path
	if i := strings.LastIndexByte(path, '/'); strings.Count(path, "/") == 2 && !strings.Contains(path, "/.") {
		path = path[:i] + "/{id}"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counter(e.name)
	c.Requests++
	c.Paths[path]++
}

// addRefusal counts a refused read and returns the total.
func (s *Server) addRefusal(scenario string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counter(scenario)
	c.Refused++
	return c.Refused
}

func (s *Server) refusals(scenario string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counter(scenario).Refused
}

// Hosts returns the host names of all scenarios that a server answers.
func (s *Server) Hosts() []string {
	var hosts []string
	for name := range scenarios {
		hosts = append(hosts, name+"."+s.Domain)
	}
	for _, name := range s.Healthy {
		if _, special := scenarios[name]; !special {
			hosts = append(hosts, name+"."+s.Domain)
		}
	}
	return hosts
}

// Kind returns the kind that a sandbox server counts as, for verification.Verifier.Kind. For
// other servers the host name decides. The sandbox belongs to none of Microsoft's clouds.
func (s *Server) Kind(b fhir.BaseURL) fhir.Kind {
	name, ours := strings.CutSuffix(b.Host(), "."+s.Domain)
	if !ours {
		return b.Kind()
	}
	kind := scenarios[name].kind
	if kind.Product == "" {
		kind.Product = fhir.HealthDataServices
	}
	return kind
}

// exchange is one request in progress.
type exchange struct {
	*Server
	scenario
	name string
	w    http.ResponseWriter
	r    *http.Request
}

// ServeHTTP answers as the scenario of the request's host.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	name := strings.TrimSuffix(strings.ToLower(host), "."+s.Domain)
	sc, ok := scenarios[name]
	e := &exchange{Server: s, scenario: sc, name: name, w: w, r: r}
	s.count(e)
	w.Header().Set("X-Request-Id", newID())
	w.Header().Set("X-Correlation-Id", newID())
	if !ok && !slices.Contains(s.Healthy, name) {
		e.outcome(http.StatusNotFound, "not-found", "The requested route was not found.")
		return
	}
	e.serve()
}

// serve makes its checks in the order of Microsoft's server: route, token, load, rights, data.
func (e *exchange) serve() {
	if e.everything != nil {
		e.everything(e)
		return
	}
	switch e.r.URL.Path {
	case "/metadata":
		or(e.metadata, e.usual((*exchange).capability))(e)
		return
	case "/.well-known/smart-configuration":
		or(e.smart, e.usual((*exchange).smartConfiguration))(e)
		return
	}
	if !isFHIRPath(e.r.URL.Path) {
		e.outcome(http.StatusNotFound, "not-found", "The requested route was not found.")
		return
	}
	if e.r.Header.Get("Authorization") == "" {
		or(e.anonymous, e.usual((*exchange).loginNeeded))(e)
		return
	}
	if e.Usual == nil && !e.authenticated() {
		return
	}
	if e.r.Method == http.MethodGet {
		or(e.read, e.usual((*exchange).readMissing))(e)
		return
	}
	or(e.write, e.usual((*exchange).writeMissing))(e)
}

// usual returns what answers where the scenario has nothing to say.
func (e *exchange) usual(own reply) reply {
	if e.Usual == nil {
		return own
	}
	return func(e *exchange) { e.Usual(e.w, e.r) }
}

func or(special, usual reply) reply {
	if special != nil {
		return special
	}
	return usual
}

// isFHIRPath reports whether a path is /Type or /Type/id. Types are case-sensitive.
func isFHIRPath(path string) bool {
	kind, id, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return kind != "" && kind[0] >= 'A' && kind[0] <= 'Z' && !strings.Contains(id, "/")
}

// authenticated checks the token as ASP.NET's JwtBearer does, and sends the answer if it is
// refused.
func (e *exchange) authenticated() bool {
	token, ok := strings.CutPrefix(e.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		e.unauthorized("")
		return false
	}
	claims, err := e.Validate(token)
	switch {
	case err != nil:
		e.unauthorized("The signature or the lifetime is invalid")
	case len(claims.Audience) != 1 || claims.Audience[0] != e.wantedAudience():
		e.unauthorized("The audience '" + strings.Join(claims.Audience, ",") + "' is invalid")
	case claims.TenantID != e.TenantID:
		e.unauthorized("The issuer '" + claims.Issuer + "' is invalid")
	default:
		return true
	}
	return false
}

// base returns the URL that the server uses for itself.
func (e *exchange) base() string { return "https://" + e.name + "." + e.Domain }

// wantedAudience returns the audience that tokens must have.
func (e *exchange) wantedAudience() string {
	if e.audience == "" {
		return e.base()
	}
	return strings.ReplaceAll(e.audience, "{domain}", e.Domain)
}

// authority returns the issuer that the server names for its tokens.
func (e *exchange) authority() string {
	return strings.TrimSuffix(e.Authority, "/") + "/" + e.TenantID
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x", b)
}
