package me

import (
	"net/http"

	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
)

// answer is the body of a 200. A key without a value is null.
type answer struct {
	Kind         caller.Kind   `json:"kind"`
	Organization string        `json:"organization"`
	ObjectID     *string       `json:"objectId"`
	Name         *string       `json:"name"`
	May          []string      `json:"may"`
	Missing      []caller.Lack `json:"missing"`
}

// rights are the rights that a caller can be told of, with their names on the wire.
var rights = []struct {
	name  string
	right caller.Right
}{{"manage", caller.Manage}, {"token", caller.Token}}

// Get answers GET /api/me.
func Get(w http.ResponseWriter, r *http.Request) error {
	c, _ := caller.From(r.Context()) // the route's right guarantees one
	a := answer{
		Kind: c.Kind(), Organization: c.Organization, ObjectID: httpx.OrNull(c.ObjectID), Name: httpx.OrNull(c.Name),
		May: []string{}, Missing: []caller.Lack{},
	}
	for _, one := range rights {
		if one.right.HeldBy(c) {
			a.May = append(a.May, one.name)
		}
		a.Missing = append(a.Missing, one.right.Lacks(c)...)
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpx.WriteJSON(w, http.StatusOK, a)
}
