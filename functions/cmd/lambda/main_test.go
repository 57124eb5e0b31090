package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/awslambda"
	"fhirlink/shared/config"
	"fhirlink/shared/eventlog"
)

// set sets environment variables, because azidentity reads its settings there.
func set(t *testing.T, settings map[string]string) {
	t.Helper()
	for name, value := range settings {
		t.Setenv(name, value)
	}
}

func good(t *testing.T) {
	set(t, map[string]string{
		config.KeyVaultURL: "b=https://fabrikam.vault.azure.net,https://contoso.vault.azure.net", config.TableEndpoint: "https://contoso.table.core.windows.net",
		config.APIAudience: "66666666-6666-4666-8666-666666666666", config.AllowedTenants: "*",
		"AZURE_TENANT_ID": "11111111-1111-4111-8111-111111111111", "AZURE_CLIENT_ID": "22222222-2222-4222-8222-222222222222",
		"AZURE_CLIENT_SECRET": "canary", "AZURE_FEDERATED_TOKEN_FILE": "",
	})
}

func TestAnswersAFunctionURL(t *testing.T) {
	good(t)
	h, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for event, want := range map[string]string{
		`{"version":"2.0","rawPath":"/api/health","requestContext":{"stage":"$default","http":{"method":"GET"}}}`:                                 `"statusCode":200`,
		`{"version":"2.0","rawPath":"/api/links","requestContext":{"stage":"$default","http":{"method":"GET"}}}`:                                  `"statusCode":401`,
		`{"version":"2.0","rawPath":"/secret-expiry","requestContext":{"stage":"$default","http":{"method":"POST"}}}`:                             `"statusCode":404`,
		`{"version":"2.0","rawPath":"/api/health","headers":{"x-local-organization":"x"},"requestContext":{"http":{"method":"GET"}}}`:             `\"program\":\"lambda\"`,
		`{"version":"2.0","rawPath":"/api/translate-scope","rawQueryString":"scope=launch%2Fpatient","requestContext":{"http":{"method":"GET"}}}`: `launch-patient`,
	} {
		answer, err := h.Invoke(t.Context(), json.RawMessage(event))
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(answer)
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s\ngave %s (%v)", event, data, err)
		}
	}
}

// flushed records whether time was left to write the log.
type flushed struct{ err error }

func (f *flushed) Flush(ctx context.Context) error {
	f.err = ctx.Err()
	return f.err
}

// An invocation that runs out of time still answers, and still writes its lines.
func TestOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &flushed{err: errors.New("never flushed")}
		var left time.Duration
		handler := awslambda.Handler{HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
		})}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		deadline, _ := ctx.Deadline()
		answer, err := invocations(handler, out)(ctx, json.RawMessage(`{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}}}`))
		left = time.Until(deadline)
		if text, _ := json.Marshal(answer); err != nil || !strings.Contains(string(text), `"statusCode":503`) || left <= 0 {
			t.Errorf("%s, %v, with %v left", text, err, left)
		}
		if out.err != nil {
			t.Errorf("the log was not written: %v", out.err)
		}
	})
}

// The log identifies an invocation by Lambda's request id and X-Ray's trace.
func TestWork(t *testing.T) {
	if w := work(t.Context()); w.Invocation != "" || w.Trace.ID != "" {
		t.Errorf("outside of Lambda: %+v", w)
	}
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd"})
	//lint:ignore SA1029 the key is aws-lambda-go's
	ctx = context.WithValue(ctx, traceKey, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
	want := eventlog.Trace{ID: "5759e988bd862e3fe1be46a994272793", Parent: "53995c3f42cd8ad8"}
	if w := work(ctx); w.Invocation != "8476a536-e9f4-11e8-9739-2dfe598c3fcd" || w.Trace != want {
		t.Errorf("%+v", w)
	}
}

func TestWrongSettings(t *testing.T) {
	good(t)
	set(t, map[string]string{config.KeyVaultURL: "canary", config.AllowedTenants: ""})
	_, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), config.KeyVaultURL) || !strings.Contains(err.Error(), config.AllowedTenants) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

