package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/upstream"
)

// authority answers every request but openid-configuration in one way.
type authority struct {
	status int
	body   string
}

func (a authority) Do(r *http.Request) (*http.Response, error) {
	status, body := a.status, a.body
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		const base = "https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111"
		status, body = http.StatusOK, `{"issuer":"`+base+`/v2.0","authorization_endpoint":"`+base+`/authorize","token_endpoint":"`+base+`/token"}`
	}
	if status == 0 {
		return nil, errors.New("canary: connection refused")
	}
	return &http.Response{
		StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

func secretOf(t *testing.T, a authority) azcore.TokenCredential {
	t.Helper()
	c, err := azidentity.NewClientSecretCredential("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "canary-secret",
		&azidentity.ClientSecretCredentialOptions{ClientOptions: policy.ClientOptions{Transport: a, Retry: policy.RetryOptions{MaxRetries: -1}}, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The reason why this program gets no token is in the log, in known fields. The error is passed
// on unchanged.
func TestCredentialErrorsAreLogged(t *testing.T) {
	refusal := `{"error":"invalid_client","error_description":"AADSTS7000222: canary keys are expired.","error_codes":[7000222],"correlation_id":"7d0c5a2e-3c1b-4f0a-9a57-2f6f1e0b6c11"}`
	cli, err := azidentity.NewAzureCLICredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir()) // without the command az
	for name, tt := range map[string]struct {
		credential azcore.TokenCredential
		want       string
	}{
		"refused":      {secretOf(t, authority{401, refusal}), "refused with invalid_client, aadsts_7000222, correlation id 7d0c5a2e-3c1b-4f0a-9a57-2f6f1e0b6c11"},
		"no OAuth":     {secretOf(t, authority{502, "<html>canary"}), "answered 502 with a web page"},
		"unreachable":  {secretOf(t, authority{}), "no answer came, or the credential in the settings cannot be used"},
		"not assigned": {cli, "no identity is available to this program"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			var watch upstream.Watch
			_, err := loggedCredential{tt.credential, &watch, eventlog.New(&out, slog.LevelInfo)}.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
			if err == nil {
				t.Fatal("there was a token")
			}
			if log := out.String(); !strings.Contains(log, `"msg":"identity.failed"`) || !strings.Contains(log, tt.want) || strings.Contains(log, "canary") {
				t.Errorf("logged %s, want %s", log, tt.want)
			}
			if known := watch.Reachable(); !maps.Equal(known, map[string]bool{"identity": false}) {
				t.Errorf("health knows %v", known)
			}
		})
	}
	var out bytes.Buffer
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := (loggedCredential{cli, &upstream.Watch{}, eventlog.New(&out, slog.LevelInfo)}).GetToken(gone, policy.TokenRequestOptions{Scopes: []string{"x"}}); err == nil || out.Len() > 0 {
		t.Errorf("a client that left: %v, logged %s", err, &out)
	}
}
