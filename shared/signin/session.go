package signin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/seal"
)

var (
	// ErrNoSession means that nobody has signed in, or not here.
	ErrNoSession = errors.New("nobody has signed in")
	// ErrSessionEnded means that somebody had signed in, and that the session has ended.
	ErrSessionEnded = errors.New("the session has ended")
)

// Bounds of what a session remembers of a person, in bytes.
const (
	maxUsername  = 256
	maxLoginHint = 1024
)

// Session is a person who has signed in.
type Session struct {
	Tenant    string   `json:"t"` // the organization
	ObjectID  string   `json:"o"`
	Name      string   `json:"n,omitempty"` // at most 64 characters
	Username  string   `json:"u,omitempty"` // preferred_username
	LoginHint string   `json:"h,omitempty"`
	Roles     []string `json:"r,omitempty"` // those that rights need

	Ends time.Time `json:"-"`
}

// newSession remembers of a person what the pages need, in bounds.
func (s *Service) newSession(p entra.Person) Session {
	session := Session{
		Tenant: p.Tenant, ObjectID: p.ObjectID, Name: p.Name, Username: cut(p.Username, maxUsername),
		Roles: caller.KnownRoles(p.Roles), Ends: s.Now().Add(sessionLife).UTC().Truncate(time.Second),
	}
	if len(p.LoginHint) <= maxLoginHint { // a part of it names nobody
		session.LoginHint = p.LoginHint
	}
	return session
}

// cut makes text printable and at most as many bytes long.
func cut(text string, bytes int) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text))
	for len(text) > bytes {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

// cookie returns the cookie of a session. Escapes can make a session larger than its bounds promise:
// then what it can do without is left out.
func (s *Service) cookie(ctx context.Context, session Session) (*http.Cookie, error) {
	for _, leaveOut := range []*string{&session.LoginHint, &session.Username, &session.Name} {
		c, err := s.sealed(ctx, session)
		if err != nil || len(c.Name)+1+len(c.Value) <= maxSessionBytes {
			return c, err
		}
		*leaveOut = ""
	}
	return s.sealed(ctx, session)
}

func (s *Service) sealed(ctx context.Context, session Session) (*http.Cookie, error) {
	value, err := seal.Seal(ctx, s.Sealer, useSession, session.Ends, session)
	return cookie(sessionCookie, value, http.SameSiteLaxMode, 0), err
}

// Session returns who has signed in. Errors: ErrNoSession, ErrSessionEnded, with the session that has
// ended, and one with secret.ErrUnavailable while there are no sealing keys.
func (s *Service) Session(r *http.Request) (Session, error) {
	value := valueOf(r, sessionCookie)
	if value == "" {
		return Session{}, ErrNoSession
	}
	session, ends, err := seal.Open[Session](r.Context(), s.Sealer, useSession, value)
	session.Ends = ends
	switch {
	case errors.Is(err, seal.ErrEnded):
		return session, ErrSessionEnded
	case errors.Is(err, seal.ErrInvalid), err == nil && !s.allowed(session.Tenant): // the settings have changed
		return Session{}, ErrNoSession
	case err != nil:
		return Session{}, err
	}
	return session, nil
}

// Organization returns the tenant id of the organization that a request belongs to: that of its form,
// else of its session, even if either has ended. So a guest who signs in again returns to it. Empty: not
// known.
func (s *Service) Organization(r *http.Request) string {
	made, _, err := seal.Open[person](r.Context(), s.Sealer, useFor, r.PostForm.Get("for"))
	if err == nil || errors.Is(err, seal.ErrEnded) {
		return made.Tenant
	}
	session, _ := s.Session(r) // an error without a session leaves none
	return session.Tenant
}

// Caller returns the person as the caller of a request.
func (s *Service) Caller(session Session) caller.Caller {
	c := caller.SignedIn(session.Tenant, session.ObjectID, s.ClientID, session.Name, session.Roles)
	c.Operator = session.Tenant == s.Operator
	return c
}

var (
	// ErrOtherPerson means that a form was made for another person than the one who sends it.
	ErrOtherPerson = errors.New("the form was made for another person")
	// ErrStaleForm means that a form is too old to say for whom it was made.
	ErrStaleForm = errors.New("the form is too old")
)

// For returns the value of a form's hidden field that says for whom the form was made.
func (s *Service) For(ctx context.Context, c caller.Caller) (string, error) {
	return seal.Seal(ctx, s.Sealer, useFor, s.Now().Add(forLife), person{c.Organization, c.ObjectID})
}

// CheckFor checks that a form was made for the person who sends it: two tabs may belong to two people,
// and the cookie is that of the last one. Errors: ErrOtherPerson, ErrStaleForm, and one with
// secret.ErrUnavailable while there are no sealing keys.
func (s *Service) CheckFor(ctx context.Context, c caller.Caller, value string) error {
	made, _, err := seal.Open[person](ctx, s.Sealer, useFor, value)
	switch {
	case errors.Is(err, seal.ErrInvalid), errors.Is(err, seal.ErrEnded):
		return ErrStaleForm
	case err != nil:
		return err
	case made != person{c.Organization, c.ObjectID}:
		return ErrOtherPerson
	}
	return nil
}
