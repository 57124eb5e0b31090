package caller_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"fhirlink/shared/caller"
)

const organization = "11111111-1111-4111-8111-111111111111"

func TestRights(t *testing.T) {
	for _, c := range []struct {
		caller                caller.Caller
		manage, token, launch bool
	}{
		{caller.Caller{}, false, false, false},
		{caller.Caller{Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Administrator"}}, true, false, false},
		{caller.Caller{Scopes: []string{"Links.Manage"}}, false, false, false},
		{caller.Caller{Roles: []string{"Links.Administrator"}}, false, false, false},
		{caller.Caller{Scopes: []string{"links.manage"}, Roles: []string{"Links.Administrator"}}, false, false, false},
		{caller.Caller{Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Manage.All", "Links.Token.All"}}, false, false, false},
		{caller.Caller{App: true, Roles: []string{"Links.Manage.All"}}, true, false, false},
		{caller.Caller{App: true, Roles: []string{"Links.Token.All"}}, false, true, false},
		{caller.Caller{App: true, Roles: []string{"Links.Administrator"}}, false, false, false},
		{caller.Caller{App: true, Operator: true}, false, false, false},
		{caller.Caller{App: true, Roles: []string{"Links.Launch.All"}}, false, false, true},
		{caller.Caller{Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Launch.All"}}, false, false, false},
	} {
		for right, want := range map[caller.Right]bool{
			caller.Nobody: false, caller.FunctionsHost: false, caller.Open: true, caller.Any: true,
			caller.Manage: c.manage, caller.Token: c.token, caller.Launch: c.launch, caller.Right(99): false,
		} {
			if got := right.HeldBy(c.caller); got != want {
				t.Errorf("%+v, right %d: %v", c.caller, right, got)
			}
		}
	}
}

func TestContext(t *testing.T) {
	if _, ok := caller.From(t.Context()); ok || caller.Organization(t.Context()) != "" {
		t.Error("an empty context has a caller")
	}
	want := caller.Caller{Organization: organization}
	ctx := caller.With(t.Context(), want)
	if got, ok := caller.From(ctx); !ok || !reflect.DeepEqual(got, want) || caller.Organization(ctx) != organization {
		t.Errorf("got %+v, %v", got, ok)
	}
}

type validator func(token string) error

func (v validator) Validate(_ context.Context, token string) (caller.Caller, error) {
	return caller.Caller{AppID: token}, v(token)
}

// The access token comes from one well-formed Authorization header.
func TestBearer(t *testing.T) {
	refused := &caller.Refused{}
	invalid := errors.New("not valid")
	for _, tt := range []struct {
		name    string
		headers []string
		token   string // the validated token
		none    bool
	}{
		{"no header", nil, "", true},
		{"another scheme", []string{"Basic dTpw"}, "", true},
		{"a token", []string{"Bearer abc.def"}, "abc.def", false},
		{"in any case, with more space", []string{"  bEARER   abc "}, "abc", false},
		{"a bad token", []string{"Bearer bad"}, "bad", false},
		{"no token", []string{"Bearer"}, "", false},
		{"two tokens", []string{"Bearer a b"}, "", false},
		{"a list", []string{"Bearer a,b"}, "", false},
		{"two headers", []string{"Bearer a", "Bearer a"}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			validated := ""
			b := caller.Bearer{Tokens: validator(func(token string) error {
				if validated = token; token == "bad" {
					return invalid
				}
				return nil
			})}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header["Authorization"] = tt.headers
			c, err := b.Authenticate(r)
			switch {
			case validated != tt.token:
				t.Errorf("validated %q", validated)
			case tt.none && !errors.Is(err, caller.ErrNone),
				tt.token == "bad" && !errors.Is(err, invalid),
				tt.token == "" && !tt.none && !errors.As(err, &refused):
				t.Errorf("error %v", err)
			case tt.token != "" && tt.token != "bad" && (err != nil || c.AppID != tt.token):
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}
