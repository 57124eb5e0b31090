package webauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
)

const (
	tryTimeout = 5 * time.Second
	delay      = 200 * time.Millisecond // before the second try of a refresh

	maxAnswer   = 64 << 10       // bytes; three tokens have a few kilobytes each
	maxLifetime = 24 * time.Hour // the longest time for which a token is trusted, whatever its expires_in
)

// SignIns implements [entra.SignIns]. The zero SignIns uses Go's default transport.
type SignIns struct {
	Client *http.Client // its redirect policy is ignored: redirects are never followed
}

// Redeem implements [entra.SignIns] with one POST. It is never tried again, because Entra may have
// spent the code although its answer was lost.
func (s *SignIns) Redeem(ctx context.Context, c entra.Credentials, code, verifier secret.Value, redirectURI string) (entra.UserTokens, error) {
	return s.redeem(ctx, c, 1, url.Values{
		"grant_type": {"authorization_code"}, "code": {code.Reveal()}, "code_verifier": {verifier.Reveal()}, "redirect_uri": {redirectURI},
	}, code, verifier)
}

// Refresh implements [entra.SignIns]. It is tried twice if Entra does not answer or fails, because a
// refresh token that was used stays good.
func (s *SignIns) Refresh(ctx context.Context, c entra.Credentials, refreshToken secret.Value, scope string) (entra.UserTokens, error) {
	return s.redeem(ctx, c, 2, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken.Reveal()}, "scope": {scope}}, refreshToken)
}

// redeem sends a grant with the application's authentication over TLS to the host of c.Authority. sent
// are the secrets in the form.
func (s *SignIns) redeem(ctx context.Context, c entra.Credentials, tries int, form url.Values, sent ...secret.Value) (entra.UserTokens, error) {
	if bad := c.Refused(); bad != nil {
		return entra.UserTokens{}, bad
	}
	u, err := url.Parse(c.Authority)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return entra.UserTokens{}, &entra.Unreachable{Reason: "its configured address is not an https URL"}
	}
	endpoint := u.JoinPath(c.TenantID, "oauth2/v2.0/token").String()
	form.Set("client_id", c.ClientID)
	proof, err := authenticate(form, c.Credential, c.ClientID, endpoint)
	if err != nil {
		return entra.UserTokens{}, &entra.Unreachable{Reason: err.Error(), Cause: err}
	}
	r := request{s.client(), endpoint, form.Encode(), append(sent, proof, c.Credential.Text())}
	for try := 1; ; try++ {
		tokens, err := r.send(ctx)
		if err == nil || try == tries || !passes(err) || !wait(ctx) {
			return tokens, err
		}
	}
}

func (s *SignIns) client() *http.Client {
	client := http.Client{}
	if s.Client != nil {
		client = *s.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// passes reports whether an error may have passed with the next try: there was no answer, or one with
// a status of 500 or more. A longer wait that Entra asks for is left to the caller.
func passes(err error) bool {
	var (
		refusal     *entra.Refusal
		unreachable *entra.Unreachable
	)
	switch {
	case errors.As(err, &refusal):
		return refusal.HTTPStatus >= http.StatusInternalServerError && refusal.RetryAfter <= delay
	case errors.As(err, &unreachable):
		return unreachable.Status == 0 || unreachable.Status >= http.StatusInternalServerError
	}
	return false
}

// wait waits for the next try. It reports whether there is time for one.
func wait(ctx context.Context) bool {
	select {
	case <-time.After(delay):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// request is a request to the token endpoint, which can be sent again.
type request struct {
	client         *http.Client
	endpoint, form string
	sent           []secret.Value // in the form
}

func (r request) send(ctx context.Context) (entra.UserTokens, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, strings.NewReader(r.form))
	if err != nil {
		return entra.UserTokens{}, entra.NotReached(ctx, err)
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.Header.Set("Accept", "application/json")
	asked := time.Now()
	response, err := r.client.Do(post)
	if err != nil {
		return entra.UserTokens{}, entra.NotReached(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return entra.UserTokens{}, entra.NotReached(ctx, err)
	}
	if refusal, refused := entra.ParseRefusal(response.StatusCode, response.Header, body, r.sent...); refused {
		return entra.UserTokens{}, refusal
	}
	return read(response.StatusCode, body, asked)
}

// read reads an answer that is no refusal.
func read(status int, body []byte, asked time.Time) (entra.UserTokens, error) {
	var wire struct {
		TokenType string       `json:"token_type"`
		ExpiresIn seconds      `json:"expires_in"`
		Scope     string       `json:"scope"`
		ID        secret.Value `json:"id_token"`
		Access    secret.Value `json:"access_token"`
		Refresh   secret.Value `json:"refresh_token"`
	}
	if status != http.StatusOK || len(body) > maxAnswer || json.Unmarshal(body, &wire) != nil || wire.Access.IsZero() && wire.ID.IsZero() {
		return entra.UserTokens{}, entra.NotUsable(status, body)
	}
	tokens := entra.UserTokens{ID: wire.ID, Access: wire.Access, Refresh: wire.Refresh, Scope: wire.Scope}
	if !wire.Access.IsZero() {
		if !strings.EqualFold(wire.TokenType, "Bearer") || !(wire.ExpiresIn > 0) {
			return entra.UserTokens{}, &entra.Unreachable{Reason: "it answered with a token that cannot be used", Status: status}
		}
		lifetime := min(wire.ExpiresIn, seconds(maxLifetime/time.Second))
		tokens.ExpiresOn = asked.Add(time.Duration(lifetime * seconds(time.Second)))
	}
	return tokens, nil
}

// seconds is a JSON number, or a string with one, as Entra's endpoint of version 1 answers.
type seconds float64

// UnmarshalJSON reads either form.
func (s *seconds) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	*s = seconds(f)
	return err
}
