package view

import (
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
)

// Badge is a word with an icon, whose shape differs too.
type Badge struct {
	Kind, Icon string
	Word       English
}

// StatusBadge shows a link's status.
func StatusBadge(s condition.Status) Badge {
	switch s {
	case condition.Active:
		return Badge{"good", "tick", "Active"}
	case condition.PendingAccess:
		return Badge{"waiting", "clock", "Waiting for access"}
	case condition.Degraded:
		return Badge{"warning", "triangle", "Having trouble"}
	case condition.Expired:
		return Badge{"bad", "cross", "Secret expired"}
	}
	return Badge{"bad", "octagon", "Needs a fix"}
}

// Step is what a link's people should do next.
type Step struct {
	Name   English // of the link
	Path   string  // below the server's page; empty: the page itself
	Urgent bool    // it counts among what needs people today
}

// soon is how many days before its end a secret should be replaced.
const soon = 30

// NextStep says what to do, the most urgent first.
func NextStep(s condition.Status, secret link.SecretState, daysLeft int, dated, fellBack, certificate bool) (step Step, any bool) {
	switch {
	case s == condition.Expired, secret == link.SecretExpired, dated && daysLeft <= soon, fellBack:
		var name English = "Replace secret"
		if certificate {
			name = "Replace certificate"
		}
		return Step{name, "/secret", true}, true
	case s == condition.PendingAccess:
		return Step{"Give the role", "", true}, true
	case s == condition.Broken, s == condition.Degraded:
		return Step{"See what to fix", "", true}, true
	case secret == link.SecretUnknown:
		return Step{"Add the date", "/edit", false}, true
	}
	return Step{}, false
}
