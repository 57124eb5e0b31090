package smartauth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/oauth"
	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// ReadOnly is a member that answers have and requests may repeat. Its value counts for nothing.
type ReadOnly struct{}

// UnmarshalJSON takes any value.
func (*ReadOnly) UnmarshalJSON([]byte) error { return nil }

// NewSettings is what an organization sends to set. What is absent takes its default.
type NewSettings struct {
	Tokens             string             `json:"tokens"`
	Server             string             `json:"server"`
	Dialect            *string            `json:"dialect"`
	Separator          *string            `json:"separator"`
	Aliases            *map[string]string `json:"aliases"`
	Resource           *string            `json:"resource"`
	Request            *string            `json:"request"`
	ServerClientID     string             `json:"serverClientId"`
	Audience           string             `json:"audience"`
	AccessTokenRoles   *[]string          `json:"accessTokenRoles"`
	Compartment        string             `json:"compartment"`
	FHIRBaseURLs       []string           `json:"fhirBaseUrls"`
	UserClaim          string             `json:"userClaim"`
	Consent            string             `json:"consent"`
	Picker             string             `json:"picker"`
	Introspection      bool               `json:"introspection"`
	AccessTokenSeconds *int               `json:"accessTokenSeconds"`
	RefreshDays        *int               `json:"refreshDays"`
	Context            *Context           `json:"context"`
	ScopesSupported    *[]string          `json:"scopesSupported"`
	Diagnostics        bool               `json:"diagnostics"`

	Issuer    ReadOnly `json:"issuer"`
	Callback  ReadOnly `json:"callback"`
	Entra     ReadOnly `json:"entra"`
	Snippets  ReadOnly `json:"snippets"`
	CreatedAt ReadOnly `json:"createdAt"`
	UpdatedAt ReadOnly `json:"updatedAt"`
	ETag      ReadOnly `json:"etag"`
	Notes     ReadOnly `json:"notes"`
}

// reader collects the mistakes of a request.
type reader struct{ mistakes []problem.Field }

