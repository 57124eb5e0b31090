package caller

import "slices"

// Right is what a route requires of its caller. No caller holds the zero Right.
type Right int

// The rights.
const (
	Nobody Right = iota // the zero Right: a route whose right was forgotten
	Open                // no token is required or read
	Any                 // any valid token
	Manage              // to manage the links of the caller's organization
	Token               // to get tokens for links

	FunctionsHost // no caller: the Azure Functions host itself, on its own machine
)

// The scope and the roles that the registration of our API in Entra defines.
const (
	scopeManage       = "Links.Manage"
	roleAdministrator = "Links.Administrator"
	roleManageAll     = "Links.Manage.All"
	roleTokenAll      = "Links.Token.All"
)

// HeldBy reports whether the caller has the right.
func (right Right) HeldBy(c Caller) bool {
	switch right {
	case Open, Any:
		return true
	case Manage:
		if c.App {
			return slices.Contains(c.Roles, roleManageAll)
		}
		return slices.Contains(c.Scopes, scopeManage) && slices.Contains(c.Roles, roleAdministrator)
	case Token: // a user never has it
		return c.App && slices.Contains(c.Roles, roleTokenAll)
	}
	return false
}

// Needs says in words what grants the right, and returns its scope for a challenge (RFC 6750 §3).
func (right Right) Needs() (words, scope string) {
	if right == Token {
		return "This needs an application with the role Links.Token.All, signed in as itself; users cannot have tokens for links. " +
			"An administrator grants the role under API permissions of the app registration.", roleTokenAll
	}
	return "This needs a user with the scope Links.Manage and the role Links.Administrator, " +
		"or an application with the role Links.Manage.All. An administrator assigns the roles under Enterprise applications.", scopeManage
}
