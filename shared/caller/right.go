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
	Launch              // to open apps for users of the caller's organization

	FunctionsHost // no caller: the Azure Functions host itself, on its own machine
)

// The scope and the roles that the registration of our API in Entra defines.
const (
	scopeManage       = "Links.Manage"
	roleAdministrator = "Links.Administrator"
	roleManageAll     = "Links.Manage.All"
	roleTokenAll      = "Links.Token.All"
	roleLaunchAll     = "Links.Launch.All"
)

// KnownRoles returns those of the roles of a token that a right needs.
func KnownRoles(roles []string) (known []string) {
	for _, role := range []string{roleAdministrator, roleManageAll, roleTokenAll, roleLaunchAll} {
		if slices.Contains(roles, role) {
			known = append(known, role)
		}
	}
	return known
}

// SignedIn returns the caller for a person who has signed in at our own pages. They are an app of ours
// that has the scope of users' apps.
func SignedIn(organization, objectID, appID, name string, roles []string) Caller {
	return Caller{Organization: organization, ObjectID: objectID, AppID: appID, Name: name, Roles: roles, Scopes: []string{scopeManage}}
}

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
	case Launch: // nor this one
		return c.App && slices.Contains(c.Roles, roleLaunchAll)
	}
	return false
}

// Lack is one thing that keeps a caller from a right.
type Lack struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Lacks says what the caller would need for the right, and how to get it. A user is told nothing of
// rights that only applications can have.
func (right Right) Lacks(c Caller) []Lack {
	switch {
	case right.HeldBy(c) || right == Token && !c.App:
		return nil
	case right == Token:
		return []Lack{{"role_missing", "This application does not have the role " + roleTokenAll + ", so it gets no tokens for links.", grantFix}}
	case c.App:
		return []Lack{{"role_missing", "This application does not have the role " + roleManageAll + ", so it may not manage links.", grantFix}}
	}
	var lacks []Lack
	if !slices.Contains(c.Scopes, scopeManage) {
		lacks = append(lacks, Lack{
			"scope_missing", "The access token does not have the scope " + scopeManage + ".",
			"Let the front end ask Entra for the scope " + scopeManage + " of this API, and sign in again.",
		})
	}
	if !slices.Contains(c.Roles, roleAdministrator) {
		lacks = append(lacks, Lack{
			"role_missing", "Your account does not have the role " + roleAdministrator + ", so it may not manage links.",
			"An administrator of your organization assigns it: Microsoft Entra admin center > Enterprise applications > this API > Users and groups > Add user/group. Then sign in again.",
		})
	}
	return lacks
}

const grantFix = "An administrator grants it under API permissions of the application's registration (Application permissions, then Grant admin consent). Then get a new token."

// Needs says in words what grants the right, and returns its scope for a challenge (RFC 6750 §3).
func (right Right) Needs() (words, scope string) {
	switch right {
	case Token:
		return "This needs an application with the role Links.Token.All, signed in as itself; users cannot have tokens for links. " +
			"An administrator grants the role under API permissions of the app registration.", roleTokenAll
	case Launch:
		return "This needs the back end of an EHR, an application with the role Links.Launch.All that is signed in as itself; users cannot open apps for others. " +
			"An administrator grants the role under API permissions of the app registration.", roleLaunchAll
	}
	return "This needs a user with the scope Links.Manage and the role Links.Administrator, " +
		"or an application with the role Links.Manage.All. An administrator assigns the roles under Enterprise applications.", scopeManage
}
