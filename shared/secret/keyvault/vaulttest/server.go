package vaulttest

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/signer/signertest"
)

// Server behaves like Key Vault's REST interface for secrets: the 401 challenge, versions, pages,
// soft delete, errors with their innererror
// (https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups). Of the interface for keys it
// has what signing needs.
type Server struct {
	// Store holds the content of the vault. Its Fault is not used here.
	Store *secrettest.Store
	// Keys are the keys by name. Set them before the first request.
	Keys map[string]*signertest.Key
	// Challenge is the WWW-Authenticate header for requests without a token. NewServer sets the
	// challenge of the public cloud.
	Challenge string
	// Before, unless nil, is called with every request that carries a token. It returns true if
	// it has answered the request. See [Fail], [Throttle].
	Before func(http.ResponseWriter, *http.Request) bool
	// Lose, unless nil, selects requests that are carried out but never answered.
	Lose func(*http.Request) bool

	Requests   atomic.Int64 // with a token
	Challenges atomic.Int64 // without a token, so they were challenged
}

// NewServer returns an empty vault.
func NewServer() *Server {
	return &Server{
		Store:     secrettest.New(),
		Challenge: `Bearer authorization="https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111", resource="https://vault.azure.net"`,
	}
}

// Start serves the vault over TLS on a loopback port until the test ends. The returned client
// reaches the vault whatever host a URL names, e.g. https://contoso.vault.azure.net.
func (s *Server) Start(t testing.TB) *http.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // aborted answers are intended
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com"}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Fail answers every request with an error of Key Vault.
func Fail(status int, code, inner string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		fail(w, status, code, inner)
		return true
	}
}

// Throttle answers every request with 429 and Retry-After in seconds.
func Throttle(seconds int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		fail(w, http.StatusTooManyRequests, "Throttled", "")
		return true
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		s.Challenges.Add(1)
		w.Header().Set("WWW-Authenticate", s.Challenge)
		fail(w, http.StatusUnauthorized, "Unauthorized", "")
		return
	}
	s.Requests.Add(1)
	if s.Before != nil && s.Before(w, r) {
		return
	}
	if s.Lose != nil && s.Lose(r) {
		s.route(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	s.route(w, r)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if rest, found := strings.CutPrefix(r.URL.Path, "/keys/"); found && r.URL.Query().Get("api-version") != "" {
		s.keys(w, r, rest)
		return
	}
	rest, found := strings.CutPrefix(r.URL.Path, "/secrets/")
	name, version, _ := strings.Cut(rest, "/")
	switch {
	case !found || r.URL.Query().Get("api-version") == "" || secret.CheckName(name) != nil:
		fail(w, http.StatusBadRequest, "BadParameter", "")
	case r.Method == http.MethodPut && version == "":
		s.set(w, r, name)
	case r.Method == http.MethodGet && version == "versions":
		s.list(w, r, name)
	case r.Method == http.MethodGet:
		s.get(w, name, version)
	case r.Method == http.MethodPatch:
		s.patch(w, r, name, version)
	case r.Method == http.MethodDelete && version == "":
		s.delete(w, r, name)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "")
	}
}

// parameters are the members of a request that this vault stores.
type parameters struct {
	Value      string            `json:"value"`
	Tags       map[string]string `json:"tags"`
	Attributes struct {
		Enabled *bool  `json:"enabled"`
		Expires *int64 `json:"exp"`
	} `json:"attributes"`
}

func (p parameters) attributes(old secret.Attributes) secret.Attributes {
	a := old
	if p.Attributes.Expires != nil {
		a.ExpiresOn = time.Unix(*p.Attributes.Expires, 0).UTC()
	}
	if p.Tags != nil {
		a.Slug, a.Organization = p.Tags["slug"], p.Tags["organization"]
	}
	return a
}

