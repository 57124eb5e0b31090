package smart

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	mixedVersions = Advice{
		"mixed_versions", "The list mixes SMART v1 (read, write, *) and v2 (cruds) permissions; Microsoft's FHIR servers answer 400 to such a token.",
		"Use one version: read is rs, write is cud, * is cruds.",
	}
	mixedContexts = Advice{
		"mixed_contexts", "The list mixes patient/, user/ and system/ scopes; Microsoft's FHIR servers answer 400 to such a token.",
		"Ask for one context at a time.",
	}
	defaultNotAlone = Advice{
		"default_not_alone", "Entra refuses .default together with other scopes of a resource (AADSTS70011).",
		"Ask for .default alone, beside openid and the like, or for the scopes one by one.",
	}
)

// microsoft reports whether Microsoft's FHIR server reads the dialect.
func (t *Translator) microsoft() bool { return t.dialect == AHDS || t.dialect == FHIRServerProxy }

// spellingAdvice warns of scopes that look as if they had been encoded or translated before, and of
// what the dialect does to them.
func (t *Translator) spellingAdvice(r *Result) []Advice {
	var all []Advice
	scope := r.parsed.String()
	if found := findTriple(scope); found != "" {
		all = append(all, Advice{
			"already_encoded", fmt.Sprintf("It holds %s, as if it had been percent-encoded once more than it was decoded; it is carried as it is.", found),
			"If it is not meant literally, decode the list once before sending it.",
		})
	} else if plusJoined(scope) {
		all = append(all, Advice{
			"already_encoded", "It holds a plus sign before something that looks like a scope, as if a form had been encoded twice; it is carried as one scope.",
			"If several scopes are meant, separate them by white space.",
		})
	}
	if entity := htmlEntity.FindString(scope); entity != "" {
		all = append(all, Advice{
			"html_escaped", fmt.Sprintf("It holds %s, as if it had been copied out of the source of a web page; it is carried as it is.", entity),
			`Write the character itself, such as & between search parameters.`,
		})
	}
	if looksTranslated(scope) {
		all = append(all, Advice{
			"already_translated", "Its SMART spelling looks like a scope that had been translated before; it is carried as it is, which is rarely meant.",
			`Send the SMART scope with "/" to encode, and decode a translated one once.`,
		})
	}
	if t.prefix != "" && strings.HasPrefix(scope, t.prefix) {
		all = append(all, Advice{"already_prefixed", "The SMART scope itself begins with the resource, which is put before it once more.", "Send the scope without the resource."})
	}
	if r.pair.alias {
		return append(all, Advice{
			"alias", "Its value is an alias, which the receiving server does not know.",
			"Decode the token's scopes with the same aliases before the FHIR server reads them.",
		})
	}
	return append(all, t.lossAdvice(r)...)
}

