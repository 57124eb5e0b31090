package translatescope

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// request is what GET and POST have in common. Pointers distinguish an empty value from none.
type request struct {
	Scope         any               `json:"scope"` // see listOf
	Direction     *string           `json:"direction"`
	Dialect       *string           `json:"dialect"`
	Separator     *string           `json:"separator"`
	Resource      *string           `json:"resource"`
	From          *string           `json:"from"`
	To            *string           `json:"to"`
	FromSeparator *string           `json:"fromSeparator"`
	FromResource  *string           `json:"fromResource"`
	Aliases       map[string]string `json:"aliases"`
	Artefacts     bool              `json:"artefacts"`

	scopes []string
}

func fromBody(r *http.Request) (in request, err error) {
	if err = httpx.DecodeJSON(r, &in); err != nil {
		return request{}, err
	}
	in.scopes, err = listOf(in.Scope)
	return in, err
}

// listOf takes a string of scopes separated by white space, or an array of scopes.
func listOf(scope any) ([]string, error) {
	switch scope := scope.(type) {
	case nil:
		return nil, nil
	case string:
		return smart.Split(scope), nil
	case []any:
		list := make([]string, len(scope))
		for i, one := range scope {
			text, ok := one.(string)
			if !ok {
				return nil, wrongType()
			}
			list[i] = text
		}
		return list, nil
	}
	return nil, wrongType()
}

func wrongType() error {
	wrong := field("scope", "wrong_type", "It is neither a string nor an array of strings.", "Send scopes separated by spaces, or an array of them.")
	e := problem.New(problem.MalformedBody, "Field scope: %s %s", wrong.Message, wrong.Fix)
	e.Fields = []problem.Field{wrong}
	return e
}

// fromQuery reads the query of a GET, decoding percent and plus once.
func fromQuery(raw string) (request, error) {
	if len(raw) > httpx.MaxBody {
		return request{}, problem.New(problem.BodyTooLarge, "The query is larger than %d KiB. Send fewer scopes at a time.", httpx.MaxBody>>10)
	}
	values, err := httpx.ParseQuery(raw)
	if err != nil {
		return request{}, err
	}
	var in request
	known := map[string]**string{
		"scope": new(*string), "direction": &in.Direction, "dialect": &in.Dialect, "separator": &in.Separator, "resource": &in.Resource,
		"from": &in.From, "to": &in.To, "fromSeparator": &in.FromSeparator, "fromResource": &in.FromResource,
	}
	var wrong []problem.Field
	for key, all := range values {
		if f, bad := checkKey(key, all, known[key] != nil); bad {
			wrong = append(wrong, f)
			continue
		}
		*known[key] = &all[0]
	}
	if wrong != nil {
		slices.SortFunc(wrong, func(a, b problem.Field) int { return strings.Compare(a.Field, b.Field) })
		return request{}, problem.Invalid(wrong...)
	}
	if list := *known["scope"]; list != nil {
		if f, joined := checkJoined(*list); joined {
			return request{}, problem.Invalid(f)
		}
		in.scopes = smart.Split(*list)
	}
	return in, nil
}

// checkJoined refuses a comma in front of a scope's search parameters. A Functions host that
// forwards joins repeated keys by commas: scope=a&scope=b arrives as scope=a,b. Every host answers
// it alike.
func checkJoined(list string) (problem.Field, bool) {
	for _, scope := range smart.Split(list) {
		before, _, _ := strings.Cut(scope, "?")
		if strings.Contains(before, ",") {
			return field("scope", "comma_in_query", "A scope has a comma before its search parameters. Scopes in a query are separated by spaces, and scope is sent once.",
				"Separate the scopes by spaces. If the comma belongs to the scope, send it with POST."), true
		}
	}
	return problem.Field{}, false
}

func checkKey(key string, all []string, known bool) (problem.Field, bool) {
	switch {
	case !known:
		return field(short(key), "unknown_field", "There is no such key in the query.",
			"Leave it out. The keys are scope, direction, dialect, separator, resource, from, to, fromSeparator and fromResource; aliases and artefacts go with POST."), true
	case len(all) > 1:
		return field(key, "duplicate_field", fmt.Sprintf("It stands %d times in the query.", len(all)), "Send it once; scopes are separated by spaces."), true
	case !utf8.ValidString(all[0]):
		return field(key, "invalid_utf8", "Its value is not valid UTF-8.", "Percent-encode the UTF-8 bytes of the value."), true
	}
	return problem.Field{}, false
}

func short(key string) string {
	const most = 40
	if len(key) > most {
		key = key[:most] + "…"
	}
	return strings.ToValidUTF8(key, "�")
}

// checkScopes finds what is wrong with the list as a whole. The translation reports what is
// wrong with a single scope.
func (in request) checkScopes() []problem.Field {
	if len(in.scopes) == 0 {
		return []problem.Field{field("scope", "required", "There is no scope.", "Send at least one scope, such as patient/*.rs.")}
	}
	if len(in.scopes) > smart.MaxScopes {
		return []problem.Field{field("scope", "too_many_scopes", fmt.Sprintf("There are %d scopes; at most %d are taken, which is all that an application in Entra can hold.", len(in.scopes), smart.MaxScopes),
			"Send fewer at a time.")}
	}
	var wrong []problem.Field
	for i, scope := range in.scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\n\v\f\r") {
			wrong = append(wrong, field(fmt.Sprintf("scope[%d]", i), "not_one_scope", "This element is empty or has white space in it.", "Send each scope as an element of its own."))
		}
	}
	return wrong
}
