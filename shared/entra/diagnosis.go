package entra

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Diagnosis describes what went wrong and what to do about it. Neither text contains a secret.
type Diagnosis struct {
	Message string
	Fix     string
}

// Diagnose looks the refusal up in the catalogue. audience is the resource that the token was
// requested for. For a number that the catalogue does not have, the diagnosis gives Entra's own
// sentence and the ids that Microsoft's support needs.
func (r *Refusal) Diagnose(c Credentials, audience string) Diagnosis {
	if r.Class() == Transient {
		return throttled.fill(c, audience)
	}
	for _, f := range catalogue {
		if slices.Contains(f.Numbers, r.Number) {
			return f.fill(c, audience)
		}
	}
	return r.unknown(c, audience)
}

// Diagnose says what can be done when the authority gave no usable answer.
func (u *Unreachable) Diagnose() Diagnosis {
	return Diagnosis{
		Message: "Microsoft Entra gave no usable answer: " + u.Reason + ".",
		Fix:     "Try again in a minute. If it stays so, look at https://azure.status.microsoft and at the outbound network of this service.",
	}
}

// unknown quotes Entra's sentence, and adds the hint for the OAuth error if there is one.
func (r *Refusal) unknown(c Credentials, audience string) Diagnosis {
	said := r.Sentence
	if said == "" {
		said = r.OAuthError
	}
	name := r.OAuthError
	if r.Number != 0 {
		name = "AADSTS" + strconv.Itoa(r.Number)
	}
	var fix []string
	if hint, ok := hints[r.OAuthError]; ok {
		fix = append(fix, Failure{Fix: hint}.fill(c, audience).Fix)
	}
	if r.Number != 0 {
		fix = append(fix, fmt.Sprintf("Microsoft explains the number at https://login.microsoftonline.com/error?code=%d.", r.Number))
	}
	fix = append(fix, fmt.Sprintf("When you ask Microsoft, give them trace id %s and correlation id %s.", known(r.TraceID), known(r.CorrelationID)))
	return Diagnosis{
		Message: fmt.Sprintf("Entra refused: “%s” (%s).", said, name),
		Fix:     strings.Join(fix, " "),
	}
}

func known(id string) string {
	if id == "" {
		return "(none was sent)"
	}
	return id
}
