package launch

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/client"
	"fhirlink/shared/smartauth/handle"
)

// revokeParameters are those of the revocation endpoint that may stand once. Others are ignored.
var revokeParameters = []string{"token", "client_id", "client_secret", "client_assertion", "client_assertion_type"}

// Revoke ends the grant of a refresh token or an access token (RFC 7009). A token that is not the app's is
// as unknown as any other text, and no error. Errors: smartauth.ErrUnknown, *oauth.Error, and
// UpstreamUnavailable.
func (s *Service) Revoke(ctx context.Context, slug string, authorization []string, form url.Values) (err error) {
	server, err := s.server(ctx, slug)
	if err != nil {
		return err
	}
	if err := onceEach(form, revokeParameters); err != nil {
		return err
	}
	credentials, err := client.Read(authorization, form)
	if err == nil {
		err = signAnew(credentials, s.revoke(ctx, server, credentials, form.Get("token")))
	}
	s.logToken(ctx, server, credentials, "revoke", nil, TokenAnswer{}, err)
	return err
}

func (s *Service) revoke(ctx context.Context, server server, c client.Credentials, token string) error {
	if c.Anonymous() && token == "" {
		return invalidRequest("The parameter token is missing.")
	}
	g, named, err := s.grantNamedBy(ctx, server, token)
	if err != nil {
		return smartauth.Unavailable(err)
	}
	var (
		grant grantRow
		found bool
	)
	if named {
		if grant, _, found, err = s.readGrant(ctx, server, g); err != nil {
			return smartauth.Unavailable(err)
		}
	}
	var app smartauth.App
	switch {
	case !c.Anonymous():
		app, err = s.clients.App(ctx, server.Server, c)
	case !found: // a public app that is gone, or a stranger
		return nil
	default:
		app, err = server.publicAppOf(grant, found)
	}
	if err != nil {
		return err
	}
	if token == "" {
		return invalidRequest("The parameter token is missing.")
	}
	if !found || grant.Client != app.ClientID {
		return nil
	}
	return smartauth.Unavailable(s.kill(ctx, server, g))
}

// grantNamedBy returns the grant that a token is for. named is false for a text that this authorization
// server has not issued.
func (s *Service) grantNamedBy(ctx context.Context, server server, token string) (g handle.Grant, named bool, err error) {
	if refresh, err := handle.ReadRefreshToken(ctx, s.Sealer, token); err == nil {
		return refresh.Grant(), true, nil
	} else if err = ignore(err, handle.ErrNoRefreshToken); err != nil {
		return g, false, err
	}
	if strings.Count(token, ".") != 2 {
		return g, false, nil
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return g, false, nil // not a token at all
	}
	keys, err := s.Signer.Keys(ctx)
	if err != nil {
		return g, false, err
	}
	payload, err := signed.Verify(&jose.JSONWebKeySet{Keys: keys})
	var claims accessToken
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Issuer != s.Servers.Issuer(string(server.Link.Slug)) || !s.Now().Before(time.Unix(claims.Expires, 0)) {
		return g, false, nil // another's, or over
	}
	g, named = handle.ReadGrant(claims.Grant)
	return g, named, nil
}