func (r *reader) fail(field, code, fix, format string, args ...any) {
	r.mistakes = append(r.mistakes, problem.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// about reports whether a mistake in a field was found.
func (r *reader) about(field string) bool {
	return slices.ContainsFunc(r.mistakes, func(m problem.Field) bool { return m.Field == field })
}

// notYet refuses what a later part brings.
func (r *reader) notYet(field, value, instead string) {
	r.fail(field, "not_available_yet", instead, "%s %q is not available yet.", field, value)
}

// oneOf returns a value if it is among the choices, and otherwise when it is empty.
func (r *reader) oneOf(field, value, otherwise string, choices ...string) string {
	switch {
	case value == "":
		return otherwise
	case !slices.Contains(choices, value):
		fix := "Send " + choices[0] + "."
		if len(choices) > 1 {
			fix = "Send one of " + strings.Join(choices, ", ") + "."
		}
		r.fail(field, "unknown_value", fix, "%s cannot be %.60q.", field, value)
	}
	return value
}

func (r *reader) within(field string, value *int, least, most, otherwise int) int {
	if value == nil {
		return otherwise
	}
	if *value < least || *value > most {
		r.fail(field, "out_of_range", fmt.Sprintf("Send a whole number from %d to %d.", least, most), "%s is %d.", field, *value)
	}
	return *value
}

// err is InvalidFields if there are mistakes.
func (r *reader) err() error {
	if r.mistakes == nil {
		return nil
	}
	return problem.Invalid(r.mistakes...)
}

var (
	claimName = paste.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,127}$`)
	guid      = paste.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	roleName  = paste.MustCompile(`^[!#-\[\]-~]{1,120}$`)
	// looksLikeResource is how Microsoft's FHIR server and Entra spell scopes for data.
	looksLikeResource = paste.MustCompile(`^(?:patient|user|system)[^A-Za-z0-9_-]`)
)

// settings reads the settings of a link. Errors: InvalidFields, NotWithFhirlink, NotWithEntra,
// ConsentNotPossible.
func (in NewSettings) settings(l link.Link, anyTarget bool, more smart.Aliases) (Settings, error) {
	r := &reader{}
	s := Settings{
		Tokens: Tokens(in.Tokens), Server: ServerKind(r.oneOf("server", in.Server, "", string(Firely), string(FHIRServer), string(AHDS), string(Other))),
		Compartment: Compartment(r.oneOf("compartment", in.Compartment, "", string(ByClaim), string(ByFHIRUser))),
		UserClaim:   defaultUserClaim, Diagnostics: in.Diagnostics,
		TokenSeconds: r.within("accessTokenSeconds", in.AccessTokenSeconds, minTokenSeconds, maxTokenSeconds, maxTokenSeconds),
		RefreshDays:  r.within("refreshDays", in.RefreshDays, 1, maxRefreshDays, maxRefreshDays),
	}
	switch in.Tokens {
	case "":
		r.fail("tokens", "required", "Send fhirlink: then access tokens are made here, and Entra signs users in. Or send entra, for a FHIR server that takes Entra's own tokens only.", "The field tokens is required.")
	case string(OfEntra):
		s.Spelling = r.spelling(in, l, more)
		s.TokenSeconds = 0 // Entra decides
	default:
		r.oneOf("tokens", in.Tokens, "", string(Own), string(OfEntra))
	}
	r.later(in)
	s.AudienceOf = r.audience(in.Audience, l)
	s.ServerClientID = r.serverClientID(in.ServerClientID)
	s.AccessTokenRoles = r.roles(in.AccessTokenRoles)
	s.FHIRBaseURLs = r.baseURLs(in.FHIRBaseURLs, anyTarget)
	s.Context = r.context(in.Context)
	s.ScopesSupported = r.scopesSupported(in.ScopesSupported)
	if in.UserClaim != "" {
		if s.UserClaim = in.UserClaim; !claimName.MatchString(s.UserClaim) {
			r.fail("userClaim", "claim_syntax", "Send the name of the claim as Entra writes it into the id token, such as fhirUser.", "userClaim %.60q is no name of a claim.", in.UserClaim)
		}
	}
	if err := r.err(); err != nil {
		return Settings{}, err
	}
	if s.Tokens == OfEntra {
		return s, notWithEntra(in)
	}
	return s, notWithOwn(in)
}

// later refuses the values that need parts which do not exist yet.
func (r *reader) later(in NewSettings) {
	if r.oneOf("consent", in.Consent, "none", "none", "ask") == "ask" && in.Tokens != string(OfEntra) {
		r.notYet("consent", in.Consent, "Leave it out.")
	}
	if r.oneOf("picker", in.Picker, "none", "none", "search") == "search" {
		r.notYet("picker", in.Picker, "Leave it out.")
	}
	if in.Introspection && in.Tokens != string(OfEntra) {
		r.notYet("introspection", "true", "Leave it out.")
	}
}

// notWithEntra refuses settings about access tokens of our own, and what cannot be done with Entra's.
func notWithEntra(in NewSettings) error {
	if in.Consent == "ask" {
		return problem.InField(problem.ConsentNotPossible, "consent", "Users cannot take scopes away from Entra's tokens, which hold every scope that was consented to.", "Leave consent out, or use \"tokens\": \"fhirlink\".")
	}
	for _, one := range []struct {
		field string
		sent  bool
	}{{"serverClientId", in.ServerClientID != ""}, {"audience", in.Audience != ""}, {"accessTokenRoles", in.AccessTokenRoles != nil}, {"compartment", in.Compartment != ""}, {"accessTokenSeconds", in.AccessTokenSeconds != nil}, {"introspection", in.Introspection}} {
		if one.sent {
			return problem.InField(problem.NotWithEntra, one.field, "The setting "+one.field+" has no meaning with \"tokens\": \"entra\".", "Leave it out: Entra's access tokens are handed on as they are.")
		}
	}
	return nil
}

// notWithOwn refuses settings about the spelling of scopes at Entra, which sees none of them.
func notWithOwn(in NewSettings) error {
	for _, one := range []struct {
		field string
		sent  bool
	}{{"dialect", in.Dialect != nil}, {"separator", in.Separator != nil}, {"aliases", in.Aliases != nil}, {"resource", in.Resource != nil}, {"request", in.Request != nil}} {
		if one.sent {
			const fix = "Leave it out: with tokens of our own Entra sees no scope of an app."
			message := "The setting " + one.field + " has no meaning with \"tokens\": \"fhirlink\"."
			return problem.InField(problem.NotWithFhirlink, one.field, message, fix)
		}
	}
	return nil
}

// audience takes the two addresses of the link's own FHIR server, and nothing else: a token for
// anything else would be a token for somebody else.
func (r *reader) audience(value string, l link.Link) AudienceOf {
	switch value {
	case "", l.FHIRServerURL:
		return ServerURL
	case l.Audience:
		return LinkAudience
	}
	r.fail("audience", "audience_foreign", "Leave it out, or send the link's fhirServerUrl or audience.", "Tokens of this link cannot be for %.200q.", value)
	return ServerURL
}

func (r *reader) serverClientID(value string) string {
	value = strings.ToLower(strings.TrimSpace(value))
	if value != "" && !guid.MatchString(value) {
		r.fail("serverClientId", "client_id_syntax", "Send the client id as the FHIR server's settings have it, or leave it out: then it is the link's.", "serverClientId is not a GUID.")
	}
	return value
}

func (r *reader) roles(roles *[]string) *[]string {
	if roles == nil {
		return nil
	}
	if len(*roles) > maxTokenRoles {
		r.fail("accessTokenRoles", "too_many", "Send at most 5.", "There are %d roles.", len(*roles))
	}
	for _, one := range *roles {
		if !roleName.MatchString(one) {
			r.fail("accessTokenRoles", "role_syntax", "Send the value of the role as the FHIR server's settings have it.", "%.60q is no role: it is empty, longer than 120 characters, or has a space, a quote, a backslash or a letter outside ASCII.", one)
		}
	}
	kept := append([]string{}, *roles...)
	return &kept
}

func (r *reader) baseURLs(urls []string, anyTarget bool) (bases []string) {
	if len(urls) > maxBaseURLs {
		r.fail("fhirBaseUrls", "too_many", "Send at most 8.", "There are %d URLs.", len(urls))
		return nil
	}
	for _, one := range urls {
		base, _, mistake := fhir.ParseBaseURL(one, anyTarget)
		if mistake != nil {
			r.fail("fhirBaseUrls", mistake.Code, mistake.Fix, "%.200q: %s", one, mistake.Message)
			continue
		}
		if !slices.Contains(bases, base.String()) {
			bases = append(bases, base.String())
		}
	}
	return bases
}

func (r *reader) context(c *Context) Context {
	if c == nil {
		return Context{}
	}
	for _, mistake := range c.Check() {
		mistake.Field, mistake.Message = "context", "context."+mistake.Message
		r.mistakes = append(r.mistakes, mistake)
	}
	return *c
}

// Check returns what is wrong with a context. The fields are named as in JSON.
func (c Context) Check() []problem.Field {
	r := &reader{}
	if !IsLine(c.Tenant) {
		r.fail("tenant", "text", "Send an identifier of one line.", "tenant is longer than %d bytes, or has a control character.", maxLine)
	}
	if c.SmartStyleURL != "" && !isHTTPS(c.SmartStyleURL) {
		r.fail("smartStyleUrl", "url_not_https", "Send an https address.", "smartStyleUrl is no https address.")
	}
	return r.mistakes
}

// maxLine is the length limit of a text that apps get in the token answer, in bytes.
const maxLine = 200

// IsLine reports whether a text is one line that an app can be sent.
func IsLine(text string) bool {
	return len(text) <= maxLine && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// isHTTPS reports whether text is an absolute https address.
func isHTTPS(text string) bool {
	const maxURL = 2048
	u, err := url.Parse(text)
	return err == nil && len(text) <= maxURL && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

func (r *reader) scopesSupported(scopes *[]string) *[]string {
	if scopes == nil {
		return nil
	}
	kept := r.scopes("scopesSupported", *scopes)
	return &kept
}

// scopes reads a list of scopes and leaves out repetitions.
func (r *reader) scopes(field string, scopes []string) (kept []string) {
	kept = []string{}
	if len(scopes) > MaxScopes {
		r.fail(field, "too_many", "Send at most 200, and use wildcards such as patient/*.rs.", "There are %d scopes.", len(scopes))
		return kept
	}
	for _, one := range scopes {
		parsed := smart.Parse(one)
		switch {
		case !oauth.IsScope(one):
			r.fail(field, "scope_syntax", "Send each scope as a string of its own, in SMART's spelling.", "%.80q is no scope: it is empty, longer than 512 characters, or has a space, a quote, a backslash or a letter outside ASCII.", one)
		case !parsed.WellFormed():
			r.fail(field, "scope_syntax", "Write it as patient/Observation.rs or patient/Observation.read.", "%.80q is not as SMART writes it.", one)
		case parsed.Kind == smart.Custom && looksLikeResource.MatchString(one):
			r.fail(field, "scope_syntax", "Write it in SMART's spelling, with a slash.", "%.80q is read as a scope for data by some servers.", one)
		case !slices.Contains(kept, one):
			kept = append(kept, one)
		}
	}
	return kept
}
