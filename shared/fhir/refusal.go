package fhir

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"fhirlink/shared/paste"
	"fhirlink/shared/secret"
)

// Reason is why a server refuses a token, as far as its words tell.
type Reason string

// The reasons that are recognized.
const (
	UnknownReason     Reason = ""
	GatewayKeyMissing Reason = "gateway key" // of API Management: with every request
	APIKeyMissing     Reason = "API key"     // of another gateway: perhaps instead of a token
	RightMissing      Reason = "right"
	OutsideLifetime   Reason = "lifetime"
	AudienceRefused   Reason = "audience"
	IssuerRefused     Reason = "issuer"
	SignatureRefused  Reason = "signature"
)

// refusal is what a server says about its refusal, in its own words.
type refusal struct {
	oauth string   // the error of RFC 6750 §3.1
	texts []string // the most telling first
	aws   bool     // a gateway of Amazon refuses
	apim  bool     // Azure API Management wants a subscription key
}

// refusalOf reads the headers.
func refusalOf(challenges []Challenge, h http.Header) (r refusal) {
	for _, c := range challenges {
		if strings.EqualFold(c.Scheme, "AzureApiManagementKey") {
			r.apim = true
		}
		if r.oauth == "" {
			r.oauth = strings.ToLower(c.Params["error"])
		}
		r.text(c.Params["error_description"])
	}
	r.aws = amazonError.MatchString(h.Get("X-Amzn-Errortype"))
	return r
}

// amazonError is how Amazon's gateways say that a request is not signed as they want.
var amazonError = paste.MustCompile(`^(MissingAuthenticationToken|IncompleteSignature|InvalidSignature|UnrecognizedClient|SignatureDoesNotMatch)`)

// add reads a body: an OperationOutcome, another JSON object with a message, or plain text.
func (r *refusal) add(mediaType string, o *OperationOutcome, body []byte) {
	var members map[string]json.RawMessage
	switch {
	case o != nil:
		r.text(o.text)
	case json.Unmarshal(body, &members) == nil:
		r.object(members, 0)
	case strings.HasSuffix(mediaType, "xml"):
		r.text(outcomeInXML(body))
	case mediaType == "text/plain" && !strings.Contains(string(body), "<"):
		r.text(string(body))
	}
}

// outcomeInXML returns the text of an OperationOutcome: some servers and gateways refuse in XML
// whatever was asked for.
func outcomeInXML(body []byte) string {
	type text struct {
		Value string `xml:"value,attr"`
	}
	var wire struct {
		XMLName xml.Name
		Issue   []struct {
			Diagnostics text `xml:"diagnostics"`
			Details     text `xml:"details>text"`
		} `xml:"issue"`
	}
	if xml.Unmarshal(body, &wire) != nil || wire.XMLName.Local != outcomeType || len(wire.Issue) == 0 {
		return ""
	}
	return cmp.Or(wire.Issue[0].Diagnostics.Value, wire.Issue[0].Details.Value)
}

// messages are the members that gateways and frameworks put their message into, the most telling
// first.
var messages = []string{
	"error_description", "errorDescription", "description", "message", "Message", "errorMessage", "error_message", "faultstring", "msg", "detail", "details", "title", "error", "errors", "reason", "fault",
}

// maxMessageDepth is how deep messages are looked for. Each level parses what is left of the body again.
const maxMessageDepth = 4

func (r *refusal) object(members map[string]json.RawMessage, depth int) {
	for _, name := range messages {
		var text string
		var inner map[string]json.RawMessage
		value := members[name]
		if list := []json.RawMessage(nil); json.Unmarshal(value, &list) == nil && len(list) > 0 {
			value = list[0]
		}
		switch {
		case json.Unmarshal(value, &text) == nil:
			if name == "error" && r.oauth == "" {
				r.oauth = strings.ToLower(text)
			}
			r.text(text)
		case depth < maxMessageDepth && len(members) < maxParams && json.Unmarshal(value, &inner) == nil:
			delete(members, name)
			r.object(inner, depth+1)
		}
	}
}

func (r *refusal) text(text string) {
	if text != "" && len(r.texts) < maxChallenges && !slices.Contains(r.texts, text) {
		r.texts = append(r.texts, text)
	}
}

