package fhir

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fhirlink/shared/egress"
	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// Client asks one FHIR server what linking needs to know. It sends tokens only to the origin of
// Base. HTTP must not follow redirects; it should be the guarded client of package egress.
type Client struct {
	HTTP    *http.Client
	Base    BaseURL
	Timeout time.Duration // for one request with its body; 0: DefaultTimeout
}

// DefaultTimeout limits one request, including its body.
const DefaultTimeout = 10 * time.Second

// Limits on what is read of a body that is not a CapabilityStatement, in bytes.
const (
	maxBody = 64 << 10
	maxHead = 4 << 10 // of an answer that may hold patients' data
	maxText = 2048    // of one kept string, including its quotes
)

// Answer is what a request saw on the wire. Status is 0 if there was no answer.
type Answer struct {
	Method    string
	URL       string
	Connected bool          // there was a connection, so a failure came after TLS
	Connect   time.Duration // until there was a connection
	Elapsed   time.Duration // until the body was read

	Status        int
	MediaType     string            // without parameters, lower case
	Challenge     *Challenge        // the Bearer challenge of a 401
	Schemes       []string          // of all challenges
	ResourceType  string            // of a body that was read
	BundleType    string            // of a body that is a Bundle
	Outcome       *OperationOutcome // of a body that is an OperationOutcome
	RetryAfter    time.Duration
	CorrelationID string
	Redirect      string // target of a 3xx without its query, if its host is a DNS name
	RedirectHost  string // the host of Redirect

	refusal refusal // the server's own words
}

// NotFound reports whether the answer means that the resource does not exist. That takes an
// OperationOutcome, because any web server has a 404.
func (a Answer) NotFound() bool {
	return a.Status == http.StatusNotFound && a.Outcome != nil && a.Outcome.Code == "not-found" && !a.Outcome.NoRoute()
}

// Metadata reads {base}/metadata without a token. The error is that of the connection or, with
// status 200, that of ReadCapability.
func (c Client) Metadata(ctx context.Context) (Capability, Answer, error) {
	var capability Capability
	a, err := c.send(ctx, request{path: "/metadata", read: func(a *Answer, body io.Reader) (err error) {
		if a.Status != http.StatusOK || !a.MayBeJSON() {
			return readResource(a, body)
		}
		capability, err = ReadCapability(body)
		return err
	}})
	return capability, a, err
}

// SMARTConfiguration reads {base}/.well-known/smart-configuration without a token. The result is
// empty if the server has none.
func (c Client) SMARTConfiguration(ctx context.Context) (SMARTConfiguration, Answer, error) {
	var configuration SMARTConfiguration
	a, err := c.send(ctx, request{path: "/.well-known/smart-configuration", accept: "application/json", read: func(a *Answer, body io.Reader) error {
		if a.Status != http.StatusOK {
			return nil
		}
		var err error
		configuration, err = readSMARTConfiguration(body)
		return err
	}})
	return configuration, a, err
}

// Probe is a read request that touches no patient's data.
type Probe struct{ path string }

// MissingBasic reads a Basic resource that cannot exist. Microsoft's server checks the right to
// read first, so 404 proves that right. id is from [NewID].
func MissingBasic(id string) Probe { return Probe{"/Basic/" + id} }

// CountPatients asks how many patients there are, for unknown servers. The answer holds no
// patient.
func CountPatients() Probe { return Probe{"/Patient?_summary=count"} }

// OnePatient asks for the id of one patient, for servers that do not understand CountPatients.
func OnePatient() Probe { return Probe{"/Patient?_count=1&_elements=id"} }

// Read sends the probe; an empty token means no token. Of data that a token opens, only the type is
// read.
func (c Client) Read(ctx context.Context, p Probe, token secret.Value) (Answer, error) {
	return c.send(ctx, request{path: p.path, token: token, read: func(a *Answer, body io.Reader) error {
		if a.Status < 300 && !token.IsZero() {
			return readHead(a, body)
		}
		return readResource(a, body)
	}})
}

// Write updates a Basic resource that does not exist, on the condition that it has version 1.
// Microsoft's server checks the right to write first, so 404 proves that right. Nothing is
// written either way.
func (c Client) Write(ctx context.Context, id string, token secret.Value) (Answer, error) {
	return c.send(ctx, request{
		method: http.MethodPut, path: "/Basic/" + id, token: token, read: readResource,
		body: fmt.Sprintf(`{"resourceType":"Basic","id":%q,"code":{"text":"link verification"}}`, id),
	})
}

// Remove deletes a resource that Write should not have created.
func (c Client) Remove(ctx context.Context, id string, token secret.Value) (Answer, error) {
	return c.send(ctx, request{method: http.MethodDelete, path: "/Basic/" + id, token: token, read: readResource})
}

type request struct {
	method, path string // GET when empty
	accept       string // FHIR JSON when empty
	body         string // FHIR JSON, with If-Match
	token        secret.Value
	read         func(*Answer, io.Reader) error
}

func (c Client) send(ctx context.Context, r request) (Answer, error) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	a := Answer{Method: r.method, URL: c.Base.String() + r.path}
	err := c.exchange(ctx, r, &a, start)
	a.Elapsed = time.Since(start)
	a.hide(r.token)
	return a, err
}

