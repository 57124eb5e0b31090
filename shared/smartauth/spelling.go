package smartauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// Spelling is how Entra holds the scopes of a link whose apps get Entra's own tokens.
type Spelling struct {
	Dialect   smart.Dialect
	Separator string            `json:",omitzero"` // of the dialect firely
	Aliases   map[string]string `json:",omitempty"`
	Resource  string            `json:",omitzero"` // before each scope at Entra; empty: the link's audience
	Default   bool              `json:",omitzero"` // Entra is asked for {resource}/.default only
}

// Values of the setting request.
const (
	RequestScopes  = "scopes"
	RequestDefault = "default"
)

// spelling reads the settings about Entra's spelling of scopes. more are the aliases of the deployment.
func (r *reader) spelling(in NewSettings, l link.Link, more smart.Aliases) Spelling {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	s := Spelling{Dialect: smart.Dialect(text(in.Dialect)), Separator: text(in.Separator), Resource: text(in.Resource)}
	if s.Dialect == "" {
		s.Dialect = smart.Firely
	}
	if s.Dialect == smart.Firely && s.Separator == "" {
		s.Separator = string(rune(smart.Tilde))
	}
	if in.Aliases != nil {
		s.Aliases = *in.Aliases
	}
	if s.Resource == l.Audience {
		s.Resource = ""
	}
	s.Default = r.oneOf("request", text(in.Request), RequestScopes, RequestScopes, RequestDefault) == RequestDefault
	_, err := s.translator(l, more)
	var mistakes smart.Mistakes
	var refusal *smart.Refusal
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			r.fail(m.Field, m.Code, m.Fix, "%s", m.Message)
		}
	case errors.As(err, &refusal):
		r.fail("separator", refusal.Code, refusal.Fix, "%s", refusal.Message)
	}
	return s
}

// resource is what stands before each scope at Entra.
func (s Spelling) resource(l link.Link) string {
	if s.Resource != "" {
		return s.Resource
	}
	return l.Audience
}

// asking is a link with the audience that tokens are asked for with its settings.
func (s Settings) asking(l link.Link) link.Link {
	l.Audience = s.Spelling.resource(l)
	return l
}

// translator spells scopes as Entra is asked for them. Errors: smart.Mistakes, *smart.Refusal.
func (s Spelling) translator(l link.Link, more smart.Aliases) (*smart.Translator, error) {
	o := smart.Options{Dialect: s.Dialect, Resource: s.resource(l)}
	if s.Separator != "" {
		separator, err := smart.ParseSeparator(s.Separator)
		if err != nil {
			return nil, err
		}
		o.Separator = separator
	}
	aliases, err := more.With(s.Aliases)
	if err != nil {
		return nil, err
	}
	o.Aliases = aliases
	return smart.New(o)
}

// Resource is what stands before each scope of the link at Entra.
func (s Server) Resource() string { return s.Settings.Spelling.resource(s.Link) }

// atEntra reports whether Entra must know a scope of an app: those of OpenID Connect it knows already, and
// launches and fhirUser it never sees.
func atEntra(scope string) bool {
	parsed := smart.Parse(scope)
	return parsed.Kind == smart.Resource || parsed.Kind == smart.Custom && scope != "fhirUser" && scope != "online_access"
}

// Spell returns the scope that Entra is asked for, with the resource. Error: *smart.Refusal.
func (s Server) Spell(scope string) (string, error) { return s.translator.Encode(scope) }

// Unspell returns the SMART scope of one of Entra's answers, with or without the resource. ok is false for
// others.
func (s Server) Unspell(value string) (scope string, ok bool) {
	prefix := s.Resource() + "/"
	if !strings.HasPrefix(value, prefix) {
		value = prefix + value
	}
	scope, err := s.translator.Decode(value)
	return scope, err == nil
}

// Registered is a scope as it must be registered in Entra.
type Registered struct {
	Scope       string   `json:"scope"`
	Value       string   `json:"value"` // empty: it cannot be spelled
	Registrable bool     `json:"registrable"`
	Reasons     []string `json:"reasons"`
}

