package intake

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// verifyRetry is how long to wait after a transient failure that did not say so itself.
const verifyRetry = 30 * time.Second

// Verdict is nil when the report allows the link to be stored. Errors: VerificationFailed,
// UpstreamUnavailable.
func Verdict(report verification.Report) error {
	failed, _ := report.Failed()
	switch report.Outcome() {
	case verification.OutcomeActive, verification.OutcomePendingAccess:
		return nil
	case verification.OutcomeTransient:
		return &problem.Error{
			Code: problem.UpstreamUnavailable, Report: report, RetryAfter: cmp.Or(report.RetryAfter, verifyRetry),
			Detail: "The verification could not be finished: " + failed.Message + " Nothing was stored; send the request again later.",
		}
	}
	e := &problem.Error{Code: problem.VerificationFailed, Report: report, Detail: failed.Message + " " + failed.Advice()}
	if field := FieldOf(failed); field != "" {
		e.Fields = []problem.Field{{Field: field, Code: failed.Code, Message: failed.Message, Fix: failed.Fix}}
	}
	return e
}

// SlugTaken is the error about a slug; message and fix may use it as their first argument.
func SlugTaken(message, fix, slug string) error {
	message = fmt.Sprintf(message, slug)
	if strings.Contains(fix, "%") {
		fix = fmt.Sprintf(fix, slug)
	}
	return problem.InField(problem.SlugTaken, "slug", message, fix)
}

// Match checks an If-Match header (RFC 9110 §13.1.1, strong comparison) against the entity tag of a
// link. Errors: IfMatchRequired, ChangedMeanwhile.
func Match(header, etag, slug string) error {
	if header == "" {
		return problem.New(problem.IfMatchRequired, "Send the ETag of the link as you last read it in If-Match, or If-Match: * to overwrite whatever is there.")
	}
	if strings.TrimSpace(header) == "*" { // alone only
		return nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		if strings.TrimSpace(tag) == etag {
			return nil
		}
	}
	return problem.New(problem.ChangedMeanwhile, "The link %q is not as your If-Match says. Read it again, look at what changed, and send the request with its ETag.", slug)
}
