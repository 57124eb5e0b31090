package intake

import (
	"encoding/base64"
	"net/url"
	"strings"

	"fhirlink/shared/credential"
	"fhirlink/shared/paste"
	"fhirlink/shared/secret"
)

// maxSecret bounds the client secret, in bytes; Entra's have 40.
const maxSecret = 1024

const secretFix = "In the Microsoft Entra admin center open App registrations, your app, Certificates & secrets, create a new client secret, and copy its Value: it is shown only once. It has an end date of its own: give that too."

// secret reads a client secret. It takes off what was copied along, and refuses what cannot be the
// value. Entra makes secrets of letters, digits and the characters ~ . _ and -; older ones, which
// people chose, may have others. No note and no message shows any part of the value.
func (r *Reader) secret(v secret.Value) secret.Value {
	if v.IsZero() {
		r.bad(required("clientSecret", secretFix))
		return v
	}
	text := r.unwrapSecret(v.Reveal())
	if code, message, fix := notSecret(text); code != "" {
		r.fail("clientSecret", code, fix, "%s", message)
	}
	return secret.New(text)
}

// assigned is what stands before a name in scripts and command lines.
const assigned = `(?:export\s+|set\s+|setx\s+|\$env:|\$|--?)?["'“]?`

// secretLabel is a name in front of a secret, as in configuration files, forms, the portal in several
// languages, and the answers of the Azure CLI and Microsoft Graph.
var secretLabel = paste.MustCompile(`(?i)^` + assigned + `(?:[a-z0-9_.:-]*client[ _-]?secret(?:[ _-]?(?:value|text))?|[a-z0-9_.:-]*secret[ _-]?(?:value|text)|secret|value|password|credential|` +
	`wert|geheimer client-?schlüssel|clientgeheimnis|valeur|secret client|valor|secreto de cliente|waarde|clientgeheim|valore|segreto client)["'”]?[\s\x{a0}]*(?:=>|:=|[:=\t])\s*`)

// formRest is what follows a secret in the form of a token request.
var formRest = paste.MustCompile(`&(?:grant_type|scope|client_id|resource|tenant|client_assertion[a-z_]*)=.*$`)

// unwrapSecret removes white space, invisible characters, a label, quotes and percent-encoding.
func (r *Reader) unwrapSecret(raw string) string {
	text := strings.TrimSpace(raw)
	if text != raw {
		r.Note("removed white space around the client secret")
	}
	if visible, hidden := paste.Trim(text); hidden {
		r.Note("removed invisible characters from the client secret")
		text = visible
	}
	if bare := unlabelled(text); bare != text {
		r.Note("removed the name in front of the client secret")
		text = bare
	}
	if bare := unquoted(text); bare != text {
		r.Note("removed the quotes around the client secret")
		text = bare
	}
	if plain := paste.Hyphens(text); plain != text {
		r.Note("replaced characters that look like hyphens by hyphens in the client secret")
		text = plain
	}
	if decoded := unescaped(text); decoded != text {
		r.Note("decoded the percent-encoded client secret")
		text = decoded
	}
	if whole := restored(text); whole != text {
		r.Note("removed the encoding, the white space or the look-alike characters within the client secret")
		text = whole
	}
	if found, one := onlyEmbedded(text); one && !ofEntra.MatchString(strings.TrimSpace(raw)) && found != text && !masked(text) && !reference.MatchString(text) {
		r.Note("took the client secret out of the text around it")
		text = found
	}
	return text
}

// embedded finds a secret of Entra's present form, such as abc8Q~…, among other words, and without a
// period behind it.
var embedded = paste.MustCompile(`(?:^|[^A-Za-z0-9~._-])([A-Za-z0-9~._-]{3}[0-9]Q~[A-Za-z0-9~._-]{31,40}?)\.?(?:$|[^A-Za-z0-9~._%+/=-])`)

// onlyEmbedded returns the secret among other words, if there is exactly one.
func onlyEmbedded(text string) (found string, one bool) {
	at := embedded.FindStringSubmatchIndex(text)
	if at == nil || embedded.MatchString(text[at[3]:]) { // the character between two ends one and begins the other
		return "", false
	}
	found = text[at[2]:at[3]]
	if len(found) < 40 && strings.HasPrefix(text[at[3]:], ".") { // Entra's have 40 characters: the period is a part of it
		found += "."
	}
	return found, true
}

// present is the form of the secrets that Entra makes now.
var present = paste.MustCompile(`^[A-Za-z0-9~._-]{3}[0-9]Q~[A-Za-z0-9~._-]{34}$`)

