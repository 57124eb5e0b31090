package manage

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/entra"
	"fhirlink/shared/problem"
	"fhirlink/shared/signin"
)

// Pages around the sign-in that Entra need not know.
const (
	organizationPage = signin.Base + "organization" // asks for the organization to sign in to
	closePage        = signin.Base + "close"        // the end of a sign-in in a tab of its own
)

// errNoPublicURL answers for every page that needs a sign-in which this deployment does not have.
var errNoPublicURL = problem.New(problem.NotFound, "Nobody can sign in here, because this deployment does not know its own address. Whoever runs it sets FHIRLINK_PUBLIC_URL; until then, use the API.")

// signIn registers a page of the sign-in.
func (h *Handler) signIn(pattern string, p page) {
	h.plain(pattern, func(w http.ResponseWriter, r *http.Request, v Visitor) error {
		switch {
		case h.SignIn == nil:
			return errNoPublicURL
		case h.people == nil:
			return problem.New(problem.NotFound, "Nobody needs to sign in here: whoever can open this page may use all others.")
		}
		return p(w, r, v)
	})
}

// startSignIn sends the browser to Entra.
func (h *Handler) startSignIn(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	begun, err := h.people.Start(r)
	var not *entra.TenantNotAllowed
	switch {
	case errors.Is(err, signin.ErrOrganization):
		words := h.view.Words(r)
		mistakes := words.Mistake("organization", words.Text("This is neither a tenant ID nor a domain."), words.Text("Type the tenant ID, which is a GUID, or a domain of the organization such as contoso.com."))
		return showing(problem.Invalid(mistakes[0].Field), h.organizationPage(words, organizationBody{To: r.URL.Query().Get("to"), Mistakes: mistakes}, r.URL.Query()))
	case errors.As(err, &not):
		return h.notAllowed(r, not.Tenant, r.URL.Query().Get("to"))
	case err != nil:
		return unsealed(err)
	}
	return h.moment(w, r, begun)
}

// moment sends the browser on by a page. A redirect would be dropped silently after a form: browsers
// apply form-action to every redirect that follows one.
func (h *Handler) moment(w http.ResponseWriter, r *http.Request, begun signin.Begun) error {
	setCookies(w, begun.Cookies)
	w.Header().Set("Refresh", "0; url="+begun.URL)
	words := h.view.Words(r)
	m := view.Message{
		Heading: words.Text("One moment"), Text: []string{words.Text("You are being sent to Microsoft, to sign in.")},
		Links: []view.Action{{Name: words.Text("Go on to Microsoft"), Href: begun.URL}},
	}
	return h.view.Write(w, r, h.messagePage(r, Visitor{}, m))
}

func setCookies(w http.ResponseWriter, cookies []*http.Cookie) {
	for _, c := range cookies {
		http.SetCookie(w, c)
	}
}

// signedIn takes Entra's answer. It is the one form that may come from another site: the state in a
// cookie and the nonce in the token stand in for that check.
func (h *Handler) signedIn(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	a, err := h.people.Answer(r)
	var unreachable *entra.Unreachable
	switch {
	case errors.As(err, &unreachable):
		return problem.Unavailable(err, sealRetry, "The keys of Microsoft Entra could not be fetched (%s), so your sign-in cannot be checked just now. Load this page again in a few seconds.", unreachable.Reason)
	case err != nil:
		return unsealed(err)
	}
	setCookies(w, a.Cookies)
	switch a.Kind {
	case signin.Done, signin.NotRenewed:
		return seeOther(w, r, a.To)
	case signin.TenantNotAllowed:
		return h.notAllowed(r, a.Tenant, a.To)
	case signin.Refused:
		return h.refused(r, a)
	}
	words := h.view.Words(r)
	why := view.SignInFailures[a.Kind]
	m := view.Message{
		Heading: words.Text(why.Heading), Text: []string{words.Text(why.Text)},
		Links: []view.Action{
			{Name: words.Text("Sign in"), Href: h.people.SignInURL(a.To, a.Organization, "")},
			{Name: words.Text("FHIR servers"), Href: "/api/manage/"},
		},
		Correlation: problem.Correlation(r.Context()),
	}
	return showing(&problem.Error{Code: why.Code, Detail: string(why.Text)}, h.messagePage(r, Visitor{}, m))
}

