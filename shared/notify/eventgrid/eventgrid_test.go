package eventgrid_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"fhirlink/shared/notify"
	"fhirlink/shared/notify/eventgrid"
)

const organization = "11111111-1111-4111-8111-111111111111"

// credential issues a token, or fails.
type credential struct{ err error }

func (c credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token-for-" + strings.Join(o.Scopes, ","), ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

func event() notify.Event {
	return notify.Event{ID: "msg_1", Type: notify.LinkBroken, Time: time.Now(), Organization: organization, Slug: "clinic", Message: "It is broken."}
}

// publish sends an event to a topic that gives this answer.
func publish(t *testing.T, c credential, e notify.Event, answer http.HandlerFunc) notify.Result {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	defer server.Close()
	topic, err := eventgrid.New(server.URL+"/api/events", c, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	targets, err := topic.Targets(t.Context(), organization)
	if err != nil || len(targets) != 1 || targets[0].Channel != topic.Name() {
		t.Fatalf("%v, %v", targets, err)
	}
	return topic.Deliver(t.Context(), organization, targets[0], e)
}

func TestDeliver(t *testing.T) {
	e := event()
	want, err := e.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	got := publish(t, credential{}, e, func(_ http.ResponseWriter, r *http.Request) {
		requests++
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != string(want) || r.Method != "POST" || r.URL.RequestURI() != "/api/events?api-version=2018-01-01" {
			t.Errorf("%s %s %s, %v", r.Method, r.URL, body, err)
		}
		if r.Header.Get("Authorization") != "Bearer token-for-https://eventgrid.azure.net/.default" || r.Header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" {
			t.Errorf("%v", r.Header)
		}
	})
	if got.Outcome != notify.Delivered || requests != 1 {
		t.Errorf("%+v, %d requests", got, requests)
	}
}

func TestDeliverJudges(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   notify.Outcome
		after  time.Duration
		hint   string
	}{
		{200, notify.Delivered, 0, ""},
		{302, notify.Retry, 0, ""},
		{400, notify.Retry, 0, "CloudEvents 1.0"},
		{401, notify.Retry, 0, "tenant"},
		{403, notify.Retry, 0, "EventGrid Data Sender"},
		{404, notify.Retry, 0, "endpoint"},
		{413, notify.Gone, 0, ""},
		{429, notify.Retry, time.Minute, ""},
		{500, notify.Retry, 0, ""},
		{503, notify.Retry, time.Minute, ""},
	} {
		requests := 0
		got := publish(t, credential{}, event(), func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header().Set("Retry-After", "60")
			w.Header().Set("Location", "https://canary.example/")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, `{"error":{"code":"canary","message":"canary"}}`)
		})
		if got.Outcome != tt.want || got.RetryAfter != tt.after || !strings.Contains(got.Reason, strconv.Itoa(tt.status)) || !strings.Contains(got.Reason, tt.hint) {
			t.Errorf("%d: %+v", tt.status, got)
		}
		if strings.Contains(got.Reason, "canary") || requests != 1 {
			t.Errorf("%d: %d requests, %q", tt.status, requests, got.Reason)
		}
	}
}

func TestDeliverWithoutAnswer(t *testing.T) {
	got := publish(t, credential{errors.New("canary")}, event(), func(http.ResponseWriter, *http.Request) { t.Error("a request without a token") })
	if got.Outcome != notify.Retry || !strings.Contains(got.Reason, "token") || strings.Contains(got.Reason, "canary") {
		t.Errorf("%+v", got)
	}
	got = publish(t, credential{}, event(), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if got.Outcome != notify.Retry || strings.Contains(got.Reason, "127.0.0.1") {
		t.Errorf("%+v", got)
	}
	bad := event()
	bad.ID = ""
	if got := publish(t, credential{}, bad, func(http.ResponseWriter, *http.Request) { t.Error("it is sent") }); got.Outcome != notify.Gone {
		t.Errorf("%+v", got)
	}
	topic, err := eventgrid.New("https://topic.example", credential{}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := topic.Deliver(ctx, organization, notify.Target{}, event()); got.Outcome != notify.Retry || !strings.Contains(got.Reason, "in time") {
		t.Errorf("%+v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, endpoint := range []string{"", "topic", "http://topic.example/api/events", "https://", "https://user:canary@topic.example", "https://topic.example/?aeg-sas-key=canary", "https://topic.example/#a", "https://canary\x00"} {
		if _, err := eventgrid.New(endpoint, credential{}, http.DefaultClient); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
