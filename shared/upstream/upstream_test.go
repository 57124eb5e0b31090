package upstream_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/upstream"
)

// notes returns the calls and failed calls noted on the work, as text.
func notes(w *eventlog.Work) (calls, failed string) {
	for _, a := range w.Notes() {
		switch a.Key {
		case "calls":
			calls = a.Value.String()
		case "failedCalls":
			failed = a.Value.String()
		}
	}
	return calls, failed
}

func TestClient(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	for _, tt := range []struct {
		status    int
		failed    string
		reachable bool
	}{
		{http.StatusOK, "[]", true},
		{http.StatusUnauthorized, "[]", true},
		{http.StatusNotFound, "[]", true},
		{http.StatusForbidden, "[vault=1]", false},
		{http.StatusTooManyRequests, "[vault=1]", true},
		{http.StatusBadGateway, "[vault=1]", false},
		{http.StatusServiceUnavailable, "[vault=1]", false},
	} {
		status = tt.status
		var watch upstream.Watch
		client := watch.Client(upstream.Vault, server.Client())
		ctx, work := eventlog.Start(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		calls, failed := notes(work)
		if failed == "" {
			failed = "[]"
		}
		if calls != "[vault=1]" || failed != tt.failed {
			t.Errorf("%d: calls %s, failed %s", tt.status, calls, failed)
		}
		if got := watch.Reachable(); !maps.Equal(got, map[string]bool{"vault": tt.reachable}) {
			t.Errorf("%d: reachable %v", tt.status, got)
		}
	}
}

func TestClientThatGetsNoAnswer(t *testing.T) {
	server := httptest.NewServer(nil)
	url := server.URL
	server.Close()
	var watch upstream.Watch
	ctx, work := eventlog.Start(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := watch.Client(upstream.Entra, http.DefaultClient).Do(r); err == nil {
		_ = answer.Body.Close()
		t.Fatal("a closed server answered")
	}
	if calls, failed := notes(work); calls != "[entra=1]" || failed != "[entra=1]" {
		t.Errorf("calls %s, failed %s", calls, failed)
	}
	if got := watch.Reachable(); !maps.Equal(got, map[string]bool{"entra": false}) {
		t.Errorf("reachable %v", got)
	}
}

func TestReachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watch upstream.Watch
		call := func(ctx context.Context, s upstream.Service, status int, err error) {
			watch.Called(ctx, s, "host", time.Now(), status, err)
		}
		want := func(known map[string]bool) {
			t.Helper()
			if got := watch.Reachable(); !maps.Equal(got, known) {
				t.Errorf("reachable %v, want %v", got, known)
			}
		}
		want(map[string]bool{})
		call(t.Context(), upstream.Table, 200, nil)
		call(t.Context(), upstream.Entra, 403, nil) // concerns the link that it was made for
		want(map[string]bool{"entra": true, "table": true})
		call(t.Context(), upstream.FHIR, 200, nil) // one clinic's server says nothing about this program
		want(map[string]bool{"entra": true, "table": true})
		gone, leave := context.WithCancel(t.Context())
		leave()
		call(gone, upstream.Table, 0, context.Canceled) // nor does a client that left
		want(map[string]bool{"entra": true, "table": true})
		time.Sleep(9 * time.Minute)
		call(t.Context(), upstream.Vault, 0, errors.New("no answer"))
		want(map[string]bool{"entra": true, "table": true, "vault": false})
		time.Sleep(2 * time.Minute)
		want(map[string]bool{"vault": false})
	})
}

// If there are several vaults, each one counts, regardless of which was called last.
func TestReachableOfSeveralVaults(t *testing.T) {
	var watch upstream.Watch
	for _, tt := range []struct {
		host string
		err  error
		want bool
	}{
		{"a.vault.azure.net", nil, true},
		{"b.vault.azure.net", errors.New("no answer"), false},
		{"a.vault.azure.net", nil, false},
		{"b.vault.azure.net", nil, true},
	} {
		watch.Called(t.Context(), upstream.Vault, tt.host, time.Now(), 200, tt.err)
		if got := watch.Reachable(); got["vault"] != tt.want || len(got) != 1 {
			t.Errorf("after %s, %v: %v", tt.host, tt.err, got)
		}
	}
}

// A call that its caller abandoned has not failed.
func TestCallOfAClientThatLeft(t *testing.T) {
	var watch upstream.Watch
	ctx, work := eventlog.Start(t.Context())
	ctx, leave := context.WithCancel(ctx)
	leave()
	watch.Called(ctx, upstream.Vault, "host", time.Now(), 0, context.Canceled)
	if calls, failed := notes(work); calls != "[vault=1]" || failed != "[]" && failed != "" {
		t.Errorf("calls %s, failed %s", calls, failed)
	}
}
