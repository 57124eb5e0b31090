package comparehosts_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// function is a program in aws-lambda-go's own loop, behind a Runtime API. The Runtime API never
// restarts it: while it answers, it has not ended.
type function struct {
	*runtimeAPI
	stdout, stderr *cloudtest.Output
}

// startFunction runs cmd/lambda over the table of the connection string.
func startFunction(t *testing.T, cloud *cloudtest.Cloud, table string) *function {
	t.Helper()
	return startFunctionBy(t, cloud, table, "AZURE_CLIENT_SECRET=canary-lambda-secret", func(form url.Values) bool {
		return form.Get("client_secret") == "canary-lambda-secret"
	})
}

// startFunctionBy is startFunction with the setting for the program's credential, and a check of
// what the program sends to prove it.
//
// The tenant is "adfs", because azidentity asks login.microsoft.com about any other authority
// that it does not know.
func startFunctionBy(t *testing.T, cloud *cloudtest.Cloud, table, credential string, proves func(form url.Values) bool) *function {
	t.Helper()
	identity := newIdentity(t, cloud, proves)
	return invoked(t, program(t, "lambda"), settings(cloud, table,
		"AZURE_AUTHORITY_HOST="+identity, "AZURE_TENANT_ID=adfs", "AZURE_CLIENT_ID="+cloudtest.ClientID, credential))
}

// startLambda runs cmd/lambda and returns the URL of its Function URL.
func startLambda(t *testing.T, cloud *cloudtest.Cloud, table string) running {
	f := startFunction(t, cloud, table)
	return running{serveEvents(t, f, urlEvent), []*cloudtest.Output{f.stdout, f.stderr}}
}

// startGateway runs cmd/lambda and returns the URL of an API Gateway HTTP API in front of it.
func startGateway(t *testing.T, cloud *cloudtest.Cloud, table string) running {
	f := startFunction(t, cloud, table)
	t.Cleanup(func() {
		if strings.Contains(f.stdout.String(), "canary-cookie") {
			t.Error("a cookie was logged")
		}
	})
	return running{serveEvents(t, f, gatewayEvent), []*cloudtest.Output{f.stdout, f.stderr}}
}

// invoked runs a program behind a Runtime API until the test ends.
func invoked(t *testing.T, path string, env []string) *function {
	t.Helper()
	api := newRuntimeAPI()
	runtime := httptest.NewServer(api)
	t.Cleanup(runtime.Close)
	t.Cleanup(api.close) // ends the pending request for an event
	env = append(env, "AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(runtime.URL, "http://"))
	stdout, stderr := run(t, path, env)
	f := &function{api, stdout, stderr}
	select {
	case <-api.asked:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not ask for events", path)
	}
	return f
}

// newIdentity starts an authority that issues tokens for the vault to a caller that proves its
// identity. It is in front of the cloud's own authority, so that it has the certificate that the
// program trusts. Faults of the cloud's authority do not affect it.
func newIdentity(t *testing.T, cloud *cloudtest.Cloud, proves func(form url.Values) bool) (address string) {
	t.Helper()
	base := cloud.AuthorityURL + "/adfs"
	otherwise := cloud.Entra.Before
	cloud.Entra.Before = func(w http.ResponseWriter, r *http.Request) bool {
		var answer map[string]any
		switch {
		case strings.HasPrefix(r.URL.Path, "/adfs/.well-known/"):
			answer = map[string]any{"issuer": base, "authorization_endpoint": base + "/oauth2/authorize", "token_endpoint": base + "/oauth2/token"}
		case r.URL.Path == "/adfs/oauth2/token" && r.ParseForm() == nil && proves(r.PostForm):
			answer = map[string]any{"access_token": "canary-identity-token", "token_type": "Bearer", "expires_in": 3600}
		default:
			return otherwise(w, r)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // fails when the caller is gone
		return true
	}
	cloud.Vault.Challenge = strings.Replace(cloud.Vault.Challenge, cloud.AuthorityURL+"/"+cloudtest.Tenant, base, 1)
	return cloud.AuthorityURL
}
