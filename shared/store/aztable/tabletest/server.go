package tabletest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const (
	account = "fhirlink"
	anyKey  = "dGhpcyBzZXJ2ZXIgZG9lcyBub3QgY2hlY2sgc2lnbmF0dXJlcw=="
)

// Server is a storage account with tables only. It requires requests to be signed, but does not
// verify the signature.
type Server struct {
	mu     sync.Mutex
	writes int // counts changes; ETags are derived from it
	tables map[string]table
}

// Start serves an empty account on the loopback interface until the test ends, and returns its
// connection string.
func Start(t testing.TB) (connectionString string) {
	server := httptest.NewServer(&Server{tables: map[string]table{}})
	t.Cleanup(server.Close)
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;TableEndpoint=%s/%s;", account, anyKey, server.URL, account)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBatch))
	if err != nil {
		refuse(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge").write(w)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/"+account+"/")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !ok:
		refuse(http.StatusBadRequest, "InvalidUri").write(w)
	case r.Header.Get("Authorization") == "":
		refuse(http.StatusForbidden, "AuthenticationFailed").write(w)
	case path == "$batch":
		s.batch(w, r.Header.Get("Content-Type"), body)
	case path == "Tables" && r.Method == http.MethodPost:
		s.create(body).write(w)
	default:
		s.serve(request{r.Method, path, r.URL.Query(), r.Header, body}).write(w)
	}
}

// request is one operation, sent by itself or as part of a batch.
type request struct {
	method string
	path   string // after the account
	query  url.Values
	header http.Header
	body   []byte
}

// answer is the answer to a request.
type answer struct {
	status int
	header map[string]string
	body   any // JSON; nil: no body
}

func refuse(status int, code string) answer {
	return answer{status: status, header: map[string]string{"x-ms-error-code": code}, body: map[string]any{
		"odata.error": map[string]any{"code": code, "message": map[string]string{"lang": "en-US", "value": code + " by the table server."}},
	}}
}

func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json;odata=minimalmetadata;streaming=true;charset=utf-8")
	w.WriteHeader(a.status)
	if a.body != nil {
		_ = json.NewEncoder(w).Encode(a.body) // an error means that the client has gone
	}
}

var tableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{2,62}$`)

func (s *Server) create(body []byte) answer {
	var properties struct{ TableName string }
	if err := json.Unmarshal(body, &properties); err != nil || !tableName.MatchString(properties.TableName) {
		return refuse(http.StatusBadRequest, "InvalidResourceName")
	}
	if s.tables[properties.TableName] != nil {
		return refuse(http.StatusConflict, "TableAlreadyExists")
	}
	s.tables[properties.TableName] = table{}
	return answer{status: http.StatusCreated, body: properties}
}

// paths matches TABLE, TABLE() and TABLE(PartitionKey='…',RowKey='…').
var paths = regexp.MustCompile(`^([A-Za-z0-9]+)(?:\(\)|\(PartitionKey='((?:[^']|'')*)',RowKey='((?:[^']|'')*)'\))?$`)

func (s *Server) serve(r request) answer {
	m := paths.FindStringSubmatch(r.path)
	if m == nil {
		return refuse(http.StatusBadRequest, "InvalidUri")
	}
	t := s.tables[m[1]]
	if t == nil {
		return refuse(http.StatusNotFound, "TableNotFound")
	}
	k := key{unquote(m[2]), unquote(m[3])}
	switch named := strings.Contains(r.path, "PartitionKey"); {
	case r.method == http.MethodGet && named:
		return t.get(k)
	case r.method == http.MethodGet:
		return t.query(r.query)
	case r.method == http.MethodPost && !named:
		return s.insert(t, r.body)
	case r.method == http.MethodPut && named:
		return s.replace(t, k, r.header.Get("If-Match"), r.body)
	case r.method == http.MethodDelete && named:
		return s.remove(t, k, r.header.Get("If-Match"))
	}
	return refuse(http.StatusMethodNotAllowed, "UnsupportedHttpVerb")
}

func unquote(literal string) string { return strings.ReplaceAll(literal, "''", "'") }