func (s *Server) set(w http.ResponseWriter, r *http.Request, name string) {
	var p parameters
	if json.NewDecoder(r.Body).Decode(&p) != nil || p.Value == "" {
		fail(w, http.StatusBadRequest, "BadParameter", "")
		return
	}
	version, err := s.Store.Put(r.Context(), name, secret.New(p.Value), p.attributes(secret.Attributes{}))
	switch {
	case errors.Is(err, secret.ErrNameUsed):
		fail(w, http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable")
	case err != nil:
		fail(w, http.StatusBadRequest, "BadParameter", "")
	default:
		s.get(w, name, version)
	}
}

// find returns a copy of a version. Without a version, it returns the newest.
func (s *Server) find(name, version string) (secrettest.Held, bool) {
	versions := s.versions(name)
	if version == "" && len(versions) > 0 {
		return versions[len(versions)-1], true
	}
	i := slices.IndexFunc(versions, func(h secrettest.Held) bool { return h.ID == version })
	if i < 0 {
		return secrettest.Held{}, false
	}
	return versions[i], true
}

func (s *Server) versions(name string) []secrettest.Held {
	for _, e := range s.Store.Entries() {
		if strings.EqualFold(e.Name, name) {
			return e.Versions
		}
	}
	return nil
}

func (s *Server) get(w http.ResponseWriter, name, version string) {
	h, found := s.find(name, version)
	switch {
	case !found:
		fail(w, http.StatusNotFound, "SecretNotFound", "")
	case !h.Enabled:
		fail(w, http.StatusForbidden, "Forbidden", "SecretDisabled")
	default:
		bundle := describe(name, h)
		bundle["value"] = h.Value.Reveal()
		answer(w, http.StatusOK, bundle)
	}
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request, name, version string) {
	var p parameters
	if json.NewDecoder(r.Body).Decode(&p) != nil {
		fail(w, http.StatusBadRequest, "BadParameter", "")
		return
	}
	h, found := s.find(name, version)
	enabled := h.Enabled
	if p.Attributes.Enabled != nil {
		enabled = *p.Attributes.Enabled
	}
	if !found || s.Store.Update(r.Context(), name, h.ID, enabled, p.attributes(h.Attributes)) != nil {
		fail(w, http.StatusNotFound, "SecretNotFound", "")
		return
	}
	h, _ = s.find(name, h.ID)
	answer(w, http.StatusOK, describe(name, h))
}

// list writes pages of at most 25 versions, as Key Vault does. Here the skip token is an index.
func (s *Server) list(w http.ResponseWriter, r *http.Request, name string) {
	from, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken")) // absent: 0
	all := s.versions(name)
	page := all[min(from, len(all)):min(from+25, len(all))]
	value := []any{}
	for _, h := range page {
		value = append(value, describe(name, h))
	}
	var next any
	if end := from + len(page); end < len(all) {
		next = fmt.Sprintf("https://%s%s?api-version=%s&$skiptoken=%d", r.Host, r.URL.Path, r.URL.Query().Get("api-version"), end)
	}
	answer(w, http.StatusOK, map[string]any{"value": value, "nextLink": next})
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request, name string) {
	h, found := s.find(name, "")
	if !found || s.Store.Delete(r.Context(), name) != nil {
		fail(w, http.StatusNotFound, "SecretNotFound", "")
		return
	}
	bundle := describe(name, h)
	bundle["recoveryId"] = "https://contoso.vault.azure.net/deletedsecrets/" + name
	bundle["deletedDate"] = time.Now().Unix()
	answer(w, http.StatusOK, bundle)
}

func describe(name string, h secrettest.Held) map[string]any {
	attributes := map[string]any{
		"enabled": h.Enabled, "created": h.CreatedAt.Unix(), "updated": h.CreatedAt.Unix(),
		"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
	}
	if !h.ExpiresOn.IsZero() {
		attributes["exp"] = h.ExpiresOn.Unix()
	}
	return map[string]any{
		"id":         "https://contoso.vault.azure.net/secrets/" + name + "/" + h.ID,
		"attributes": attributes,
		"tags":       map[string]string{"slug": h.Slug, "organization": h.Organization},
	}
}

func fail(w http.ResponseWriter, status int, code, inner string) {
	e := map[string]any{"code": code, "message": "What Key Vault says of " + cmp.Or(inner, code) + "."}
	if inner != "" {
		e["innererror"] = map[string]string{"code": inner}
	}
	answer(w, status, map[string]any{"error": e})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the caller has gone
}
