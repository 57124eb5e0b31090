package entratest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
)

// Source implements [entra.TokenSource] with net/http alone: one POST, no retry, no discovery.
type Source struct {
	Client *http.Client     // e.g. [Authority.Client]; it must not follow redirects
	Now    func() time.Time // nil: time.Now
	Calls  atomic.Int64     // number of calls of Token
}

// Source returns a source that sends its requests to this authority without a network.
func (a *Authority) Source() *Source { return &Source{Client: a.Client(), Now: a.Now} }

// Token implements [entra.TokenSource].
func (s *Source) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	s.Calls.Add(1)
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope},
		"client_id": {c.ClientID}, "client_secret": {c.Credential.Text().Reveal()},
	}
	endpoint := strings.TrimRight(c.Authority, "/") + "/" + url.PathEscape(c.TenantID) + "/oauth2/v2.0/token"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return entra.Token{}, entra.NotReached(ctx, err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.Client.Do(request)
	if err != nil {
		return entra.Token{}, entra.NotReached(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return entra.Token{}, entra.NotReached(ctx, err)
	}
	return s.read(c, response, body)
}

func (s *Source) read(c entra.Credentials, response *http.Response, body []byte) (entra.Token, error) {
	if r, refused := entra.ParseRefusal(response.StatusCode, response.Header, body, c.Credential.Text()); refused {
		return entra.Token{}, r
	}
	var wire struct {
		AccessToken string  `json:"access_token"`
		TokenType   string  `json:"token_type"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, &wire) != nil || wire.AccessToken == "" || wire.TokenType != "Bearer" {
		return entra.Token{}, entra.NotUsable(response.StatusCode, body)
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	lifetime := time.Duration(wire.ExpiresIn * float64(time.Second))
	return entra.Token{Access: secret.New(wire.AccessToken), ExpiresOn: now().Add(lifetime)}, nil
}