func (c Client) exchange(ctx context.Context, r request, a *Answer, start time.Time) error {
	connected := make(chan time.Duration, 1) // a channel, because dialling may outlive the request
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		select {
		case connected <- time.Since(start):
		default:
		}
	}})
	req, err := r.build(ctx, a.URL)
	if err != nil {
		return err
	}
	res, err := c.HTTP.Do(req)
	select {
	case a.Connect = <-connected:
		a.Connected = true
	default:
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if ctx.Err() != nil {
		return ctx.Err() // after its end, what the server says is not an answer
	}
	a.note(res)
	if err := r.read(a, res.Body); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxRest) // a failure here costs a new connection only
	return nil
}

// maxRest limits what is read of an unused body, in bytes, so that the connection can be reused.
const maxRest = 4 << 10

func (r request) build(ctx context.Context, url string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, url, strings.NewReader(r.body))
	if err != nil {
		return nil, errors.New("the request could not be built") // the cause repeats the URL
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
		req.Header.Set("If-Match", `W/"1"`)
	}
	if r.accept == "" {
		r.accept = "application/fhir+json, application/json;q=0.9"
	}
	req.Header.Set("Accept", r.accept)
	req.Header.Set("User-Agent", "fhirlink")
	// This header marks the request in the audit log of Microsoft's FHIR services
	// (learn.microsoft.com/azure/healthcare-apis/fhir/use-custom-headers).
	req.Header.Set("X-MS-AZUREFHIR-AUDIT-LINK", "verify")
	if !r.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+r.token.Reveal())
	}
	return req, nil
}

// note records what is known without the body.
func (a *Answer) note(res *http.Response) {
	a.Connected = true
	a.Status = res.StatusCode
	media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	a.MediaType = strings.ToLower(strings.TrimSpace(media))
	a.RetryAfter = retryAfter(res.Header)
	a.CorrelationID = correlationID(res.Header)
	challenges := ParseChallenges(res.Header)
	if c, ok := bearer(challenges); ok {
		a.Challenge = &c
	}
	for _, c := range challenges {
		a.Schemes = append(a.Schemes, c.Scheme)
	}
	a.refusal = refusalOf(challenges, res.Header)
	if a.Status >= 300 && a.Status < 400 {
		a.Redirect, a.RedirectHost = redirect(a.URL, res.Header.Get("Location"))
	}
}

func readResource(a *Answer, body io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(body, maxBody))
	if err != nil {
		return err
	}
	h := headOf(bytes.NewReader(text))
	a.ResourceType, a.BundleType, a.Outcome = h.resourceType, h.bundleType, parseOutcome(text)
	if a.Status >= 300 {
		a.refusal.add(a.MediaType, a.Outcome, text)
	}
	return nil
}

// readHead reads the type of a resource and stops before its contents. Only an OperationOutcome is
// read in full.
func readHead(a *Answer, body io.Reader) error {
	var seen bytes.Buffer
	noting := &notingReader{r: io.TeeReader(io.LimitReader(body, maxHead), &seen)}
	h := headOf(noting)
	a.ResourceType, a.BundleType = h.resourceType, h.bundleType
	if noting.err != nil {
		return noting.err
	}
	if h.resourceType != outcomeType {
		return nil
	}
	if _, err := io.Copy(&seen, io.LimitReader(body, maxBody)); err != nil {
		return err
	}
	if a.Outcome = parseOutcome(seen.Bytes()); a.Outcome != nil {
		a.refusal.add(a.MediaType, a.Outcome, nil)
	}
	return nil
}

// MayBeJSON reports whether the body may be JSON: its media type says so (application/json,
// application/fhir+json, application/json+fhir and the like), or says nothing about the content.
func (a Answer) MayBeJSON() bool {
	switch a.MediaType {
	case "", "text/plain", "application/octet-stream", "binary/octet-stream":
		return true
	}
	return strings.Contains(a.MediaType, "json")
}

// IsPage reports whether the body is a web page.
func (a Answer) IsPage() bool {
	return a.MediaType == "text/html" || a.MediaType == "application/xhtml+xml"
}

// retryAfter prefers the milliseconds that Microsoft's throttling sends.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.Atoi(h.Get("X-Ms-Retry-After-Ms")); err == nil && ms > 0 {
		return min(time.Duration(ms)*time.Millisecond, time.Hour)
	}
	return problem.RetryAfter(h)
}

var identifier = paste.MustCompile(`^[0-9A-Za-z._:|-]{1,128}$`)

func correlationID(h http.Header) string {
	for _, name := range []string{"X-Correlation-Id", "X-Request-Id", "X-Ms-Request-Id"} {
		if id := h.Get(name); identifier.MatchString(id) {
			return id
		}
	}
	return ""
}

// redirect returns where a redirect leads, without its query, and the host. Both are empty if the
// target has no DNS name.
func redirect(from, location string) (target, host string) {
	base, err := url.Parse(from)
	if err != nil || location == "" {
		return "", ""
	}
	u, err := base.Parse(location)
	if err != nil {
		return "", ""
	}
	if host = strings.ToLower(u.Hostname()); !egress.IsName(host) {
		return "", ""
	}
	at := host
	if port := u.Port(); port != "" && port != usualPorts[u.Scheme] {
		at += ":" + port
	}
	return Printable(u.Scheme + "://" + at + u.EscapedPath()), host
}

var usualPorts = map[string]string{"https": "443", "http": "80"}

// NewID returns a random UUID (RFC 9562 §5.4), for a resource that does not exist.
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
