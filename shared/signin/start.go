package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/seal"
)

// ErrOrganization means that an organization is named by something else than a tenant id or a domain.
var ErrOrganization = errors.New("an organization is named by its tenant id (a GUID) or a domain such as contoso.com")

// pending is a sign-in that has begun.
type pending struct {
	State string `json:"s"`
	Nonce string `json:"n"`
	To    string `json:"t"`

	Organization string `json:"o,omitempty"` // that was asked for, as in Start; empty: any

	Renews *person `json:"r,omitempty"` // whose session is renewed, without asking anybody
}

// person is who an account is. Object ids are unique in their tenant only.
type person struct {
	Tenant   string `json:"t"`
	ObjectID string `json:"o"`
}

// Begun is a sign-in to send the browser to. Never by a redirect: browsers apply form-action to every
// redirect that follows a form, and drop it silently.
type Begun struct {
	URL     string
	Cookies []*http.Cookie
}

// Start begins a sign-in as the query of r says: to, organization, and prompt=select_account. A to that
// is no page of ours is the first page.
//
// Errors: ErrOrganization, *entra.TenantNotAllowed, and one with secret.ErrUnavailable while there are
// no sealing keys.
func (s *Service) Start(r *http.Request) (Begun, error) {
	query := r.URL.Query()
	tenant, err := s.tenant(query.Get("organization"))
	if err != nil {
		return Begun{}, err
	}
	extra := url.Values{}
	if query.Get("prompt") == "select_account" {
		extra.Set("prompt", "select_account")
	}
	return s.begin(r, tenant, extra, pending{To: Target(query.Get("to")), Organization: query.Get("organization")})
}

func (s *Service) begin(r *http.Request, tenant string, extra url.Values, p pending) (Begun, error) {
	p.State, p.Nonce = rand.Text(), rand.Text()
	sealed, err := seal.Seal(r.Context(), s.Sealer, usePending, s.Now().Add(pendingLife), p)
	if err != nil {
		return Begun{}, err
	}
	query := s.Flow.Parameters()
	for name, values := range extra {
		query[name] = values
	}
	for name, value := range map[string]string{
		"client_id": s.ClientID, "redirect_uri": s.PublicURL + SignedIn, "scope": "openid profile", "state": p.State, "nonce": p.Nonce,
	} {
		query.Set(name, value)
	}
	cookies := s.makeRoom(r)
	return Begun{
		URL:     s.endpoint(tenant, "/oauth2/v2.0/authorize", query),
		Cookies: append(cookies, cookie(nameOf(p.State), sealed, http.SameSiteNoneMode, 0)),
	}, nil
}

func nameOf(state string) string { return pendingCookie + state[:stateInName] }

// makeRoom clears the cookies of sign-ins that cannot be answered any more, and the oldest ones so that
// one more fits.
func (s *Service) makeRoom(r *http.Request) (clear []*http.Cookie) {
	type begun struct {
		name  string
		until time.Time
	}
	var all []begun
	for _, c := range pendingCookies(r) {
		_, until, err := seal.Open[pending](r.Context(), s.Sealer, usePending, c.Value)
		if err != nil {
			clear = append(clear, cleared(c.Name))
			continue
		}
		all = append(all, begun{c.Name, until})
	}
	slices.SortStableFunc(all, func(a, b begun) int { return a.until.Compare(b.until) })
	for len(all) >= maxPending {
		clear, all = append(clear, cleared(all[0].name)), all[1:]
	}
	return clear
}

// pendingCookies returns the cookies of sign-ins.
func pendingCookies(r *http.Request) []*http.Cookie {
	return slices.DeleteFunc(r.Cookies(), func(c *http.Cookie) bool { return !strings.HasPrefix(c.Name, pendingCookie) })
}

// Renew begins the silent renewal of a session that ends soon, if r is for a document that can wait for
// it: begun is then what to send instead of the document. The browser comes back to the same address.
// It is not begun again for five minutes, whatever comes of it.
func (s *Service) Renew(r *http.Request, current Session) (begun Begun, ok bool) {
	to := r.URL.RequestURI()
	destination := cmp.Or(r.Header.Get("Sec-Fetch-Dest"), "document")
	if r.Method != http.MethodGet || destination != "document" || !isTarget(to) ||
		valueOf(r, renewedCookie) != "" || current.Ends.Sub(s.Now()) >= renewBelow {
		return Begun{}, false
	}
	extra := url.Values{"prompt": {"none"}}
	if hint := cmp.Or(current.LoginHint, current.Username); hint != "" {
		extra.Set("login_hint", hint)
	}
	begun, err := s.begin(r, current.Tenant, extra, pending{To: to, Renews: &person{current.Tenant, current.ObjectID}})
	if err != nil {
		s.Log.WarnContext(r.Context(), "signin.unrenewed", "cause", err.Error())
		return Begun{}, false // the session still holds
	}
	begun.Cookies = append(begun.Cookies, renewed())
	return begun, true
}

func renewed() *http.Cookie { return cookie(renewedCookie, "1", http.SameSiteLaxMode, renewedLife) }

// find returns the sign-in that an answer with this state belongs to. The error is seal.ErrInvalid
// without one, seal.ErrEnded if it took too long, or one with secret.ErrUnavailable.
func (s *Service) find(ctx context.Context, cookies []*http.Cookie, state string) (pending, error) {
	if len(state) < stateInName {
		return pending{}, seal.ErrInvalid
	}
	err := seal.ErrInvalid
	for _, c := range cookies {
		if c.Name != nameOf(state) {
			continue
		}
		var p pending
		if p, _, err = seal.Open[pending](ctx, s.Sealer, usePending, c.Value); errors.Is(err, seal.ErrInvalid) {
			continue
		}
		if err == nil && p.State != state || errors.Is(err, seal.ErrEnded) && p.State != state {
			return pending{}, seal.ErrInvalid
		}
		return p, err
	}
	return pending{}, err
}