// hide takes the token out of the texts before they are cut: some gateways repeat it.
func (r *refusal) hide(token string) {
	for i, text := range r.texts {
		text = withoutToken(text, token)
		r.texts[i] = hideTokens(text[:min(len(text), maxText)])
	}
	r.oauth = withoutToken(r.oauth, token)
}

// hide takes the token out of everything of the answer that people may see.
func (a *Answer) hide(token secret.Value) {
	text := ""
	if !token.IsZero() {
		text = token.Reveal()
	}
	a.refusal.hide(text)
	for _, seen := range []*string{&a.MediaType, &a.ResourceType, &a.BundleType, &a.Redirect, &a.RedirectHost, &a.CorrelationID} {
		*seen = withoutToken(*seen, text)
	}
	a.CorrelationID = hideTokens(a.CorrelationID)
	for i, s := range a.Schemes {
		a.Schemes[i] = withoutToken(s, text)
	}
}

// minToken is the length of the shortest token that is taken out. Real ones are much longer, and a
// shorter one would also be found in words that mean something.
const minToken = 8

// withoutToken replaces the token in any case of its letters, because headers are made lower case.
func withoutToken(text, token string) string {
	if len(token) < minToken || !strings.Contains(strings.ToLower(text), strings.ToLower(token)) {
		return text
	}
	return paste.MustCompile(`(?i)`+regexp.QuoteMeta(token)).ReplaceAllString(text, "…")
}

// Said returns the server's own words about its refusal, fit to be shown: at most 200 printable
// characters, without anything that looks like a token. It is empty if the server said nothing.
func (a Answer) Said() string {
	if len(a.refusal.texts) == 0 {
		return Printable(a.refusal.oauth)
	}
	return Printable(a.refusal.texts[0])
}

// AboutToken reports whether the server speaks of the token that it was sent, as opposed to wanting
// another sign-in.
func (a Answer) AboutToken() bool {
	return a.refusal.oauth == "invalid_token" || slices.ContainsFunc(a.refusal.texts, tokenWords.MatchString)
}

var tokenWords = paste.MustCompile(`(?i)\b(tokens?|jwts?)\b`)

// numbers are those of Microsoft's token library, which ASP.NET and API Management repeat.
var (
	number  = paste.MustCompile(`idx(\d{5})`)
	numbers = map[string]Reason{
		"10206": AudienceRefused, "10207": AudienceRefused, "10208": AudienceRefused, "10214": AudienceRefused, "10215": AudienceRefused,
		"10204": IssuerRefused, "10205": IssuerRefused, "10211": IssuerRefused, "10236": IssuerRefused, "40001": IssuerRefused, "40002": IssuerRefused, "40003": IssuerRefused,
		"10222": OutsideLifetime, "10223": OutsideLifetime, "10224": OutsideLifetime, "10225": OutsideLifetime, "10230": OutsideLifetime,
		"10500": SignatureRefused, "10501": SignatureRefused, "10503": SignatureRefused, "10504": SignatureRefused, "10506": SignatureRefused,
		"10508": SignatureRefused, "10511": SignatureRefused, "10514": SignatureRefused, "10516": SignatureRefused, "10517": SignatureRefused, "10518": SignatureRefused,
		"20803": SignatureRefused, "20804": SignatureRefused, // the keys could not be fetched
	}
)

// words are tried in this order: "Signature has expired" is about the time.
var words = []struct {
	says   *paste.Pattern
	reason Reason
}{
	{paste.MustCompile(`subscription key|ocp-apim`), GatewayKeyMissing},
	{paste.MustCompile(`\b(no|invalid|missing|resolve) api[ -]?key|\bx-api-key\b|provide[a-z ]* api[ -]?key`), APIKeyMissing},
	{
		paste.MustCompile(`insufficient[_ -](scope|privilege|permission|right|authorit)|(scope|privilege|permission|right)s? (is|are) insufficient|higher privileges|(not have|no)( the)?( required| necessary)? (role|scope|permission)s?\b|authorized for this scope|(missing|required|requires|lacks)[a-z ]* (scope|scp|permission|app role)|claim\b.*(mismatch|missing|invalid).*\b(roles?|scp|scopes?)\b|\b(roles?|scp|scopes?)['"]? claim`),
		RightMissing,
	},
	{paste.MustCompile(`\b(certificate|account|session|password|secret|subscription|licen[cs]e|trial)( has| is)? expired\b`), UnknownReason},
	{
		paste.MustCompile(`(\b|_)expired\b|not (yet valid|valid yet|valid before|active)|used before|no expiration|lifetime (is invalid|validation)|clock skew|before the acceptable|\b(exp|nbf|iat)\b`),
		OutsideLifetime,
	},
	{paste.MustCompile(`\baudiences?\b|\baud\b|\bresource_id\b|\bfor (this|another|a different|the wrong) (resource|server|api)\b`), AudienceRefused},
	{paste.MustCompile(`\bissuers?\b|\biss\b|issued by|\btenants?\b|\btid\b`), IssuerRefused},
	{
		paste.MustCompile(`signature|signing (key|cert|method)|no matching key|unable to match key|(another|unsupported|invalid) algorithm|\[?\balg\b\]? is not|public ?key|\bkid\b|\bjwks?\b.*(key|set|fetch)|(load|fetch|get|retrieve|download)[a-z ]* jwks|json web keys?\b|verification (fail|error)`),
		SignatureRefused,
	},
}

