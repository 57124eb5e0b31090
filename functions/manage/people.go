package manage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/signin"
)

// Visitor is who looks at the pages.
type Visitor struct {
	Caller   caller.Caller
	Username string // for people; empty when nobody signed in
	For      string // what binds forms to the visitor; set by Handler

	session *signin.Session // nil: there is none that could be renewed
	stay    string          // address of a sign-in in a tab of its own
}

// SignIn knows who looks at the pages. The errors that are not of package signin are those of its
// sealing keys: secret.ErrUnavailable.
type SignIn interface {
	// Visitor returns who sent a request. Errors: signin.ErrNoSession, signin.ErrSessionEnded.
	Visitor(r *http.Request) (Visitor, error)
	// For returns the value by which a form belongs to its visitor.
	For(ctx context.Context, c caller.Caller) (string, error)
	// CheckFor checks that value belongs to c. Errors: signin.ErrOtherPerson, signin.ErrStaleForm.
	CheckFor(ctx context.Context, c caller.Caller, value string) error
}

// People is the sign-in of a deployment that others reach: with Microsoft Entra ID.
type People struct{ *signin.Service }

// Visitor implements [SignIn].
func (p People) Visitor(r *http.Request) (Visitor, error) {
	session, err := p.Session(r)
	if err != nil {
		return Visitor{}, err
	}
	return Visitor{Caller: p.Caller(session), Username: session.Username, session: &session, stay: p.SignInURL(closePage, session.Tenant, "")}, nil
}

// visitor returns who sent a request. Errors: signin.ErrNoSession, signin.ErrSessionEnded, and a
// problem while there are no sealing keys.
func (h *Handler) visitor(r *http.Request) (Visitor, error) {
	if h.SignIn == nil {
		return Visitor{}, signin.ErrNoSession
	}
	v, err := h.SignIn.Visitor(r)
	if err == nil {
		v.For, err = h.SignIn.For(r.Context(), v.Caller)
	}
	if err != nil {
		return Visitor{}, unsealed(err)
	}
	return v, nil
}

// anybody is the visitor of a page that nobody needs to sign in for.
func (h *Handler) anybody(r *http.Request) Visitor {
	v, _ := h.visitor(r) // an error leaves nobody
	return v
}

// sealRetry is how long people wait before they try again to sign in or to send a form.
const sealRetry = 10 * time.Second

// unsealed explains an error of the sealing keys.
func unsealed(err error) error {
	if errors.Is(err, secret.ErrUnavailable) {
		return problem.Unavailable(err, sealRetry, "The keys that protect sign-ins cannot be read just now. Nothing was done: try again in a few seconds.")
	}
	return err
}

// renewal begins the silent renewal of a visitor's session if it ends soon.
func (h *Handler) renewal(r *http.Request, v Visitor) (signin.Begun, bool) {
	if h.people == nil || v.session == nil {
		return signin.Begun{}, false
	}
	return h.people.Renew(r, *v.session)
}
