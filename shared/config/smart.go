package config

import (
	"regexp"
	"slices"
	"strings"
)

// linksTable is the table of links, which cannot be the one of SMART authorization too.
const linksTable = "links"

// smartKey reads the name of the key that signs tokens of SMART authorization.
func (e *reader) smartKey() string {
	name := e.get(SmartKey)
	if name == "" {
		return DefaultSmartKey
	}
	if !objectName.MatchString(name) {
		e.addProblem(SmartKey, "cannot name a key of a Key Vault: use 1 to 127 letters, digits and hyphens. It is the name alone, in the first vault, without the vault's address and without a version")
		return DefaultSmartKey
	}
	return name
}

// smartTable reads the name of the table of SMART authorization. Names of tables differ by more than the
// case of their letters, and Azure keeps the name tables for itself.
func (e *reader) smartTable() string {
	name := e.get(SmartTable)
	if name == "" {
		return DefaultSmartTable
	}
	if fits, _ := regexp.MatchString(`^[A-Za-z][A-Za-z0-9]{2,62}$`, name); !fits {
		e.addProblem(SmartTable, "cannot name a table of Azure Table Storage: use 3 to 63 letters and digits, with a letter first")
		return DefaultSmartTable
	}
	if slices.ContainsFunc([]string{linksTable, "tables"}, func(taken string) bool { return strings.EqualFold(taken, name) }) {
		e.addProblem(SmartTable, "is a name that is taken, in upper or lower case: "+linksTable+" is the table of links, and Azure uses tables itself. Set another one, e.g. "+DefaultSmartTable)
		return DefaultSmartTable
	}
	return name
}