// longQuote is a quoted value, which may hold any words; short ones are names of claims.
var longQuote = paste.MustCompile(`'[^'\s]{13,}'|"[^"\s]{13,}"`)

// Reason returns why the server refuses, by what it says.
func (a Answer) Reason() Reason {
	switch {
	case a.refusal.apim:
		return GatewayKeyMissing
	case a.refusal.oauth == "insufficient_scope":
		return RightMissing
	}
	text := strings.ToLower(strings.Join(a.refusal.texts, "; "))
	for _, n := range number.FindAllStringSubmatch(text, -1) {
		if reason, known := numbers[n[1]]; known {
			return reason
		}
	}
	text = longQuote.ReplaceAllString(text, "''")
	for _, w := range words {
		if w.says.MatchString(text) {
			return w.reason
		}
	}
	return UnknownReason
}

var (
	guidText = paste.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	expects  = paste.MustCompile(`did not match|does not match|valid ?issuer|expected|should be|must be`)
)

// IssuerTenants returns the tenants in the server's words about an issuer: those that it expects if
// it says which, otherwise all.
func (a Answer) IssuerTenants() []string {
	text := strings.ToLower(strings.Join(a.refusal.texts, "; "))
	if at := expects.FindStringIndex(text); at != nil {
		if expected := guidText.FindAllString(text[at[1]:], -1); expected != nil {
			return expected
		}
	}
	return guidText.FindAllString(text, -1)
}

// IsAmazon reports whether a gateway of Amazon refuses the request because it is not signed.
func (a Answer) IsAmazon() bool {
	return a.refusal.aws || slices.ContainsFunc(a.Schemes, func(s string) bool { return strings.HasPrefix(strings.ToUpper(s), "AWS4-") }) ||
		slices.ContainsFunc(a.refusal.texts, amazonWords.MatchString)
}

var amazonWords = paste.MustCompile(`(?i)^missing authentication token$|requires '?credential'? parameter|missing equal-sign|aws4-hmac|sigv4|signature version 4`)

// signIn matches the paths of sign-in pages.
var signIn = paste.MustCompile(`(?i)(?:^|[^a-z]|pkms|user|web|sso)(?:log-?[io]n|sign-?in)|(?-i:[a-z](?:Log[IiOo]n|Sign[Ii]n))|` +
	`/oauth2?/|authori[sz]e|authori[sz]ation\.oauth2|authenticat|openid-connect|/oidc/|saml|/sso/|/adfs/|/nidp/|/my\.policy$|/\.auth/|/accounts?/`)

// signInHosts serve nothing but sign-in.
var signInHosts = []string{
	"login.microsoftonline.com", "login.microsoftonline.us", "login.windows.net", "login.microsoft.com", "login.live.com", "login.chinacloudapi.cn",
	"login.partner.microsoftonline.cn", "accounts.google.com",
}

// SignIn reports whether the answer redirects to a page where people sign in. A path that ends like
// the one asked for is that of a server that has moved.
func (a Answer) SignIn() bool {
	target, err := url.Parse(a.Redirect)
	if err != nil || a.Redirect == "" {
		return false
	}
	asked, _, _ := strings.Cut(a.URL, "?")
	moved := strings.HasSuffix(strings.TrimRight(target.Path, "/"), asked[strings.LastIndexByte(asked, '/'):])
	return slices.Contains(signInHosts, a.RedirectHost) || !moved && signIn.MatchString(target.Path)
}
