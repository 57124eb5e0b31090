package verification

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/fhir"
)

// token requests a token from the configured authority.
func (r *run) token(ctx context.Context) Check {
	start := time.Now()
	token, err := r.tokens.Token(ctx, r.credentials(), r.Audience+"/.default")
	c := r.tokenCheck(token, err)
	c.DurationMS = time.Since(start).Milliseconds()
	return c
}

func (r *run) credentials() entra.Credentials {
	return entra.Credentials{Authority: r.configured, TenantID: r.TenantID, ClientID: r.ClientID, Credential: r.Credential}
}

func (r *run) tokenCheck(token entra.Token, err error) Check {
	var refusal *entra.Refusal
	endpoint := &Evidence{Method: "POST", URL: strings.TrimSuffix(r.configured, "/") + "/" + r.TenantID + "/oauth2/v2.0/token"}
	switch {
	case errors.As(err, &refusal):
		endpoint.HTTPStatus, endpoint.TraceID, endpoint.CorrelationID = refusal.HTTPStatus, refusal.TraceID, refusal.CorrelationID
		return r.refused(refusal, endpoint)
	case err != nil:
		return r.noAnswer(err, endpoint)
	case token.Access.IsZero():
		c := r.found("entra_no_token", fhir.Answer{})
		c.Evidence = endpoint
		return c
	}
	r.accessToken = token.Access
	c := r.pass(fhir.Answer{}, "Entra issued a token for {audience}.")
	c.Evidence = endpoint
	return c
}

// noAnswer returns the check for an attempt that got neither a token nor a refusal.
func (r *run) noAnswer(err error, e *Evidence) Check {
	c := r.found("entra_unreachable", fhir.Answer{})
	var unreachable *entra.Unreachable
	if errors.As(err, &unreachable) {
		if e.HTTPStatus = unreachable.Status; e.HTTPStatus == http.StatusOK {
			c = r.found("entra_no_token", fhir.Answer{})
		}
		d := unreachable.Diagnose()
		c.Message, c.Fix = d.Message, d.Fix
	}
	c.Evidence = e
	return c
}

func (r *run) refused(refusal *entra.Refusal, e *Evidence) Check {
	d := refusal.DiagnoseFor(r.credentials(), r.Audience, r.azure())
	outcome := outcomes[refusal.Class()]
	if outcome == OutcomeTransient {
		r.report.RetryAfter = max(r.report.RetryAfter, refusal.RetryAfter)
	}
	return Check{Status: Fail, Code: refusal.Code(), Outcome: outcome, Message: d.Message, Fix: d.Fix, Command: d.Command, Evidence: e, SecretRefused: refusal.SecretRefused()}
}

// minLife is the least remaining lifetime of a fresh token. Entra's tokens last an hour or more.
const minLife = 5 * time.Minute

// claims checks whether the token is the requested one. It does not validate the token: that is
// the FHIR server's job.
func (r *run) claims(context.Context) Check {
	claims, err := entra.ParseClaims(r.accessToken.Reveal())
	if err != nil {
		return r.found("token_opaque", fhir.Answer{})
	}
	if id := strings.ToLower(claims.ObjectID); guid.MatchString(id) {
		r.report.ObjectID, r.facts["{object}"] = id, id
	}
	r.noteToken(claims)
	if code := r.claimsCode(claims); code != "" {
		return r.found(code, fhir.Answer{})
	}
	return r.pass(fhir.Answer{}, "The token is for {audience}, tenant {tenant}, application {client}; its object id is {object}.")
}

// noteToken records what a server may refuse about the token.
func (r *run) noteToken(c entra.Claims) {
	if len(c.Audience) > 0 {
		r.facts["{aud}"] = fhir.Printable(c.Audience[0])
	}
	if c.Issuer != "" {
		r.facts["{iss}"] = fhir.Printable(c.Issuer)
	}
	switch c.Version {
	case "1.0":
		r.facts["{tokenVersion}"], r.facts["{otherVersion}"] = "1", "2"
	case "2.0":
		r.facts["{tokenVersion}"], r.facts["{otherVersion}"] = "2", "1"
	}
}

func (r *run) claimsCode(c entra.Claims) string {
	// "aud" of a v2 token is the client id of the API, whatever its identifier URI is
	// (learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
	// For an audience that is a GUID it is that GUID; tokens of version 1 may spell it spn:GUID or
	// api://GUID.
	clientIDAudience := c.Version == "2.0" && len(c.Audience) == 1 && guid.MatchString(strings.ToLower(c.Audience[0])) && !guid.MatchString(r.Audience)
	switch {
	case !slices.ContainsFunc(c.Audience, r.isAudience) && !clientIDAudience:
		return "token_aud"
	case !strings.EqualFold(c.TenantID, r.TenantID):
		return "token_tid"
	case !strings.EqualFold(c.AppID, r.ClientID):
		return "token_appid"
	case c.Expires.Before(r.now().Add(minLife)):
		return "token_short"
	}
	return ""
}

// isAudience reports whether aud names the audience that was asked for.
func (r *run) isAudience(aud string) bool {
	return aud == r.Audience || guid.MatchString(r.Audience) && guidAudience(aud) == r.Audience
}
