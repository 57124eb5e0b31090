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

// Server serves every scenario. The exported fields are set before it is used.
type Server struct {
	Domain    string // what stands behind the scenario in host names: fhir.sandbox.test
	Authority string // that tokens come from: https://login.sandbox.test/
	TenantID  string // that is trusted

	// Validate checks signature and end of a token, and reads it. Audience and tenant are
	// checked here.
	Validate func(token string) (entra.Claims, error)

	// Healthy are names of further servers with nothing wrong: those whose tokens are, as
	// entratest.Scenarios names them.
	Healthy []string

	// Delay of the scenario "slow"; 0: 30 s.
	Delay time.Duration

	mu       sync.Mutex
	counters map[string]*Counters
}

// Counters are how often a scenario was asked.
type Counters struct {
	Requests int            // all of them
	Paths    map[string]int // by method and path, ids left out: "GET /Basic/{id}"
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

// count notes a request and tells which of its kind it is, from 1.
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

// refuse counts a refused read and returns how many there are.
func (s *Server) refuse(scenario string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counter(scenario)
	c.Refused++
	return c.Refused
}

func (s *Server) refused(scenario string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counter(scenario).Refused
}

// Hosts are the host names of all scenarios that a server answers.
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

// Kind is what a server of the sandbox counts as, for verification.Verifier.Kind; other
// servers are what their host name tells. The sandbox belongs to no cloud of Microsoft's.
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

// exchange is one request under way.
type exchange struct {
	*Server
	scenario
	name string
	w    http.ResponseWriter
	r    *http.Request
}

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

// serve looks at things in the order of Microsoft's server: route, token, load, rights, data.
func (e *exchange) serve() {
	if e.everything != nil {
		e.everything(e)
		return
	}
	switch e.r.URL.Path {
	case "/metadata":
		or(e.metadata, (*exchange).capability)(e)
		return
	case "/.well-known/smart-configuration":
		or(e.smart, (*exchange).smartConfiguration)(e)
		return
	}
	if !isFHIRPath(e.r.URL.Path) {
		e.outcome(http.StatusNotFound, "not-found", "The requested route was not found.")
		return
	}
	if e.r.Header.Get("Authorization") == "" {
		or(e.anonymous, (*exchange).loginNeeded)(e)
		return
	}
	if !e.authenticated() {
		return
	}
	if e.r.Method == http.MethodGet {
		or(e.read, (*exchange).readMissing)(e)
		return
	}
	or(e.write, (*exchange).writeMissing)(e)
}

func or(special, usual reply) reply {
	if special != nil {
		return special
	}
	return usual
}

// isFHIRPath knows /Type and /Type/id; types are case sensitive.
func isFHIRPath(path string) bool {
	kind, id, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return kind != "" && kind[0] >= 'A' && kind[0] <= 'Z' && !strings.Contains(id, "/")
}

// authenticated checks the token as ASP.NET's JwtBearer does, and answers if it is refused.
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
	case len(claims.Audience) != 1 || claims.Audience[0] != e.wanted():
		e.unauthorized("The audience '" + strings.Join(claims.Audience, ",") + "' is invalid")
	case claims.TenantID != e.TenantID:
		e.unauthorized("The issuer '" + claims.Issuer + "' is invalid")
	default:
		return true
	}
	return false
}

// base is the URL that the server has for itself.
func (e *exchange) base() string { return "https://" + e.name + "." + e.Domain }

// wanted is the audience that tokens must have.
func (e *exchange) wanted() string {
	if e.audience == "" {
		return e.base()
	}
	return strings.ReplaceAll(e.audience, "{domain}", e.Domain)
}

// authority is what the server names as the issuer of its tokens.
func (e *exchange) authority() string {
	return strings.TrimSuffix(e.Authority, "/") + "/" + e.TenantID
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x", b)
}