// escape is a character as Markdown, JSON and HTML write it.
var escape = paste.MustCompile(`\\([~._-])|\\u007[eE]|&#126;|&#[xX]7[eE];`)

// lookalikes are characters that programs put in the place of those of Entra's secrets.
var lookalikes = strings.NewReplacer("\u02dc", "~", "\uff5e", "~", "\u223c", "~", "\u301c", "~", "\uff0e", ".", "\uff3f", "_")

// restored undoes what mail, documents, Markdown, JSON, HTML and Kubernetes do to a secret: line
// breaks and spaces within, other tildes, escapes, Base64. It counts only if a secret of Entra's present form
// comes of it, so that no other secret is changed.
func restored(text string) string {
	unescaped := escape.ReplaceAllStringFunc(lookalikes.Replace(text), func(e string) string {
		if len(e) == len(`\~`) {
			return e[1:]
		}
		return "~"
	})
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		decoded = nil
	}
	for _, whole := range []string{strings.Join(strings.Fields(unescaped), ""), strings.TrimSpace(string(decoded))} {
		if present.MatchString(whole) {
			return whole
		}
	}
	return text
}

// unlabelled removes a name, and the rest of the form that the secret was copied from.
func unlabelled(text string) string {
	label := secretLabel.FindString(strings.TrimLeft(text, "{,? "))
	if label == "" {
		return text
	}
	rest := strings.TrimLeft(text, "{,? ")[len(label):]
	rest = strings.TrimRight(formRest.ReplaceAllString(rest, ""), ",; ")
	if strings.HasPrefix(text, "{") {
		rest = strings.TrimSpace(strings.TrimSuffix(rest, "}"))
	}
	if rest == "" || strings.Trim(rest, "=") == "" {
		return text
	}
	return rest
}

// ofEntra is the shape of the secrets that Entra makes.
var ofEntra = paste.MustCompile(`^[A-Za-z0-9~._-]{30,64}$`)

// unquoted removes quotes, with the comma or semicolon behind them. Brackets and a single quote come
// off a value that looks like Entra's; otherwise brackets mark a placeholder.
func unquoted(text string) string {
	for {
		inner, unwrapped := paste.Unwrap(strings.TrimRight(text, ",; "), paste.Quotes)
		if !unwrapped {
			break
		}
		text = inner
	}
	if inner := strings.Trim(text, paste.Quotes+paste.Brackets+">})],; "); ofEntra.MatchString(inner) {
		return inner
	}
	return text
}

var (
	triple   = paste.MustCompile(`%[0-9A-Fa-f]{2}`)
	ordinary = paste.MustCompile(`^[A-Za-z0-9~._+/=-]+$`)
)

// unescaped decodes a secret that was percent-encoded once or twice, if every percent sign begins a
// percent triple, and the result is made of the characters of Entra's secrets.
func unescaped(text string) string {
	decoded := text
	for range 2 {
		if len(triple.FindAllString(decoded, -1)) != strings.Count(decoded, "%") {
			return text
		}
		plain, err := url.PathUnescape(decoded)
		if err != nil {
			return text
		}
		decoded = plain
	}
	if !ordinary.MatchString(decoded) {
		return text
	}
	return decoded
}

var (
	reference   = paste.MustCompile(`(?i)@microsoft\.keyvault|^keyvault\(|^vault:|^arn:aws:|^projects/[^/]+/secrets/|^\{\{resolve:|\.vault\.(?:azure\.(?:net|cn)|usgovcloudapi\.net)(?:[:/]|$)|^secretref:|^vaultname=|^/?subscriptions/|^(?:azure)?[ _-]?(?:key[ _-]?vault|akv|kv|vault|op)://`)
	address     = paste.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	token       = paste.MustCompile(`^(?i:authorization:\s*)?(?:(?i:bearer)\s+)?eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.`)
	basic       = paste.MustCompile(`^(?i:authorization:\s*)?(?i:basic)\s+([A-Za-z0-9+/]+={0,2})$`)
	placeholder = paste.MustCompile(`(?i)^(?:` + strings.Join([]string{
		`<[a-z_ .-]*>|\[[a-z_ .-]*\]|\{[a-z_ .-]*\}|\$?\{\{[\w .-]*\}\}|\$\{[\w .-]*\}|\$\([\w .-]*\)|#\{[\w .-]*\}#?|__[a-z]\w*__|@@\w+@@|%%\w+%%`,
		`(?-i:\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%)|\$env:\w+|os\.(?:environ|getenv)[\[(.].*|\[(?:parameters|variables|reference)\(.*\)\]`,
		`(?:process\.env|import\.meta\.env|env|var|local|vars|secrets|module|data|azuread_\w+|azurerm_\w+)(?:\.[a-z_]\w*)+`,
		`\(?(?:hidden|redacted|masked|secret|password|not shown|sensitive(?: value)?|known after apply)\)?|system\.security\.securestring|\[object object\]|undefined|null|none|nil|todo|tbd|n/a`,
		`(?:my|your|enter|insert|paste)[ _-](?:[a-z]+[ _-])*(?:secret|value|password)(?:[ _-](?:value|here))*|(?:change|replace)[ _-]?me`,
	}, "|") + `)$`)
	stars = paste.MustCompile(`\*{3,}$|^\*{3,}|\*{4,}`)
	dots  = paste.MustCompile(`\.{3,}$|^\.{3,}`)
)

