package signin

import (
	"net/http"
	"net/url"

	"fhirlink/shared/seal"
)

// leaving is what the page behind a sign-out still knows, for a few minutes.
type leaving struct {
	Tenant    string `json:"t"`
	LoginHint string `json:"h,omitempty"`
}

// SignOut returns the cookies that end the session in this browser, and whatever else it holds of
// ours.
func (s *Service) SignOut(r *http.Request) []*http.Cookie {
	cookies := []*http.Cookie{cleared(sessionCookie), cleared(renewedCookie)}
	for _, c := range pendingCookies(r) {
		cookies = append(cookies, cleared(c.Name))
	}
	session, err := s.Session(r)
	if err != nil {
		return cookies
	}
	value, err := seal.Seal(r.Context(), s.Sealer, useSignedOut, s.Now().Add(signedOutLife), leaving{session.Tenant, session.LoginHint})
	if err != nil {
		return cookies // the page's link asks which account
	}
	return append(cookies, cookie(signedOutCookie, value, http.SameSiteLaxMode, signedOutLife))
}

// LogoutURL returns where a person signs out of Microsoft too, after SignOut. Entra comes back to the
// page SignedOut. Without a login hint it asks which account is meant; it must not be the user name
// (https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#send-a-sign-out-request).
func (s *Service) LogoutURL(r *http.Request) string {
	tenant, query := "organizations", url.Values{"post_logout_redirect_uri": {s.PublicURL + SignedOut}}
	if left, _, err := seal.Open[leaving](r.Context(), s.Sealer, useSignedOut, valueOf(r, signedOutCookie)); err == nil {
		tenant = left.Tenant
		if left.LoginHint != "" {
			query.Set("logout_hint", left.LoginHint)
		}
	}
	return s.endpoint(tenant, "/oauth2/v2.0/logout", query)
}
