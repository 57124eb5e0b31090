package verification

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"fhirlink/shared/entra"
)

// Failure is one row of the catalogue: a possible finding of a verification, and its fix. Words
// in braces stand for values of the verification.
type Failure struct {
	Code    string   // of the check
	Case    string   // distinguishes the rows of one code; usually empty
	Also    []string // further codes with the same meaning
	Sign    string   // how it shows on the wire
	Message string
	Fix     string
	Command string // one line for a shell that does what the fix says; empty when there is none
	Status  Status // Fail or Warn
	Outcome Outcome

	// The words for servers that are not Microsoft's, where they differ.
	MessageElsewhere, FixElsewhere string
}

// Name returns the code and the case, e.g. fhir_401_issuer/version.
func (f Failure) Name() string {
	if f.Case == "" {
		return f.Code
	}
	return f.Code + "/" + f.Case
}

// elsewhere sets the words for servers that are not Microsoft's. An empty text changes nothing.
func (f Failure) elsewhere(message, fix string) Failure {
	f.MessageElsewhere, f.FixElsewhere = message, fix
	return f
}

// run sets the command that the fix speaks of.
func (f Failure) run(command string) Failure {
	f.Command = command
	return f
}

// Failures returns the whole catalogue. First come the findings about FHIR servers and tokens,
// sorted by code, then Entra's refusals, whose texts are from package entra.
func Failures() []Failure {
	var all []Failure
	for _, name := range slices.Sorted(maps.Keys(catalogue)) {
		f := catalogue[name]
		f.Code, f.Case, _ = strings.Cut(name, "/")
		all = append(all, f)
	}
	for _, f := range entra.Failures() {
		all = append(all, ofEntra(f))
	}
	return all
}

// ofEntra converts a row of package entra to a finding of CheckToken. A row without a number
// stands for every number that Entra may return.
func ofEntra(e entra.Failure) Failure {
	f := Failure{Code: "aadsts_<number>", Sign: e.Sign, Message: e.Message, Fix: e.Fix, Command: e.Command(), Status: Fail, Outcome: outcomes[e.Class]}
	if e.OAuthError != "" {
		f.Code = "entra_" + e.OAuthError
	}
	for i, n := range e.Numbers {
		code := "aadsts_" + strconv.Itoa(n)
		if i == 0 {
			f.Code = code
		} else {
			f.Also = append(f.Also, code)
		}
	}
	return f
}

// outcomes maps the classes of Entra's refusals to outcomes.
var outcomes = map[entra.Class]Outcome{
	entra.Config: OutcomeBroken, entra.Expired: OutcomeExpired, entra.Transient: OutcomeTransient,
}

// facts holds the values for the words in braces.
type facts map[string]string

func (f facts) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	pairs := make([]string, 0, 2*len(f))
	for name, value := range f {
		pairs = append(pairs, name, value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func broken(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Fail, Outcome: OutcomeBroken}
}

func transient(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Fail, Outcome: OutcomeTransient}
}

func pending(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Fail, Outcome: OutcomePendingAccess}
}

func warning(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Warn, Outcome: OutcomeActive}
}

const (
	overview  = "In the Azure portal open the FHIR service > Overview and copy \"FHIR metadata endpoint\"."
	waitAgain = "Nothing has to be changed: try again later."
	ownURL    = "Use the base URL of the FHIR server: the one whose /metadata shows its CapabilityStatement. Its documentation or its operator can tell it."
	letIn     = "Let requests from this service through: ask the operator of the FHIR server or of the gateway in front of it."
	ours      = "This is a mistake of this service, not of yours: report it with the code and the correlation id."
)

var askEntraAgain = (&entra.Unreachable{}).Diagnose().Fix