// lossAdvice warns of what a dialect without escapes may have lost earlier, or what its receiver
// misreads.
func (t *Translator) lossAdvice(r *Result) []Advice {
	var all []Advice
	if t.dialect == AADProxy && strings.Contains(r.pair.scope, `\`) {
		all = append(all, Advice{"escape_not_meant", `It holds a backslash, which this dialect keeps and Firely Server takes for an escape.`, "Use the dialect firely."})
	}
	if dash := t.dialect == AADProxy || t.separator == Dash; dash && brokenCanonical(r.parsed) {
		all = append(all, Advice{
			"lost_escape", `A canonical URL in it has a "/" in its last part, as when a proxy wrote "-" for "/" without escaping the "-" that were there.`,
			`Compare it with the scope that was registered; if that had a "-" there, register it again with the dialect firely.`,
		})
	}
	return all
}

// looksTranslated reports whether a scope looks like patient-Observation.r, user.all.read,
// launch$patient and the like.
func looksTranslated(scope string) bool {
	for _, context := range []string{"patient", "user", "system"} {
		if rest, ok := strings.CutPrefix(scope, context); ok && separated(rest) {
			return strings.IndexByte(strings.TrimLeft(rest, `\`)[1:], '.') > 0
		}
	}
	rest, ok := strings.CutPrefix(scope, "launch")
	return ok && separated(rest)
}

// separated reports whether rest begins with a dialect's replacement for "/", followed by a name
// or "*".
func separated(rest string) bool {
	rest = strings.TrimLeft(rest, `\`)
	return len(rest) > 1 && strings.IndexByte("/?=&:|,+#%", rest[0]) < 0 && !isWord(rest[0]) && (isWord(rest[1]) || rest[1] == '*')
}

// plusJoined reports whether a scope looks like openid+patient/*.rs. In a query a plus may stand
// between words, so that words such as email do not count there.
func plusJoined(scope string) bool {
	head, query, _ := strings.Cut(scope, "?")
	return joinedBy("+", head, beginsLikeScope) || joinedBy("+", query, hasContext)
}

// joinedBy reports whether what follows one of the marks looks like a scope.
func joinedBy(marks, text string, like func(string) bool) bool {
	for i := strings.IndexAny(text, marks); i >= 0; i = strings.IndexAny(text, marks) {
		if text = text[i+1:]; like(text) {
			return true
		}
	}
	return false
}

func hasContext(s string) bool {
	for _, begin := range []string{"patient/", "user/", "system/", "launch/", "openid", "offline_access", "fhirUser"} {
		if strings.HasPrefix(s, begin) {
			return true
		}
	}
	return false
}

func beginsLikeScope(s string) bool {
	word := s
	if end := strings.IndexAny(s, "+,;|"); end >= 0 {
		word = s[:end]
	}
	return hasContext(s) || slices.Contains(named, word)
}

// brokenCanonical reports whether a query holds …/CodeSystem/observation/category|…: FHIR ids
// have no "/".
func brokenCanonical(s Scope) bool {
	if !strings.Contains(s.Query, "/CodeSystem/") && !strings.Contains(s.Query, "/ValueSet/") {
		return false
	}
	for p := range s.Parameters() {
		canonical, _, _ := strings.Cut(p.Value, "|")
		for _, kind := range []string{"/CodeSystem/", "/ValueSet/"} {
			if _, id, ok := strings.Cut(canonical, kind); ok && strings.Contains(id, "/") {
				return true
			}
		}
	}
	return false
}

// syntaxAdvice warns of what the receiving server will not accept.
func syntaxAdvice(s Scope, d Dialect) []Advice {
	switch s.Kind {
	case Custom:
		return slices.Concat(caseAdvice(s), commaAdvice(s), contextAdvice(s), misspelledAdvice(s))
	case Launch:
		return launchAdvice(s)
	case Resource:
		if list := commaAdvice(s); list != nil {
			return list
		}
		return append(append(typeAdvice(s), permissionAdvice(s)...), queryAdvice(s, d)...)
	}
	return nil
}

// htmlEntity is a character as HTML escapes it.
var htmlEntity = regexp.MustCompile(`&(?:amp|lt|gt|quot|apos|nbsp|sol|ast|vert|quest|equals|colon|comma|period|plus|num|#[0-9]{1,6}|#[xX][0-9a-fA-F]{1,6});`)

// named are the scopes of SMART and OpenID Connect that consist of a name.
var named = []string{"openid", "profile", "email", "offline_access", "online_access", "fhirUser", "launch"}

// caseAdvice warns of scopes that would be a known one but for capital letters.
func caseAdvice(s Scope) []Advice {
	for _, name := range named {
		if s.text != name && strings.EqualFold(s.text, name) {
			return wrongCase(s.text, name)
		}
	}
	context, rest, slash := strings.Cut(s.text, "/")
	if lower := strings.ToLower(context); slash && lower != context && (isContext(lower) || lower == "launch") {
		if lower == "launch" {
			rest = strings.ToLower(rest)
		}
		return wrongCase(s.text, lower+"/"+rest)
	}
	return nil
}

func wrongCase(is, meant string) []Advice {
	return []Advice{{
		"wrong_case", fmt.Sprintf("%s has capital letters where SMART has small ones or the other way round, which counts: servers do not know it.", brief(is)),
		"Write " + brief(meant) + ".",
	}}
}

// commaAdvice warns of a list that is separated by commas, semicolons or bars.
func commaAdvice(s Scope) []Advice {
	head, _, _ := strings.Cut(s.text, "?")
	if !joinedBy(",;|", head, beginsLikeScope) {
		return nil
	}
	return []Advice{{
		"comma_joined", "It has a comma, a semicolon or a bar before something that looks like a scope; it is carried as one scope.",
		"If several scopes are meant, separate them by spaces.",
	}}
}

// misspelledAdvice warns of scopes that would be known ones but for punctuation: quotes and brackets
// around them, hyphens and underscores in names, a colon for the slash, a context in the plural.
func misspelledAdvice(s Scope) []Advice {
	if meant := meantBy(s.text); meant != "" {
		return []Advice{{"misspelled", fmt.Sprintf("%s resembles a scope of SMART, but servers do not know it in this spelling.", brief(s.text)), "Write " + brief(meant) + "."}}
	}
	return nil
}

// plural is a resource scope with a context in the plural, or with a colon for the slash.
var plural = regexp.MustCompile(`^(patient|user|system)(?:s[/:]|:)([A-Za-z]+|\*)(\..*)$`)

// marks are removed to compare names.
var marks = strings.NewReplacer("-", "", "_", "")

func meantBy(text string) string {
	if inner := strings.Trim(text, "'`<>[](){}"); inner != text && (slices.Contains(named, inner) || Parse(inner).Kind != Custom) {
		return inner
	}
	for _, name := range named {
		if !strings.EqualFold(text, name) && strings.EqualFold(marks.Replace(text), marks.Replace(name)) {
			return name
		}
	}
	if m := plural.FindStringSubmatch(text); m != nil && (m[2] == "*" || IsResourceType(m[2]) || IsSTU3ResourceType(m[2])) {
		return m[1] + "/" + m[2] + m[3]
	}
	if context, found := strings.CutPrefix(text, "launch:"); found && launchContexts[context] != "" {
		return "launch/" + context
	}
	return ""
}

// launchAdvice warns of launch contexts that no server has. A context is the name of a resource type
// in small letters (SMART App Launch 2.2, "Scopes for requesting context data").
func launchAdvice(s Scope) []Advice {
	head, _, _ := strings.Cut(s.text, "?")
	if head == "launch" || launchContexts[s.Type] != "" {
		return nil
	}
	if lower := strings.ToLower(s.Type); launchContexts[lower] != "" {
		return wrongCase(head, "launch/"+lower)
	}
	return []Advice{{
		"unknown_launch_context", fmt.Sprintf("%s is no context that an app can ask for at its launch.", brief(s.Type)),
		"Write launch/patient, launch/encounter or another resource type in small letters, or launch alone when the app is started out of a record.",
	}}
}

// launchContexts holds all resource types by their names in small letters.
var launchContexts = func() map[string]string {
	byName := map[string]string{}
	for name := range resourceTypes {
		byName[strings.ToLower(name)] = name
	}
	for name := range stu3Types {
		byName[strings.ToLower(name)] = name
	}
	return byName
}()

func contextAdvice(s Scope) []Advice {
	name, permissions, _ := strings.Cut(s.text, ".")
	permissions, _, _ = strings.Cut(permissions, "?")
	if !IsResourceType(name) && !IsSTU3ResourceType(name) || permissions == "" {
		return nil
	}
	return []Advice{{"context_missing", "It looks like a resource scope without context.", "Begin it with patient/, user/ or system/."}}
}

func typeAdvice(s Scope) []Advice {
	if s.Type == "*" || IsResourceType(s.Type) {
		return nil
	}
	if replacement, found := stu3Types[s.Type]; found {
		fix := "Ask for it at servers of FHIR STU3 only."
		if replacement != "" {
			fix += " At a later server, " + replacement + " takes its place."
		}
		return []Advice{{"stu3_resource_type", fmt.Sprintf("%s is a resource type of FHIR STU3 only: R4, R4B and R5 do not have it.", s.Type), fix}}
	}
	fix := "Write a resource type, as in Observation, with its capitals, or *."
	if name := launchContexts[strings.ToLower(s.Type)]; name != "" {
		fix = "Write " + brief(name) + ", with these capitals."
	}
	return []Advice{{"unknown_resource_type", fmt.Sprintf("%s is no resource type of FHIR STU3, R4, R4B or R5.", brief(s.Type)), fix}}
}

func permissionAdvice(s Scope) []Advice {
	switch s.Version() {
	case V1:
		return nil
	case NoVersion:
		small := s
		if small.Permissions = strings.ToLower(s.Permissions); small.Version() != NoVersion {
			return wrongCase(s.text, strings.Replace(s.text, "."+s.Permissions, "."+small.Permissions, 1))
		}
		return []Advice{{
			"malformed_permission", fmt.Sprintf("%s is no permission.", brief(s.Permissions)),
			"Write letters of cruds in this order (v2), or read, write or * (v1).",
		}}
	}
	repeated, ordered := false, true
	for i := 1; i < len(s.Permissions); i++ {
		before, here := strings.IndexByte("cruds", s.Permissions[i-1]), strings.IndexByte("cruds", s.Permissions[i])
		repeated = repeated || strings.IndexByte(s.Permissions[:i], s.Permissions[i]) >= 0
		ordered = ordered && before <= here
	}
	var all []Advice
	if repeated {
		all = append(all, Advice{"repeated_permission", fmt.Sprintf("%s repeats a letter, which Microsoft's FHIR servers answer with 400.", brief(s.Permissions)), "Write each letter once."})
	}
	if !ordered {
		all = append(all, Advice{"permission_order", fmt.Sprintf("%s is not in the order of cruds, for which a server may refuse it (SMART 2.2).", brief(s.Permissions)), "Write the letters in the order c, r, u, d, s."})
	}
	return all
}

// queryAdvice warns of malformed parameters. For Microsoft's FHIR server it also warns of
// parameters that the server answers with 400 (fhir-server pull request 5643); Firely Server
// accepts those.
func queryAdvice(s Scope, d Dialect) []Advice {
	var all []Advice
	for p := range s.Parameters() {
		if p.Name == "" || p.Value == "" || strings.Contains(p.Value, "=") {
			all = append(all, Advice{"malformed_query", "Its query is not name=value, joined by &.", "Write the query as name=value&name=value."})
			break
		}
	}
	if d != AHDS && d != FHIRServerProxy {
		return all
	}
	return append(all, searchAdvice(s)...)
}

func searchAdvice(s Scope) []Advice {
	var include, chained, modified string
	for p := range s.Parameters() {
		switch {
		case strings.HasPrefix(p.Name, "_include"), strings.HasPrefix(p.Name, "_revinclude"):
			include = p.Name
		case strings.HasPrefix(p.Name, "_has:"), strings.Contains(p.Name, "."):
			chained = p.Name
		case strings.Contains(p.Name, ":"):
			modified = p.Name
		}
	}
	var all []Advice
	add := func(name, code, format, fix string) {
		if name != "" {
			all = append(all, Advice{code, fmt.Sprintf(format, brief(name)), fix})
		}
	}
	add(include, "include_not_supported", "Microsoft's FHIR servers refuse %s in a scope.", "Ask for the included type by a scope of its own.")
	add(chained, "chaining_not_supported", "Microsoft's FHIR servers refuse chained parameters such as %s in a scope.", "Use a parameter of the resource itself.")
	add(modified, "modifier_not_supported", "Microsoft's FHIR servers refuse modifiers such as that of %s in a scope.", "Leave the modifier out, or list the codes.")
	return all
}
