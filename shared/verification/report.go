package verification

import (
	"context"
	"slices"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/problem"
)

// Status is the status of a check or of a report. A report has the worst status among its checks
// that were not skipped.
type Status string

// The statuses. A report is never Skipped.
const (
	Pass    Status = "pass"
	Warn    Status = "warn"
	Fail    Status = "fail"
	Skipped Status = "skipped"
)

// Access is the access to the FHIR server that the credentials have proven.
type Access string

// The levels of access. ReadWrite implies reading.
const (
	NoAccess  Access = "none"
	Read      Access = "read"
	ReadWrite Access = "read_write"
)

// The checks, in order.
const (
	CheckFields    = "fields"
	CheckAddress   = "address"
	CheckMetadata  = "metadata"
	CheckAuthority = "authority"
	CheckToken     = "token"
	CheckClaims    = "claims"
	CheckRead      = "read"
	CheckWrite     = "write"
)

// Outcome is what a report means for the link.
type Outcome string

// The outcomes, best first.
const (
	OutcomeActive        Outcome = "active"         // usable, perhaps with warnings
	OutcomePendingAccess Outcome = "pending_access" // the token works, but no read was answered yet
	OutcomeTransient     Outcome = "degraded"       // only a temporary problem was found
	OutcomeExpired       Outcome = "expired"        // Entra says that the secret has expired
	OutcomeBroken        Outcome = "broken"         // a setting is wrong
)

// Evidence is what a check saw on the wire. It never holds a header, a body, a secret or a token.
type Evidence struct {
	Method        string `json:"method,omitempty"`
	URL           string `json:"url,omitempty"`
	HTTPStatus    int    `json:"httpStatus,omitempty"`
	CorrelationID string `json:"correlationId,omitempty"`
	TraceID       string `json:"traceId,omitempty"`
}

// Check is one step of a verification. A check that fails or warns has a message and a fix.
type Check struct {
	ID         string          `json:"id"`
	Title      string          `json:"title"`
	Status     Status          `json:"status"`
	Code       string          `json:"code"` // "ok" for a passed check
	Message    string          `json:"message"`
	Fix        string          `json:"fix"`
	Command    string          `json:"command,omitempty"` // one line for a shell that does what the fix says
	DurationMS int64           `json:"durationMs"`
	Evidence   *Evidence       `json:"evidence,omitempty"`
	Errors     []problem.Field `json:"errors,omitempty"` // only for the check "fields"

	// Outcome is what a failing check leads to; empty means OutcomeBroken.
	Outcome Outcome `json:"-"`
	// SecretRefused says that Entra does not know the client secret.
	SecretRefused bool `json:"-"`
}

// Advice returns the fix with the command, for places that have one text only.
func (c Check) Advice() string { return entra.Diagnosis{Fix: c.Fix, Command: c.Command}.Advice() }

// Report is the result of a verification.
type Report struct {
	Status   Status  `json:"status"`
	Access   Access  `json:"access"`
	TenantID string  `json:"tenantId"` // empty while unknown
	Audience string  `json:"audience"` // empty while unknown
	ObjectID string  `json:"objectId"` // the token's oid; empty without a token
	Checks   []Check `json:"checks"`

	RetryAfter time.Duration `json:"-"` // the wait that a throttling server asked for; 0: none
}

// Outcome returns the worst outcome among the failing checks.
func (r Report) Outcome() Outcome {
	rank := map[Outcome]int{OutcomeActive: 0, OutcomePendingAccess: 1, OutcomeTransient: 2, OutcomeExpired: 3, OutcomeBroken: 4}
	worst := OutcomeActive
	for _, c := range r.Checks {
		if c.Status != Fail {
			continue
		}
		o := c.Outcome
		if o == "" {
			o = OutcomeBroken
		}
		if rank[o] > rank[worst] {
			worst = o
		}
	}
	return worst
}

// Failed returns the first failing check.
func (r Report) Failed() (Check, bool) {
	for _, c := range r.Checks {
		if c.Status == Fail {
			return c, true
		}
	}
	return Check{}, false
}

// Finding returns the code of the first check that failed, or else of the first that warned; ""
// if all passed. warning means that none failed. Other checks take precedence over CheckFields,
// which may complain about no more than a missing date.
func (r Report) Finding() (code string, warning bool) {
	for _, status := range []Status{Fail, Warn} {
		for _, ofFields := range []bool{false, true} {
			i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Status == status && (c.ID == CheckFields) == ofFields })
			if i >= 0 {
				return r.Checks[i].Code, status == Warn
			}
		}
	}
	return "", false
}

// Ran reports whether the check was run.
func (r Report) Ran(id string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.ID == id && c.Status != Skipped })
}

// titles holds the titles of the checks in order, by id. A title names what is checked, so it is
// true for every result.
var titles = []struct{ id, title string }{
	{CheckFields, "Fields of the link"},
	{CheckAddress, "Address of the FHIR server"},
	{CheckMetadata, "Capability statement"},
	{CheckAuthority, "Tenant and audience"},
	{CheckToken, "Access token from Microsoft Entra"},
	{CheckClaims, "Contents of the access token"},
	{CheckRead, "Right to read"},
	{CheckWrite, "Right to write"},
}

// Title returns the fixed title of a check.
func Title(id string) string {
	for _, t := range titles {
		if t.id == id {
			return t.title
		}
	}
	return id
}

// skipped returns the entry of a check that is skipped because the check failed did not pass.
func skipped(id, failed string) Check {
	return Check{ID: id, Title: Title(id), Status: Skipped, Code: "skipped", Message: "Not run, because the check “" + Title(failed) + "” failed."}
}

// NotRun returns the report of a verification that ended at a check before any request. All later
// checks are skipped.
func NotRun(failed Check) Report {
	failed.Title = Title(failed.ID)
	r := Report{Access: NoAccess, Checks: []Check{failed}}
	past := false
	for _, t := range titles {
		if past {
			r.Checks = append(r.Checks, skipped(t.id, failed.ID))
		}
		past = past || t.id == failed.ID
	}
	return r.sum()
}

// Prepend inserts a check before the others, with its title. Who follows the verification in ctx is
// told of it.
func (r Report) Prepend(ctx context.Context, c Check) Report {
	c.Title = Title(c.ID)
	progressOf(ctx).Done(c)
	r.Checks = append([]Check{c}, r.Checks...)
	return r.sum()
}

// sum sets Status to the worst status of the checks.
func (r Report) sum() Report {
	rank := map[Status]int{Skipped: 0, Pass: 0, Warn: 1, Fail: 2}
	r.Status = Pass
	for _, c := range r.Checks {
		if rank[c.Status] > rank[r.Status] {
			r.Status = c.Status
		}
	}
	return r
}
