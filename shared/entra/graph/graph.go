package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
)

const (
	// timeout limits the request. The token request before it has its own limits.
	timeout = 5 * time.Second
	// maxAnswer limits the answer in bytes: an application has a few secrets at most.
	maxAnswer = 1 << 20
	// hintLength is the number of characters in the hint of a secret
	// (https://learn.microsoft.com/graph/api/resources/passwordcredential).
	hintLength = 3
)

// Errors of [Client.SecretEnd], for logs.
var (
	ErrNoSecret = errors.New("the application uses no client secret")
	ErrNoGraph  = errors.New("there is no Microsoft Graph beside this authority")
	ErrDenied   = errors.New("the application may not read its own registration in Microsoft Graph")
	ErrUnknown  = errors.New("what Microsoft Graph says does not tell which of the application's secrets this one is")
	ErrNoReply  = errors.New("no usable answer of Microsoft Graph")
)

// Client reads dates from Microsoft Graph.
type Client struct {
	HTTP   *http.Client
	Tokens entra.TokenSource
	Host   func(authority string) string // nil: Host
}

// Host returns the endpoint of Microsoft Graph in the authority's cloud, or "" if there is none
// (https://learn.microsoft.com/graph/deployments).
func Host(authority string) string {
	u, err := url.Parse(authority)
	if err != nil {
		return ""
	}
	return map[string]string{
		"login.microsoftonline.com":        "https://graph.microsoft.com",
		"login.microsoftonline.us":         "https://graph.microsoft.us",
		"login.partner.microsoftonline.cn": "https://microsoftgraph.chinacloudapi.cn",
	}[strings.ToLower(u.Hostname())]
}

// SecretEnd returns when the client secret in c expires. keyID is the id that the last call
// returned for this secret, or "" if it is not known. SecretEnd returns one of the errors above,
// wrapped or as it is.
func (g *Client) SecretEnd(ctx context.Context, c entra.Credentials, keyID string) (entra.SecretEnd, error) {
	of := g.Host
	if of == nil {
		of = Host
	}
	password, ok := c.Credential.(credential.ClientSecret)
	if !ok {
		return entra.SecretEnd{}, ErrNoSecret
	}
	host := of(c.Authority)
	if host == "" {
		return entra.SecretEnd{}, ErrNoGraph
	}
	token, err := g.Tokens.Token(ctx, c, host+"/.default")
	if err != nil {
		return entra.SecretEnd{}, fmt.Errorf("%w: %w", ErrNoReply, err)
	}
	passwords, err := g.passwords(ctx, host, c.ClientID, token)
	if err != nil {
		return entra.SecretEnd{}, err
	}
	return match(passwords, hint(password.Value.Reveal()), keyID)
}

// password is a passwordCredential of Microsoft Graph.
type password struct {
	Hint  string    `json:"hint"`
	KeyID string    `json:"keyId"`
	End   time.Time `json:"endDateTime"`
}

func (g *Client) passwords(ctx context.Context, host, clientID string, token entra.Token) ([]password, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := host + "/v1.0/applications(appId='" + url.PathEscape(clientID) + "')?$select=passwordCredentials"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, ErrNoReply
	}
	r.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	r.Header.Set("Accept", "application/json")
	client := *g.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	if err != nil {
		return nil, ErrNoReply // the error's text contains addresses
	}
	defer func() { _ = answer.Body.Close() }() // everything needed has been read
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return nil, ErrDenied
	default:
		return nil, fmt.Errorf("%w: status %d", ErrNoReply, answer.StatusCode)
	}
	var application struct {
		Passwords []password `json:"passwordCredentials"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&application); err != nil {
		return nil, fmt.Errorf("%w: it is no JSON", ErrNoReply)
	}
	return application.Passwords, nil
}

func hint(secret string) string {
	runes := []rune(secret)
	return string(runes[:min(len(runes), hintLength)])
}

// match finds the secret among those with the same hint: the one with keyID, or the only one. If
// all of them expire on one day, match returns that day without a key id.
func match(passwords []password, hint, keyID string) (entra.SecretEnd, error) {
	var found []password
	for _, p := range passwords {
		switch {
		case p.Hint == "" || p.Hint != hint || p.End.IsZero():
		case keyID != "" && strings.EqualFold(p.KeyID, keyID):
			return entra.SecretEnd{KeyID: p.KeyID, At: p.End}, nil
		default:
			found = append(found, p)
		}
	}
	if len(found) == 1 {
		return entra.SecretEnd{KeyID: found[0].KeyID, At: found[0].End}, nil
	}
	for _, p := range found {
		if !sameDay(p.End, found[0].End) {
			return entra.SecretEnd{}, ErrUnknown
		}
	}
	if len(found) == 0 {
		return entra.SecretEnd{}, ErrUnknown
	}
	return entra.SecretEnd{At: found[0].End}, nil
}

func sameDay(a, b time.Time) bool {
	return a.UTC().Format(time.DateOnly) == b.UTC().Format(time.DateOnly)
}
