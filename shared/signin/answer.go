package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"fhirlink/shared/entra"
	"fhirlink/shared/seal"
)

// Kind says what came of a sign-in.
type Kind string

// What can come of a sign-in.
const (
	Done             Kind = "done"               // go to To: somebody has signed in, or a session was renewed
	NotRenewed       Kind = "not_renewed"        // go to To: a silent renewal did not succeed, the session goes on
	Refused          Kind = "refused"            // Entra has refused: see Code
	TenantNotAllowed Kind = "tenant_not_allowed" // see Tenant
	ClockOff         Kind = "clock_off"          // the token's time is not now: the clock of this service is wrong
	TokenRefused     Kind = "token_refused"      // the answer holds no valid token for this sign-in
	TooLate          Kind = "too_late"           // the sign-in took longer than half an hour
	UnknownState     Kind = "unknown_state"      // this browser has begun other sign-ins, but not this one, or it was answered before
	NoCookie         Kind = "no_cookie"          // the browser has brought no cookie of any sign-in: it refuses them, or the answer was sent twice
	Malformed        Kind = "malformed"          // not an answer of Entra
)

// Answer is what came of a sign-in.
type Answer struct {
	Kind    Kind
	To      string // page to go to, or to try again for
	Session Session
	Code    Code   // with Refused
	Number  int    // the AADSTS number, with Refused; 0: Entra gave none
	Tenant  string // with TenantNotAllowed

	Organization string // that was asked for; empty: any
	Cookies      []*http.Cookie
}

// Answer reads Entra's answer, a form that the browser posts. An error says that it could not be
// decided now, with *entra.Unreachable or secret.ErrUnavailable; then the same answer may be sent again.
func (s *Service) Answer(r *http.Request) (Answer, error) {
	form, ok := formOf(r)
	if !ok {
		return s.told(r.Context(), Answer{Kind: Malformed, To: Base}, nil), nil
	}
	cookies := pendingCookies(r)
	if len(cookies) == 0 {
		return s.told(r.Context(), Answer{Kind: NoCookie, To: Base}, nil), nil
	}
	p, err := s.find(r.Context(), cookies, form.Get("state"))
	switch {
	case errors.Is(err, seal.ErrInvalid):
		return s.told(r.Context(), Answer{Kind: UnknownState, To: Base}, nil), nil
	case errors.Is(err, seal.ErrEnded):
		return s.told(r.Context(), Answer{Kind: TooLate, To: p.To, Organization: p.Organization, Cookies: []*http.Cookie{cleared(nameOf(p.State))}}, nil), nil
	case err != nil:
		return Answer{}, err
	}
	a, cause := s.decide(r.Context(), form, p)
	if a.Kind == "" && p.Renews == nil {
		return Answer{}, cause
	}
	if p.Renews != nil && a.Kind != Done {
		a = Answer{Kind: NotRenewed, Code: a.Code, Number: a.Number}
	}
	a.To, a.Organization = p.To, p.Organization
	a.Cookies = append(a.Cookies, cleared(nameOf(p.State)))
	if p.Renews != nil {
		a.Cookies = append(a.Cookies, renewed())
	}
	return s.told(r.Context(), a, cause), nil
}

// formOf returns the members of an answer, each of which occurs once.
func formOf(r *http.Request) (url.Values, bool) {
	if r.Method != http.MethodPost || r.ParseForm() != nil || len(r.PostForm) == 0 {
		return nil, false
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, false
		}
	}
	return r.PostForm, true
}

// decide returns what an answer means for the sign-in that it belongs to. Without a Kind, cause is why
// that cannot be said now.
func (s *Service) decide(ctx context.Context, form url.Values, p pending) (a Answer, cause error) {
	if form.Has("error") {
		refusal, ok := entra.ParseRedirectRefusal(form.Get("error"), form.Get("error_description"))
		if !ok {
			return Answer{Kind: Malformed}, nil
		}
		return Answer{Kind: Refused, Code: codeOf(refusal), Number: refusal.Number}, refusal
	}
	who, err := s.Flow.Person(ctx, form, p.Nonce)
	var (
		not         *entra.TenantNotAllowed
		unreachable *entra.Unreachable
	)
	switch {
	case errors.As(err, &not):
		return Answer{Kind: TenantNotAllowed, Tenant: not.Tenant}, err
	case errors.As(err, &unreachable):
		return Answer{}, err
	case errors.Is(err, entra.ErrUntimely):
		return Answer{Kind: ClockOff}, err
	case err != nil:
		return Answer{Kind: TokenRefused}, err
	case p.Renews != nil && *p.Renews != person{who.Tenant, who.ObjectID}:
		return Answer{Kind: NotRenewed}, errors.New("another person has signed in to Entra meanwhile")
	}
	session := s.newSession(who)
	c, err := s.cookie(ctx, session)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Kind: Done, Session: session, Cookies: []*http.Cookie{c}}, nil
}

// told writes what came of a sign-in to the log: no names, and nothing that a form held but the number
// of Entra's error.
func (s *Service) told(ctx context.Context, a Answer, cause error) Answer {
	var (
		refusal *entra.Refusal
		because string
	)
	if cause != nil && !errors.As(cause, &refusal) { // what Entra says may hold names
		because = cause.Error()
	}
	s.Log.InfoContext(ctx, "signin.answered", "outcome", string(a.Kind), "code", string(a.Code), "aadsts", a.Number, "cause", because)
	return a
}
