package verification

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
	"fhirlink/shared/secret"
)

// Budget limits a whole verification. A single request to the FHIR server takes at most
// fhir.DefaultTimeout.
const Budget = 25 * time.Second

// Target is what to verify.
type Target struct {
	Server   fhir.BaseURL
	TenantID string // lower-case GUID; empty: taken from the server
	Audience string // empty: taken from the server
	ClientID string // lower-case GUID

	Credential credential.Credential

	// TokenOnly is for an application that gets tokens and reads nothing by itself: only CheckToken runs,
	// with the tenant and the audience that are given.
	TokenOnly bool
}

// Verifier runs the checks from CheckAddress on. The caller, who knows the fields, runs
// CheckFields. A nil Now means time.Now.
type Verifier struct {
	Client    *http.Client // the guarded one of package egress
	Tokens    entra.TokenSource
	Authority func(fhir.BaseURL) string // the configured authority for a server; never a discovered one
	Now       func() time.Time

	// PublicURL is the origin of this deployment, empty if it has none. A server that names an
	// authority below its path /api/smart/ names fhirlink itself, which says nothing about a tenant.
	PublicURL string

	// Kind returns the kind of a server. Nil means that the host name decides. Only cmd/local
	// sets it, for the servers of its sandbox.
	Kind func(fhir.BaseURL) fhir.Kind
}

// Verify runs the checks in order and skips the rest after the first failure. It makes at most 7
// requests: metadata, a read without a token, smart-configuration if the tenant is still unknown,
// two to the authority, a read and a write. One more deletes what a server created on the
// conditional write, against the standard. Each read takes one more at a server that does not
// understand the first one; such a server is not written to.
func (v *Verifier) Verify(ctx context.Context, t Target) Report {
	r := v.run(t)
	if t.TokenOnly {
		r.through(ctx, []step{tokenStep})
	} else {
		r.through(ctx, steps)
	}
	return r.report
}

// Discovery is what a server says of itself without credentials.
type Discovery struct {
	Kind        fhir.Kind
	FHIRVersion string // empty while unknown
	Report      Report // with tenant and audience, as far as they are known
}

// Discover runs the checks that need no credentials. It makes at most 4 requests.
func (v *Verifier) Discover(ctx context.Context, server fhir.BaseURL) Discovery {
	r := v.run(Target{Server: server})
	r.through(ctx, steps[:discoverySteps])
	return Discovery{Kind: r.kind, FHIRVersion: fhir.Name(r.capability.FHIRVersion), Report: r.report}
}

// through runs steps in order, and skips the rest after the first failure.
func (r *run) through(ctx context.Context, steps []step) {
	ctx, cancel := context.WithTimeout(ctx, Budget)
	defer cancel()
	failed, progress := "", progressOf(ctx)
	for _, s := range steps {
		c := skipped(s.id, failed)
		if failed == "" {
			progress.Running(s.id)
			c = s.check(r, ctx)
		}
		c.ID, c.Title = s.id, Title(s.id)
		if c.Status == Fail {
			failed = s.id
		}
		r.report.add(c)
		progress.Done(c)
	}
}

// step is one check.
type step struct {
	id    string
	check func(*run, context.Context) Check
}

// discoverySteps is how many of the steps need no credentials.
const discoverySteps = 3

// tokenStep is the one that asks Entra for a token.
var tokenStep = step{CheckToken, (*run).token}

var steps = []step{
	{CheckAddress, (*run).address},
	{CheckMetadata, (*run).metadata},
	{CheckAuthority, (*run).authority},
	tokenStep,
	{CheckClaims, (*run).claims},
	{CheckRead, (*run).read},
	{CheckWrite, (*run).write},
}

// run is one verification in progress: what is asked, and what is known so far.
type run struct {
	Target
	client     fhir.Client
	tokens     entra.TokenSource
	configured string // authority
	publicURL  string // of this deployment
	kind       fhir.Kind
	now        func() time.Time
	probe      string // id of a Basic resource that does not exist

	capability  fhir.Capability
	described   fhir.Answer // the answer for metadata
	describeErr error
	accessToken secret.Value
	wanted      string // the audience that the server named
	namedGUID   string // the same, if it is a GUID, which is never believed

	namedTenant string // an Entra tenant that is not named by its id: a domain, common
	noCount     bool   // the server does not understand a count
	facts       facts
	report      Report
}

func (v *Verifier) run(t Target) *run {
	r := &run{
		Target: t, tokens: v.Tokens, configured: v.Authority(t.Server), publicURL: v.PublicURL, kind: t.Server.Kind(), now: v.Now, probe: fhir.NewID(),
		client: fhir.Client{HTTP: v.Client, Base: t.Server},
		report: Report{Status: Pass, Access: NoAccess, TenantID: t.TenantID, Audience: t.Audience},
	}
	if v.Kind != nil {
		r.kind = v.Kind(t.Server)
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.facts = facts{
		"{url}": t.Server.String(), "{host}": t.Server.Host(), "{client}": t.ClientID, "{authority}": hostOf(r.configured),
		"{tenant}": t.TenantID, "{audience}": t.Audience, "{object}": "unknown, because the token does not tell it",
		"{iss}": "which cannot be read", "{tokenVersion}": "1 or 2", "{otherVersion}": "1 or 2, whichever it is not",
		"{named}": "", "{issuerTenant}": "", "{given}": "", "{find}": "Find out",
	}
	return r
}

// add appends a check; the report gets the worst status of its checks.
func (r *Report) add(c Check) {
	r.Checks = append(r.Checks, c)
	if c.Status == Fail || c.Status == Warn && r.Status == Pass {
		r.Status = c.Status
	}
}

func (r *run) pass(a fhir.Answer, message string) Check {
	return Check{Status: Pass, Code: "ok", Message: r.facts.fill(message), Evidence: evidence(a), DurationMS: a.Elapsed.Milliseconds()}
}

func (r *run) skip(code, message string) Check {
	return Check{Status: Skipped, Code: code, Message: message}
}

// found returns the check for the catalogue's finding of that name.
func (r *run) found(name string, a fhir.Answer) Check {
	f := catalogue[name]
	code, _, _ := strings.Cut(name, "/")
	if !r.azure() {
		f.Message, f.Fix = cmp.Or(f.MessageElsewhere, f.Message), cmp.Or(f.FixElsewhere, f.Fix)
	}
	if f.Outcome == OutcomeTransient {
		r.report.RetryAfter = max(r.report.RetryAfter, a.RetryAfter)
	}
	return Check{
		Status: f.Status, Code: code, Outcome: f.Outcome,
		Message: strings.TrimSpace(r.facts.fill(f.Message)), Fix: strings.TrimSpace(r.facts.fill(f.Fix)), Command: r.facts.fill(f.Command),
		Evidence: evidence(a), DurationMS: a.Elapsed.Milliseconds(),
	}
}

// azure reports whether words about the Azure portal fit the server: its name is Microsoft's, or
// looks like a misspelling of it.
func (r *run) azure() bool {
	return r.kind.Microsoft() || strings.Contains(r.Server.Host(), "healthcareapi")
}

func evidence(a fhir.Answer) *Evidence {
	if a.URL == "" {
		return nil
	}
	return &Evidence{Method: a.Method, URL: a.URL, HTTPStatus: a.Status, CorrelationID: a.CorrelationID}
}