// ToRegister are the scopes of all apps as they must be registered at the resource: delegated permissions for
// what users grant, app roles for backend services. With tokens of our own there are none.
func (s Server) ToRegister() (scopes, roles []Registered) {
	scopes, roles = []Registered{}, []Registered{}
	if s.Settings.Tokens != OfEntra {
		return scopes, roles
	}
	seen := map[string]bool{}
	for _, a := range s.Apps {
		for _, one := range a.Scopes {
			if seen[one] || !atEntra(one) {
				continue
			}
			seen[one] = true
			result := s.translator.EncodeAll([]string{one})[0]
			registered := Registered{Scope: one, Value: strings.TrimPrefix(result.Output, s.Resource()+"/"), Registrable: result.Entra.Registrable, Reasons: result.Entra.Reasons}
			if smart.Parse(one).Context == "system" {
				roles = append(roles, registered)
			} else {
				scopes = append(scopes, registered)
			}
		}
	}
	byScope := func(a, b Registered) int { return strings.Compare(a.Scope, b.Scope) }
	slices.SortFunc(scopes, byScope)
	slices.SortFunc(roles, byScope)
	return scopes, roles
}

// suits is nil when an app can get the tokens that the link's settings say. Errors: InvalidFields,
// AppRegistrationRequired, MixedScopes.
func (s *Service) suits(settings Settings, l link.Link, a App) error {
	if settings.Tokens != OfEntra {
		return nil
	}
	if a.EntraClientID == "" && !a.Disabled {
		return registrationRequired("This app has none.", "Send entra, with clientId, clientSecret and secretExpiresOn.")
	}
	if settings.oneContext() && Mixed(a.Scopes) {
		const message, fix = "The FHIR server refuses tokens that mix patient/, user/ and system/ scopes, or scopes of SMART version 1 and 2, and Entra puts every scope of an application into its tokens.", "Register one app for each context, with an application in Entra for each, in one version of the syntax."
		return problem.InField(problem.MixedScopes, "scopes", message, fix)
	}
	translator, err := settings.Spelling.translator(l, s.Aliases)
	if err != nil {
		return fmt.Errorf("the SMART settings of the link %s cannot be read: %w", l.Slug, err)
	}
	r := &reader{}
	for _, one := range a.Scopes {
		var refusal *smart.Refusal
		if _, err := translator.Encode(one); atEntra(one) && errors.As(err, &refusal) {
			r.fail("scopes", refusal.Code, refusal.Fix, "%.80q cannot be spelled for Entra: %s", one, refusal.Message)
		}
	}
	return r.err()
}

func registrationRequired(message, fix string) error {
	message = "With \"tokens\": \"entra\" every app needs a registration of its own in Entra, which puts every scope of an application into its tokens. " + message
	return problem.InField(problem.AppRegistrationRequired, "entra", message, fix)
}

// suitsAll is nil when every app can get the tokens that settings say.
func (s *Service) suitsAll(settings Settings, l link.Link, apps []App) error {
	var without, mixed []string
	for _, a := range apps {
		switch err := s.suits(settings, l, a); {
		case err == nil:
		case problem.CodeOf(err) == problem.AppRegistrationRequired:
			without = append(without, a.ClientID)
		case problem.CodeOf(err) == problem.MixedScopes:
			mixed = append(mixed, a.ClientID)
		case problem.CodeOf(err) != problem.InvalidFields: // a scope that cannot be spelled is told by entra.scopes
			return err
		}
	}
	switch {
	case without != nil:
		return registrationRequired("These have none: "+strings.Join(without, ", ")+".", "PATCH each with entra, or switch it off.")
	case mixed != nil:
		return problem.New(problem.MixedScopes, "The FHIR server refuses tokens that mix patient/, user/ and system/ scopes, or scopes of SMART version 1 and 2. Change the scopes of these apps: %s.", strings.Join(mixed, ", "))
	}
	return nil
}

// oneContext reports whether the FHIR server takes scopes of one context and one version only from a token.
func (s Settings) oneContext() bool { return s.Server == FHIRServer || s.Server == AHDS }

// OneContext reports whether the FHIR server takes scopes of one context and one version only from a token:
// it answers every request of another one with 400.
func (s Server) OneContext() bool { return s.Settings.oneContext() }

// Mixed reports whether scopes are of several contexts, or of both versions of SMART's syntax.
func Mixed(scopes []string) bool {
	contexts, versions := map[string]bool{}, map[smart.Version]bool{}
	for _, one := range scopes {
		if parsed := smart.Parse(one); parsed.Kind == smart.Resource {
			contexts[parsed.Context], versions[parsed.Version()] = true, true
		}
	}
	return len(contexts) > 1 || len(versions) > 1
}
