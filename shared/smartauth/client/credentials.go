package client

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"fhirlink/shared/oauth"
	"fhirlink/shared/secret"
)

// basicChallenge is what RFC 7617 wants in a 401 to a client that used Basic.
const basicChallenge = `Basic realm="fhirlink"`

// Credentials are how a client says who it is (RFC 6749 §2.3).
type Credentials struct {
	ClientID  string       // with an assertion: its subject, which nothing has proved yet
	Secret    secret.Value // zero: none was sent
	basic     *basic
	assertion *assertion
}

// Way is how the client authenticates, in the words of RFC 8414's metadata.
func (c Credentials) Way() string {
	switch {
	case c.assertion != nil:
		return "private_key_jwt"
	case c.basic != nil:
		return "client_secret_basic"
	case !c.Secret.IsZero():
		return "client_secret_post"
	}
	return "none"
}

// Signed reports whether the client has signed an assertion.
func (c Credentials) Signed() bool { return c.assertion != nil }

// Anonymous reports whether the client neither names itself nor proves anything.
func (c Credentials) Anonymous() bool {
	return c.ClientID == "" && c.Secret.IsZero() && c.assertion == nil
}

// basic is what stood in the header Authorization: the secret as it was sent, and form-decoded. No client
// id changes by that.
type basic struct {
	id                string
	rawSecret, secret secret.Value
}

// Read reads the credentials of a form and its header Authorization. With a refresh token a public app may
// leave out its client id: then it is empty. The error is an *oauth.Error.
func Read(authorization []string, form url.Values) (Credentials, error) {
	c := Credentials{ClientID: form.Get("client_id")}
	if form.Has("client_secret") {
		c.Secret = secret.New(form.Get("client_secret"))
	}
	asserts := form.Has("client_assertion") || form.Has("client_assertion_type") // half of it is a way, too
	ways := 0
	for _, used := range []bool{len(authorization) > 0, form.Has("client_secret"), asserts} {
		if used {
			ways++
		}
	}
	switch {
	case len(authorization) > 1:
		return c, invalidRequest("The request has several headers Authorization.")
	case ways > 1:
		return c, invalidRequest("The client authenticates in two ways at once. Send one of the header Authorization, client_secret and client_assertion.")
	case asserts:
		return c.withAssertion(form)
	case len(authorization) == 0:
		return c, nil
	}
	b, ok := readBasic(authorization[0])
	if !ok {
		return c, invalidClient("The header Authorization is not of the form Basic base64(client_id:client_secret).", true)
	}
	if c.ClientID != "" && c.ClientID != b.id {
		return c, invalidRequest("The parameter client_id and the header Authorization name two clients.")
	}
	c.ClientID, c.Secret, c.basic = b.id, b.secret, b
	return c, nil
}

// withAssertion reads a client assertion. Whom it names is believed when it is checked.
func (c Credentials) withAssertion(form url.Values) (Credentials, error) {
	if kind := form.Get("client_assertion_type"); kind != assertionType {
		return c, invalidClient("The parameter client_assertion_type must be "+assertionType+".", false)
	}
	a, err := readAssertion(form.Get("client_assertion"))
	if err != nil {
		return c, err
	}
	if c.ClientID != "" && c.ClientID != a.claims.Subject {
		return c, invalidClient("The parameter client_id is not the sub of the client assertion.", false)
	}
	c.ClientID, c.assertion = a.claims.Subject, a
	return c, nil
}

// readBasic cuts at the first colon. Both halves should be form-encoded (RFC 6749 §2.3.1), and many
// clients send them as they are.
func readBasic(header string) (*basic, bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	id, password, found := strings.Cut(string(text), ":")
	if !strings.EqualFold(scheme, "Basic") || err != nil || !found || id == "" {
		return nil, false
	}
	b := &basic{id: id, rawSecret: secret.New(password), secret: secret.New(password)}
	if decoded, err := url.QueryUnescape(id); err == nil {
		b.id = decoded
	}
	if decoded, err := url.QueryUnescape(password); err == nil {
		b.secret = secret.New(decoded)
	}
	return b, true
}

func invalidRequest(description string) error {
	return &oauth.Error{Code: oauth.InvalidRequest, Description: description}
}

func invalidClient(description string, usedBasic bool) error {
	e := &oauth.Error{Code: oauth.InvalidClient, Description: description, Status: http.StatusUnauthorized}
	if usedBasic {
		e.Challenge = basicChallenge
	}
	return e
}
