package entra

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fhirlink/shared/credential"
)

// Diagnosis describes what went wrong and what to do about it. No text contains a secret.
type Diagnosis struct {
	Message string
	Fix     string
	Command string // one line for a shell that does it; empty when there is none
}

// Advice returns the fix with the command, for places that have one text only.
func (d Diagnosis) Advice() string {
	if d.Command == "" {
		return d.Fix
	}
	return d.Fix + " Command: " + d.Command
}

// Diagnose looks the refusal up in the catalogue. audience is the resource that the token was
// requested for. For a number that the catalogue does not have, the diagnosis gives Entra's own
// sentence and the ids that Microsoft's support needs. Of c.Credential only the type counts: an
// application with a certificate is not told about client secrets. Whether the FHIR server is
// Microsoft's is told by the audience.
func (r *Refusal) Diagnose(c Credentials, audience string) Diagnosis {
	return r.DiagnoseFor(c, audience, ofMicrosoft(audience))
}

// DiagnoseFor is Diagnose for a FHIR server that is known to be Microsoft's, or not to be.
func (r *Refusal) DiagnoseFor(c Credentials, audience string, microsoft bool) Diagnosis {
	if r.Class() == Transient {
		return throttled.fill(c, audience)
	}
	_, certificate := c.Credential.(credential.Certificate)
	number := r.Number
	if !certificate && r.SecretRefused() {
		number = numberInvalid
	}
	f, found := rowOf(number)
	switch {
	case found:
	case number == 0 && r.OAuthError == userFlow.OAuthError:
		f = userFlow
	default:
		return r.unknown(c, audience)
	}
	if other, has := ofCertificate[f.number()]; has && certificate {
		f.Message, f.Fix = other.Message, other.Fix
	}
	if other, has := elsewhere[f.number()]; has && !microsoft {
		f = Failure{Message: other.Message, Fix: other.Fix} // without the command of the row
	}
	return f.fill(c, audience)
}

// number is the first number of a row, 0 if it has none.
func (f Failure) number() int {
	if len(f.Numbers) == 0 {
		return 0
	}
	return f.Numbers[0]
}

// rowOf returns the row of the catalogue for a number.
func rowOf(number int) (f Failure, found bool) {
	for _, f := range catalogue {
		if slices.Contains(f.Numbers, number) {
			return f, true
		}
	}
	return Failure{}, false
}

// SecretRefused reports whether Entra does not know the client secret, as opposed to one that has
// expired: AADSTS7000215, or AADSTS50012 if its sentence says so.
func (r *Refusal) SecretRefused() bool {
	return r.Number == numberInvalid || r.Number == numberAssertion && aboutSecret(r.Sentence)
}

// aboutSecret reports whether a sentence of Entra speaks of a client secret and not of an
// assertion: AADSTS50012 has both meanings.
func aboutSecret(sentence string) bool {
	sentence = strings.ToLower(sentence)
	return strings.Contains(sentence, "secret") && !strings.Contains(sentence, "assertion") && !strings.Contains(sentence, "certificate")
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
	hint, ok := hints[r.OAuthError]
	if _, certificate := c.Credential.(credential.Certificate); certificate && r.OAuthError == "invalid_client" {
		hint = certificateHint
	}
	if ok {
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