// refused says in our words why Entra has refused a sign-in.
func (h *Handler) refused(r *http.Request, a signin.Answer) error {
	words, why := h.view.Words(r), view.SignInRefusals[a.Code]
	m := view.Message{Heading: words.Text(why.Heading), Text: []string{words.Text(why.Text)}, Correlation: problem.Correlation(r.Context())}
	if a.Number != 0 {
		m.Code = fmt.Sprintf("AADSTS%d", a.Number)
	}
	for _, w := range why.Ways {
		m.Links = append(m.Links, h.link(words, w, a))
	}
	p := &problem.Error{Code: problem.Forbidden, Detail: string(why.Text)}
	if a.Code == signin.Busy {
		p.Code, p.RetryAfter = problem.UpstreamUnavailable, time.Minute
	}
	return showing(p, h.messagePage(r, Visitor{}, m))
}

func (h *Handler) link(words view.Words, w view.Way, a signin.Answer) view.Action {
	switch w {
	case view.Approve:
		return view.Action{Name: words.Text("Approve this app"), Href: h.consentURL(a.Organization)}
	case view.AnotherAccount:
		return view.Action{Name: words.Text("Use another account"), Href: h.people.SignInURL(a.To, "", "select_account")}
	case view.AnotherOrganization:
		return view.Action{Name: words.Text("Sign in to another organization"), Href: h.organizationURL(a.To)}
	}
	return view.Action{Name: words.Text("Sign in again"), Href: h.people.SignInURL(a.To, a.Organization, "")}
}

// consentURL is where an administrator approves this app. Entra finds out by the account for which
// organization.
func (h *Handler) consentURL(organization string) string {
	address, err := h.people.ConsentURL(organization)
	if err != nil { // only a named organization can be refused
		return h.people.SignInURL("", "", "")
	}
	return address
}

func (h *Handler) organizationURL(to string) string {
	return h.people.PublicURL + organizationPage + "?" + url.Values{"to": {signin.Target(to)}}.Encode()
}

// notAllowed tells people of an organization that is not among those that may use this service.
func (h *Handler) notAllowed(r *http.Request, tenant, to string) error {
	words := h.view.Words(r)
	m := view.Message{
		Heading: words.Text("Your organization may not use this service yet"),
		Text:    []string{words.Text("Send this tenant ID to whoever runs the service, so that they add it to those that may:")}, Code: tenant,
		Links: []view.Action{h.link(words, view.AnotherAccount, signin.Answer{To: to}), h.link(words, view.AnotherOrganization, signin.Answer{To: to})},
	}
	return showing(problem.New(problem.Forbidden, "The organization %s may not use this service.", tenant), h.messagePage(r, Visitor{}, m))
}

// signInBody is what the page shows to people who are not signed in.
type signInBody struct {
	Service                        string
	Ended                          bool // there was a session
	SignIn, Consent, Organizations string
}

// signInFirst answers for a page that needs a sign-in. A form is shown again, with everything that was
// typed but a secret.
func (h *Handler) signInFirst(r *http.Request, g guarded, ended bool) error {
	words, err := h.view.Words(r), problem.New(problem.Unauthenticated, "Sign in first.")
	if r.PostForm != nil && g.again != nil {
		n := &view.Notice{
			Kind: "warning", Heading: words.Text("You are not signed in any more"), Focus: true,
			Text: words.Text("Nothing was done. Sign in again in a new tab, then come back to this one and send the form again."),
		}
		if h.people != nil {
			n.Actions = []view.Action{{Name: words.Text("Sign in again"), Href: h.people.SignInURL(closePage, h.people.Organization(r), ""), NewTab: true}}
		}
		return showing(err, g.again(r, Visitor{For: r.PostForm.Get("for")}, n))
	}
	if h.people == nil {
		return err
	}
	to, organization := signin.Target(r.URL.RequestURI()), h.people.Organization(r)
	body := signInBody{h.Service.Name, ended, h.people.SignInURL(to, organization, ""), h.consentURL(organization), h.organizationURL(to)}
	return showing(err, view.Page{Template: "sign-in", Heading: words.Text("Sign in"), Body: body})
}

// noRoleBody is what the page shows to people who have signed in and may not manage links.
type noRoleBody struct {
	Name, Username, Organization string
	Command                      string
	Again, Another               string
}