// derBase64 is a certificate or a key in Base64, whose first bytes are those of a long ASN.1 sequence.
var derBase64 = paste.MustCompile(`^MII[A-Za-z0-9+/\s]{100,}={0,2}\s*$`)

// bullets are the characters that hide a password on a screen, and the ones that stand for a part
// that was left out.
const bullets = "•●∙·⋅○◦■▪✱＊⁎∗…⬤⚫"

// notSecret says why a text cannot be a client secret; code is "" if it can.
func notSecret(text string) (code, message, fix string) {
	switch {
	case text == "":
		return "secret_blank", "The client secret is blank.", secretFix
	case isID(text):
		return "secret_is_id", "This is a GUID: the Secret ID (or the client id) was pasted instead of the secret's Value.", secretFix
	case credential.LooksLikePEM(text), derBase64.MatchString(text):
		return "secret_is_certificate", "This is a certificate or a key (PEM, or Base64 of DER or PKCS #12), not a client secret.", "Send it as clientCertificate, together with its private key."
	case reference.MatchString(text):
		return "secret_is_reference", "This is a reference to a secret in a vault (or its address), not the secret itself, and nothing here can follow it.",
			"Open the secret in Key Vault, choose Show Secret Value, and copy the value; or create a new client secret under Certificates & secrets."
	case address.MatchString(text):
		return "secret_is_url", "This is a URL, not a client secret.", secretFix
	case token.MatchString(text), isBasic(text):
		return "secret_is_token", "This is a token or the value of a header Authorization, not a client secret.", secretFix
	case len(text) > maxSecret:
		return "secret_too_long", "The client secret is longer than the 1024 bytes that are allowed.", secretFix
	case masked(text):
		return "secret_masked", "The client secret is masked: a part of it is hidden behind stars or dots, as the portal shows it after the page was left. The whole value cannot be seen again.", secretFix
	case placeholder.MatchString(text):
		return "secret_placeholder", "This is a placeholder or the name of a variable, not the client secret itself.", secretFix
	case strings.ContainsAny(text, paste.Dashes):
		return "secret_dash", "The client secret has a long dash, which a text program put in the place of one or two hyphens: which of them cannot be known.",
			"Copy the Value again from where it was stored first, not by way of a document or a mail. If that is not possible: " + secretFix
	case strings.ContainsFunc(text, unprintable):
		return "secret_syntax", "The client secret holds a line break, a control character or another one that cannot be shown.", secretFix
	}
	return "", "", ""
}

// anyLabel is any name in front of a value.
var anyLabel = paste.MustCompile(`^["']?[\p{L} ._()'’-]{2,40}["']?(?:[ \x{a0}]*[:=\t]|[ \x{a0}])`)

// isID reports whether a text is a GUID, in braces and the like too, or behind a name.
func isID(text string) bool {
	_, found := guidIn(text, anyLabel)
	return found && strings.Contains(text, "-")
}

// isBasic reports whether a text is a user name and a password for the scheme Basic (RFC 7617).
func isBasic(text string) bool {
	m := basic.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	pair, err := base64.StdEncoding.DecodeString(m[1])
	return err == nil && strings.Contains(string(pair), ":")
}

// masked reports whether a part of a text is hidden. Three dots are legal in a secret, so they count
// only where the text is shorter than Entra's secrets.
func masked(text string) bool {
	if strings.ContainsAny(text, bullets) || stars.MatchString(text) {
		return true
	}
	if dots.MatchString(text) && len(text) < 34 {
		return true
	}
	first := text[:1]
	return len(text) >= 4 && strings.Trim(text, first) == "" && strings.Contains("*.xX-_#?", first)
}
