package entratest

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// token is the v2 token endpoint. For client credentials (RFC 6749 §4.4) it checks, like Entra, form,
// tenant, application, secret and scope in this order.
func (a *Authority) token(w http.ResponseWriter, r *http.Request) {
	form, bad := readForm(w, r)
	if bad != nil {
		a.refuse(w, *bad)
		return
	}
	id := r.PathValue("tenant")
	tenant, known := a.tenant(id)
	if !known {
		a.refuse(w, tenantRefusal(id, "invalid_request"))
		return
	}
	if form.Get("grant_type") != "client_credentials" {
		a.redeem(w, r, tenant, form)
		return
	}
	app, bad := a.application(tenant, form)
	if bad == nil {
		bad = a.checkClient(tenant, app, form)
	}
	if bad != nil {
		a.refuse(w, *bad)
		return
	}
	resource, bad := resourceOf(tenant, form.Get("scope"))
	if bad != nil {
		a.refuse(w, *bad)
		return
	}
	g := grant{a, tenant, app, resource}
	g.reply()(g, w, r)
}

func (a *Authority) lifetime() time.Duration {
	if a.Lifetime != 0 {
		return a.Lifetime
	}
	return 3599 * time.Second
}

// readForm checks what RFC 6749 §3.2, §4.1.3, §4.4.2 and §6 require of the request.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	if r.Method != http.MethodPost {
		return nil, invalid(900561, "The endpoint only accepts POST requests. Received a "+r.Method+" request.")
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // an invalid media type is not a form's
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		return nil, missing("grant_type")
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, invalid(9002313, "Invalid request. Request is malformed or invalid.")
		}
	}
	grant := r.PostForm.Get("grant_type")
	needed, known := grantTypes[grant]
	if grant != "" && !known {
		return nil, &refusal{http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '" + grant + "'."}
	}
	for _, name := range append([]string{"grant_type", "client_id"}, needed...) {
		if r.PostForm.Get(name) == "" {
			return nil, missing(name)
		}
	}
	return r.PostForm, nil
}

// grantTypes lists the parameters that each type of grant needs.
var grantTypes = map[string][]string{
	"client_credentials": {"scope"}, "authorization_code": {"code", "redirect_uri"}, "refresh_token": {"refresh_token"},
}

func invalid(number int, text string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", number, text}
}

func missing(parameter string) *refusal {
	return invalid(900144, "The request body must contain the following parameter: '"+parameter+"'.")
}

// application finds the application.
func (a *Authority) application(t Tenant, form url.Values) (App, *refusal) {
	id := strings.ToLower(form.Get("client_id"))
	i := slices.IndexFunc(t.Apps, func(app App) bool { return app.ClientID == id })
	if i < 0 {
		return App{}, &refusal{http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '" + id + "' was not found in the directory '" + t.Name + "'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."}
	}
	app := t.Apps[i]
	if app.Disabled {
		return App{}, &refusal{http.StatusUnauthorized, "unauthorized_client", 7000112, "Application '" + id + "' is disabled."}
	}
	return app, nil
}

// checkClient checks the secret or the assertion of an application.
func (a *Authority) checkClient(t Tenant, app App, form url.Values) *refusal {
	if assertion := form.Get("client_assertion"); assertion != "" {
		return checkAssertion(t, app, form.Get("client_assertion_type"), assertion, a.now())
	}
	return a.checkSecret(app, form.Get("client_secret"))
}

func (a *Authority) checkSecret(app App, presented string) *refusal {
	if presented == "" {
		return &refusal{http.StatusUnauthorized, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
	}
	i := slices.IndexFunc(app.Secrets, func(s Secret) bool { return s.Value == presented })
	if i < 0 || a.Removed != nil && a.Removed(presented) {
		return &refusal{http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + app.ClientID + "'."}
	}
	if end := app.Secrets[i].ExpiresOn; !end.IsZero() && !a.now().Before(end) {
		return &refusal{http.StatusUnauthorized, "invalid_client", 7000222, "The provided client secret keys for app '" + app.ClientID + "' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."}
	}
	return nil
}

// resourceOf returns the resource of the one …/.default scope. MSAL adds OpenID Connect's scopes,
// which Entra ignores here.
func resourceOf(t Tenant, scope string) (string, *refusal) {
	scopes := slices.DeleteFunc(strings.Fields(scope), func(s string) bool {
		return slices.Contains([]string{"openid", "profile", "offline_access", "email"}, s)
	})
	if len(scopes) != 1 || !strings.HasSuffix(scopes[0], "/.default") {
		return "", &refusal{http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope " + strings.Join(scopes, " ") + " is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."}
	}
	resource := strings.TrimSuffix(scopes[0], "/.default")
	if !knows(t, resource) {
		return "", &refusal{http.StatusBadRequest, "invalid_resource", 500011, fmt.Sprintf("The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", resource, t.Name)}
	}
	return resource, nil
}

func knows(t Tenant, resource string) bool {
	if t.Knows != nil {
		return t.Knows(resource)
	}
	return strings.HasPrefix(resource, "https://")
}
