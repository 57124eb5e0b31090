// Command examples gets an access token for a link, and asks the link's FHIR server how many
// patients it has. It needs the standard library only:
//
//	go run token.go
//
// token.sh says what the FHIRLINK_ variables mean, and where your application gets its own
// Entra token (FHIRLINK_ACCESS_TOKEN).
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// client follows no redirects: a token must not follow one to another server.
var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "token:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	api := cmp.Or(os.Getenv("FHIRLINK_URL"), "http://127.0.0.1:7071")
	slug := cmp.Or(os.Getenv("FHIRLINK_SLUG"), "good-health-clinic")
	t, err := getToken(ctx, api, slug, os.Getenv("FHIRLINK_ACCESS_TOKEN"))
	if err != nil {
		return err
	}
	fmt.Printf("Token for %s, valid for %d seconds.\n", t.Resource, t.ExpiresIn)
	total, err := countPatients(ctx, cmp.Or(os.Getenv("FHIRLINK_FHIR_URL"), t.Resource), t.AccessToken)
	if err != nil {
		return err
	}
	fmt.Printf("Patients: %d\n", total)
	return nil
}

// token is the token endpoint's answer, or its error (RFC 6749, sections 5.1 and 5.2).
type token struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	Resource    string `json:"resource"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// problem returns the error in one line.
func (t token) problem() string {
	if t.Error == "" {
		return "the answer is no OAuth error; does a proxy answer in place of the API?"
	}
	return t.Error + ": " + t.Description
}

func getToken(ctx context.Context, api, slug, accessToken string) (token, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "slug": {slug}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(api, "/")+"/api/token", strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if accessToken != "" {
		r.Header.Set("Authorization", "Bearer "+accessToken)
	}
	a, err := client.Do(r)
	if err != nil {
		return token{}, fmt.Errorf("no answer: %w", err)
	}
	defer a.Body.Close()
	var t token
	notJSON := json.NewDecoder(a.Body).Decode(&t)
	switch {
	case a.StatusCode == http.StatusServiceUnavailable:
		return token{}, fmt.Errorf("try again in %s seconds: %s", cmp.Or(a.Header.Get("Retry-After"), "a few"), t.problem())
	case a.StatusCode != http.StatusOK:
		return token{}, fmt.Errorf("no token (HTTP %d): %s", a.StatusCode, t.problem())
	}
	return t, notJSON
}

func countPatients(ctx context.Context, fhir, accessToken string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(fhir, "/")+"/Patient?_summary=count", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	r.Header.Set("Accept", "application/fhir+json")
	a, err := client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("no answer: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s refuses the token or the request (HTTP %d)", fhir, a.StatusCode)
	}
	var bundle struct{ Total *int }
	if err := json.NewDecoder(a.Body).Decode(&bundle); err != nil {
		return 0, err
	}
	if bundle.Total == nil {
		return 0, errors.New("the answer has no total")
	}
	return *bundle.Total, nil
}