// roleCommand assigns the role that managing links needs. In this order: object id of the person, client
// id of this service, client id of this service.
const roleCommand = `az rest --method post --url "https://graph.microsoft.com/v1.0/users/%s/appRoleAssignments" --body "{\"principalId\":\"%[1]s\",` +
	`\"resourceId\":\"$(az ad sp show --id %[2]s --query id -o tsv)\",\"appRoleId\":\"$(az ad sp show --id %[2]s --query "appRoles[?value=='Links.Administrator'].id" -o tsv)\"}"`

// noRole tells people how they get the role that managing links needs.
func (h *Handler) noRole(r *http.Request, v Visitor) error {
	err := problem.New(problem.Forbidden, "Your account may not manage FHIR servers yet.")
	if h.people == nil {
		return err
	}
	to := signin.Target(r.URL.RequestURI())
	body := noRoleBody{
		Name: v.Caller.Name, Username: v.Username, Organization: v.Caller.Organization,
		Command: fmt.Sprintf(roleCommand, v.Caller.ObjectID, h.people.ClientID),
		Again:   h.people.SignInURL(to, v.Caller.Organization, ""), Another: h.people.SignInURL(to, "", "select_account"),
	}
	return showing(err, view.Page{Template: "no-role", Heading: h.view.Words(r).Text("Your account may not manage FHIR servers yet"), Account: account(v), Body: body})
}

// signOut ends the session in this browser.
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	if err := h.checkSite(r); err != nil {
		return err
	}
	if err := readForm(r); err != nil {
		return err
	}
	v, err := h.visitor(r)
	if err == nil && errors.Is(h.SignIn.CheckFor(r.Context(), v.Caller, r.PostForm.Get("for")), signin.ErrOtherPerson) {
		return h.otherPerson(r, v)
	}
	setCookies(w, h.people.SignOut(r))
	return seeOther(w, r, signin.SignedOut)
}

func (h *Handler) signedOut(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	words := h.view.Words(r)
	m := view.Message{
		Heading: words.Text("You are signed out here"),
		Text:    []string{words.Text("Microsoft may still know you in this browser.")},
		Links: []view.Action{
			{Name: words.Text("Sign out of Microsoft too"), Href: h.people.LogoutURL(r)},
			{Name: words.Text("Sign in"), Href: h.people.SignInURL("", "", "")},
		},
	}
	return h.view.Write(w, r, h.messagePage(r, Visitor{}, m))
}

// consented is where Entra leads an administrator to. It believes no parameter of the address.
func (h *Handler) consented(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	words := h.view.Words(r)
	m := view.Message{
		Heading: words.Text("Approved. Sign in"),
		Text:    []string{words.Text("If you pressed Cancel at Microsoft instead, nothing was approved, and the sign-in will say so.")},
		Links:   []view.Action{{Name: words.Text("Sign in"), Href: h.people.SignInURL("", "", "")}},
	}
	return h.view.Write(w, r, h.messagePage(r, Visitor{}, m))
}

// close ends a sign-in that was begun in a tab of its own, beside a form.
func (h *Handler) close(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	words := h.view.Words(r)
	m := view.Message{
		Heading: words.Text("Close this tab and press Save"),
		Text:    []string{words.Text("You are signed in again. What you typed is still in the other tab.")},
	}
	return h.view.Write(w, r, h.messagePage(r, Visitor{}, m))
}

// organizationBody asks for an organization.
type organizationBody struct {
	To       string
	Mistakes []view.Mistake
	Field    view.Field
}

var organizationField = view.Field{
	Name: "organization", Label: "Organization", Autocomplete: "off",
	Hint: "Its tenant ID, or a domain such as contoso.com. Guests, and people of several organizations, need it.",
}

func (h *Handler) organization(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	return h.view.Write(w, r, h.organizationPage(h.view.Words(r), organizationBody{To: r.URL.Query().Get("to")}, url.Values{}))
}

func (h *Handler) organizationPage(words view.Words, body organizationBody, typed url.Values) view.Page {
	body.To, body.Field = signin.Target(body.To), organizationField.With(typed, body.Mistakes)
	return view.Page{Template: "organization", Heading: words.Text("Switch organization"), Body: body}
}

// notSignedIn leads on from the address that Entra's answer goes to, which people may open again.
func (h *Handler) notSignedIn(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	return seeOther(w, r, "/api/manage/")
}
