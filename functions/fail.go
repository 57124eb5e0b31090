package functions

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/tokens"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth/launch"
	"fhirlink/shared/verification"
)

// timeoutRetry is how long a client should wait after a request ran out of time.
const timeoutRetry = 10 * time.Second

// fail answers with an error in the route's words, counts it in the log by the code of the
// answer, and logs what the caller must not see.
func (d Deps) fail(in errorForm) httpx.ErrorWriter {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		err = timedOut(err)
		work := eventlog.Current(r.Context())
		work.End(in.code(err))
		work.Find(finding(err))
		if gone(r, err) {
			work.End("client_gone")
		}
		d.logCause(r, err)
		in.write(w, r, err)
	}
}

// gone reports whether the only reason for err is that the client did not wait for the answer.
func gone(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled)
}

// finding returns the code of what Entra or a verification found wrong with the link. It is
// empty when the error is about something else. A refusal of Entra is no warning.
func finding(err error) (code string, warning bool) {
	var (
		refused *tokens.Refused
		p       *problem.Error
	)
	switch {
	case errors.As(err, &refused):
		return refused.Code, false
	case errors.As(err, &p):
		if report, ok := p.Report.(verification.Report); ok {
			return report.Finding()
		}
	}
	return "", false
}

// timedOut turns a deadline that no other code has explained into a problem that says to try
// again.
func timedOut(err error) error {
	if known(err) || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return problem.Unavailable(err, timeoutRetry, "A service that is needed took too long to answer. Try again later.")
}

// known reports whether err is meant for callers.
func known(err error) bool {
	var p *problem.Error
	return errors.As(err, &p) || isAnswer(err)
}

// isAnswer reports whether err is one of the token endpoints' errors, or of a launch: the request, the
// user or the link is at fault.
func isAnswer(err error) bool {
	var (
		answer  *oauth.Error
		refused *tokens.Refused
		shown   *launch.Shown
		sent    *launch.Refused
	)
	return errors.As(err, &answer) || errors.As(err, &refused) || errors.As(err, &shown) || errors.As(err, &sent) && !isFault(sent)
}

// isFault reports whether an app is told of a fault in fhirlink. By the other codes the user or the app is at fault,
// whatever has shown it, or a service is out of reach; and Entra's refusals are about the user or the registration.
func isFault(sent *launch.Refused) bool {
	var byEntra *entra.Refusal
	return sent.Code == oauth.ServerError && sent.Cause != nil && !errors.As(sent.Cause, &byEntra)
}

// logCause logs the cause of a fault in fhirlink or in a service that it needs. It logs nothing
// when the request was wrong or the client has gone.
func (d Deps) logCause(r *http.Request, err error) {
	if gone(r, err) {
		return
	}
	level := slog.LevelError
	switch code := problem.CodeOf(err); {
	case code == problem.UpstreamUnavailable:
		level = slog.LevelWarn
	case code != problem.Internal, isAnswer(err):
		return
	}
	d.Log.LogAttrs(r.Context(), level, "request.failed", slog.String("route", r.Pattern), slog.String("error", err.Error()))
}
