package functions_test

import (
	"net/http"
	"reflect"
	"testing"
)

// TestWhoAmI: every valid token is told who it stands for, what it may do, and what it lacks.
func TestWhoAmI(t *testing.T) {
	r := newRig(t)
	named := user(orgA, "Links.Manage", "Links.Administrator")
	named["name"] = "Ada <Lovelace>"
	odd := user(orgA, "Links.Manage", "Links.Administrator")
	odd["name"] = 7
	for name, c := range map[string]struct {
		caller       claims
		kind         string
		name         any
		may, missing []any
	}{
		"an administrator":     {named, "user", "Ada <Lovelace>", []any{"manage"}, []any{}},
		"a name that is none":  {odd, "user", nil, []any{"manage"}, []any{}},
		"no role":              {user(orgA, "Links.Manage"), "user", nil, []any{}, []any{"role_missing"}},
		"no scope":             {user(orgA, "openid", "Links.Administrator"), "user", nil, []any{}, []any{"scope_missing"}},
		"neither":              {user(orgB, "openid"), "user", nil, []any{}, []any{"scope_missing", "role_missing"}},
		"an application":       {app(orgA, "Links.Manage.All", "Links.Token.All"), "application", nil, []any{"manage", "token"}, []any{}},
		"one that manages":     {manager(orgA), "application", nil, []any{"manage"}, []any{"role_missing"}},
		"one without any role": {app(orgA), "application", nil, []any{}, []any{"role_missing", "role_missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.send(t, request{caller: c.caller, method: "GET", target: "/api/me"})
			a.want(t, http.StatusOK, "")
			missing := []any{}
			for _, lack := range a.field(t, "missing").([]any) {
				missing = append(missing, lack.(map[string]any)["code"])
			}
			if a.field(t, "kind") != c.kind || a.field(t, "name") != c.name || a.field(t, "organization") != c.caller["tid"] || a.field(t, "objectId") == nil ||
				!reflect.DeepEqual(a.field(t, "may"), any(c.may)) || !reflect.DeepEqual(missing, c.missing) {
				t.Errorf("%s", a.body)
			}
		})
	}
	r.send(t, request{method: "GET", target: "/api/me"}).want(t, http.StatusUnauthorized, "unauthenticated")
}
