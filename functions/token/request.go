package token

import (
	"net/http"
	"net/url"

	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

const formType = "application/x-www-form-urlencoded"

// request is what the caller asks for.
type request struct {
	slug  string
	scope string // "" when not given
}

func parse(r *http.Request) (request, error) {
	switch httpx.MediaType(r.Header) {
	case "application/json":
		return parseJSON(r)
	case formType:
		return parseForm(r)
	}
	return request{}, problem.New(problem.UnsupportedMediaType,
		"Send %s (grant_type=client_credentials&slug=...), or application/json (an object with the one member slug), in UTF-8.", formType)
}

func parseJSON(r *http.Request) (request, error) {
	var body struct {
		Slug string `json:"slug"`
	}
	if err := httpx.DecodeJSON(r, &body); err != nil {
		return request{}, err
	}
	if body.Slug == "" {
		return request{}, invalidRequest("slug is missing. Send an object with the one member slug, the link's.")
	}
	return request{slug: body.Slug}, nil
}

// parseForm reads the form of RFC 6749 §4.4.2. It ignores the query, because a parameter there
// would end up in logs.
func parseForm(r *http.Request) (request, error) {
	data, err := httpx.ReadBody(r)
	if err != nil {
		return request{}, err
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return request{}, invalidRequest("The body is not a form: look for a ; or a % that is not followed by two hexadecimal digits.")
	}
	if err := checkGrant(form); err != nil {
		return request{}, err
	}
	slug, err := one(form, "slug")
	if err != nil {
		return request{}, err
	}
	if slug == "" {
		return request{}, invalidRequest("slug is missing. Send the slug of the link whose FHIR server the token is for.")
	}
	scope, err := one(form, "scope")
	return request{slug: slug, scope: scope}, err
}

// checkGrant checks the grant type, which decides whether the rest is read.
func checkGrant(form url.Values) error {
	grant, err := one(form, "grant_type")
	switch {
	case err != nil:
		return err
	case grant == "":
		return invalidRequest("grant_type is missing. Send grant_type=client_credentials.")
	case grant != oauth.ClientCredentials:
		return &oauth.Error{Code: oauth.UnsupportedGrantType, Description: "The only grant_type is client_credentials."}
	}
	for _, name := range []string{"client_secret", "client_assertion"} {
		if form.Has(name) {
			return invalidRequest(name + " does not belong here: callers sign in with Authorization: Bearer, and the link's own secret is kept by us. Leave it out.")
		}
	}
	return nil
}

// one returns the parameter's value. A repeated parameter is an error; an empty one counts as
// left out (RFC 6749 §3.2).
func one(form url.Values, name string) (string, error) {
	if len(form[name]) > 1 {
		return "", invalidRequest(name + " stands more than once. Send it once.")
	}
	return form.Get(name), nil
}

func invalidRequest(description string) *oauth.Error {
	return &oauth.Error{Code: oauth.InvalidRequest, Description: description}
}
