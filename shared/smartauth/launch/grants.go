package launch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// onlineLife is how long a grant lives at most that the app asked for with online_access only.
const onlineLife = 12 * time.Hour

// grantState is whether a grant is still good. A grant also ends with its time, with its app, and when SMART
// authorization is switched off.
type grantState string

const (
	alive   grantState = ""
	givenUp grantState = "given up" // its code could not be spent, and may be exchanged again
	revoked grantState = "revoked"
)

// grantRow is a grant as it is stored. What it says in plain words tells who was given what; what opens a
// record or names a patient is in Box.
type grantRow struct {
	Link, Settings, App string // their ids: what was switched off or made anew has another one
	Served              string // the FHIR server and the tenant that the link had

	Slug      string
	Client    string
	ObjectID  string // of the user
	Scope     string // without queries, which may name a patient
	Mode      smartauth.Tokens
	Entra     string     `json:",omitzero"` // client id of the application by which the user signed in
	State     grantState `json:",omitzero"`
	CreatedAt time.Time
	UsedAt    time.Time
	End       time.Time

	Generation uint32    // of the refresh token that is the current one
	RotatedAt  time.Time `json:",omitzero"` // when it became that
	Box        string    `json:",omitzero"` // sealed under the current refresh token; empty: there is none
}

// boxed is what a grant needs to go on.
type boxed struct {
	secret.Hidden

	Refresh  string // Entra's refresh token
	Grant    Grant
	Upstream upstreamToken `json:",omitzero"` // with Entra's tokens: the latest that a refresh led to, for the one whose answer was lost
}

// readGrant returns the row of a grant of a link; ok is false if there is none. The error is that of the
// store.
func (s *Service) readGrant(ctx context.Context, server server, g handle.Grant) (grant grantRow, row store.Row, ok bool, err error) {
	row, err = s.Rows.Row(ctx, g.Key())
	if err != nil || row.Version == "" {
		return grantRow{}, row, false, err
	}
	if err := json.Unmarshal([]byte(row.Value), &grant); err != nil {
		return grantRow{}, row, false, fmt.Errorf("the row %s in %s cannot be read, remove it: %w", row.Name, row.Partition, err)
	}
	return grant, row, grant.Link == server.Link.ID, nil
}

// good reports whether a grant is still good for an app.
func (g grantRow) good(server server, a smartauth.App, now time.Time) bool {
	return server.signsInBy(a, g.Entra) && g.Mode == server.Settings.Tokens && g.State == alive && now.Before(g.End) && g.Settings == server.Settings.ID && g.Served == server.served() && g.App == a.ID && g.Client == a.ClientID && a.May(smartauth.AuthorizationCode)
}

// swapGrant writes a grant if its row is still as it was read.
func (s *Service) swapGrant(ctx context.Context, old store.Row, g grantRow) (next store.Row, swapped bool, err error) {
	value, err := json.Marshal(g)
	if err != nil {
		return store.Row{}, false, err
	}
	return s.Rows.Swap(ctx, old, string(value))
}

// boxUse is what the box of a grant is sealed for.
func boxUse(linkID string, refreshToken secret.Value) string {
	return "smart grant " + linkID + " " + refreshToken.Reveal()
}

// newGrant returns a grant that begins now, and its first refresh token, which is zero if it has none.
func (s *Service) newGrant(ctx context.Context, server server, c code, g handle.Grant) (grant grantRow, token secret.Value, err error) {
	now := date.Stored(s.Now())
	ends := date.Stored(server.ends(c, now))
	if ends.After(c.GrantEnds) { // the settings have changed since the code was made
		ends = c.GrantEnds
	}
	grant = grantRow{
		Link:      server.Link.ID,
		Settings:  server.Settings.ID,
		Served:    server.served(),
		App:       c.AppID,
		Slug:      string(server.Link.Slug),
		Client:    c.ClientID,
		ObjectID:  c.Grant.User.ObjectID,
		Scope:     withoutQueries(c.Grant.Scopes),
		Mode:      server.Settings.Tokens,
		Entra:     c.EntraClientID,
		CreatedAt: now,
		UsedAt:    now,
		End:       ends,
	}
	if !c.Grant.refreshes() {
		return grant, secret.Value{}, nil
	}
	first, err := handle.NewRefreshToken(ctx, s.Sealer, g)
	if err != nil {
		return grant, secret.Value{}, err
	}
	if token, err = first.Text(ctx, s.Sealer); err != nil {
		return grant, secret.Value{}, err
	}
	box := boxed{Refresh: c.Refresh, Grant: c.Grant}
	box.Upstream.Returned = c.Upstream.Returned // the token itself is never asked for again: no refresh has led to it
	grant.Box, err = seal.Seal(ctx, s.Sealer, boxUse(server.Link.ID, token), ends, box)
	return grant, token, err
}

func withoutQueries(scopes []string) string {
	all := make([]string, len(scopes))
	for i, one := range scopes {
		all[i], _, _ = strings.Cut(one, "?")
	}
	return strings.Join(all, " ")
}

// ends is when a grant ends that begins at a time.
func (s server) ends(c code, begins time.Time) time.Time {
	life, g := s.tokenLife(), c.Grant
	switch {
	case g.has("offline_access"):
		life = time.Duration(s.Settings.RefreshDays) * 24 * time.Hour
	case g.has("online_access"):
		life = onlineLife
	case s.ofEntra():
		return c.Upstream.Ends
	}
	return begins.Add(life)
}

// kill ends a grant of a link at once, whoever else changes it meanwhile. One that is not there has ended.
func (s *Service) kill(ctx context.Context, server server, g handle.Grant) error {
	for range attempts {
		grant, row, ok, err := s.readGrant(ctx, server, g)
		if err != nil || !ok || grant.State == revoked {
			return err
		}
		grant.State, grant.Box = revoked, "" // nobody can open it any more
		_, swapped, err := s.swapGrant(ctx, row, grant)
		if err != nil || swapped {
			return err
		}
	}
	return errChanged
}