// One failed start names every missing setting, azidentity's included.
func TestMissingSettings(t *testing.T) {
	_, err := newHandler(func(string) (string, bool) { return "", false }, slog.New(slog.DiscardHandler))
	for _, name := range []string{
		config.KeyVaultURL, config.TableEndpoint, config.APIAudience, config.AllowedTenants,
		"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH",
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

// Running work ends before Lambda's deadline, so that the caller still gets an answer.
func TestInTime(t *testing.T) {
	for left, margin := range map[time.Duration]time.Duration{60 * time.Second: 500 * time.Millisecond, 3 * time.Second: 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			outer, cancel := context.WithTimeout(t.Context(), left)
			defer cancel()
			ctx, end := inTime(outer)
			defer end()
			<-ctx.Done()
			if took := time.Since(start); took != left-margin {
				t.Errorf("of %v it took %v", left, took)
			}
		})
	}
	ctx, end := inTime(t.Context())
	if end(); ctx.Err() == nil {
		t.Error("without a deadline it does not end")
	}
}

// The program's own credential is sent to the configured authority, which may be a national
// cloud's.
func TestCloudOf(t *testing.T) {
	const authority = "https://login.microsoftonline.us/"
	if got := cloudOf(func(string) (string, bool) { return "", false }, authority); got.ActiveDirectoryAuthorityHost != authority {
		t.Errorf("%+v", got)
	}
	if got := cloudOf(func(name string) (string, bool) { return "https://login.example/", name == authorityHost }, authority); got.ActiveDirectoryAuthorityHost != "" {
		t.Errorf("azidentity's own setting is ignored: %+v", got)
	}
}

func TestIdentity(t *testing.T) {
	good(t)
	set(t, map[string]string{"AZURE_CLIENT_SECRET": ""})
	_, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler))
	for _, way := range []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"} {
		if err == nil || !strings.Contains(err.Error(), way) {
			t.Errorf("no identity: %v", err)
		}
	}
	set(t, map[string]string{"AZURE_FEDERATED_TOKEN_FILE": t.TempDir() + "/token"})
	if _, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("federated token: %v", err)
	}
}

// TestREADMESettings: the settings.json in infra/aws/README.md is all that the program needs.
// All of it is needed, except the operator's tenant.
func TestREADMESettings(t *testing.T) {
	good(t)
	t.Setenv(config.OperatorTenant, "99999999-2222-4222-8222-222222222222")
	needed := []string{
		"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID",
		config.AllowedTenants, config.APIAudience, config.KeyVaultURL, config.TableEndpoint,
	}
	if got, want := readmeSettings(t), slices.Sorted(slices.Values(append([]string{config.OperatorTenant}, needed...))); !slices.Equal(got, want) {
		t.Errorf("infra/aws/README.md gives %q, want %q", got, want)
	}
	if _, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
	for _, name := range needed {
		t.Run("without "+name, func(t *testing.T) {
			t.Setenv(name, "")
			if _, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// readmeSettings returns the names in the settings.json that infra/aws/README.md writes.
func readmeSettings(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../../infra/aws/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "cat >settings.json) <<END\n")
	text, _, _ := strings.Cut(rest, "END\n")
	var file struct{ Variables map[string]string }
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return slices.Sorted(maps.Keys(file.Variables))
}

// No request ends the program, and none fails as an invocation.
func TestSurvivesPanics(t *testing.T) {
	good(t)
	h, err := newHandler(os.LookupEnv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.HTTP = cloudtest.BrokenBodies(h.HTTP)
	cloudtest.SurvivesPanics(t, func(method, path string, header http.Header) int {
		t.Helper()
		lines := map[string]string{}
		for name := range header {
			lines[name] = header.Get(name)
		}
		event, err := json.Marshal(map[string]any{
			"version": "2.0", "rawPath": path, "headers": lines, "body": "{}", "requestContext": map[string]any{"http": map[string]any{"method": method}},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := h.Invoke(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ StatusCode int }
		if data, err := json.Marshal(answer); err != nil || json.Unmarshal(data, &got) != nil {
			t.Fatalf("%s, %v", data, err)
		}
		return got.StatusCode
	})
}
