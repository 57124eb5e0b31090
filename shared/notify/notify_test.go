package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/notify"
)

const organization = "11111111-1111-4111-8111-111111111111"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.FixedZone("", -5*60*60))

func full() notify.Event {
	days, threshold := 7, 14
	return notify.Event{
		ID: "msg_1", Type: notify.SecretExpiring, Time: noon, Organization: organization, Slug: "clinic", Description: "Good Health <Clinic>",
		Status: "active", SecretState: "expiring", ExpiresOn: "2026-11-30", DaysLeft: &days, Threshold: &threshold,
		Code: "secret_expiring", Message: "The client secret ends soon.", Fix: "Create a new one.",
	}
}

func TestCloudEvent(t *testing.T) {
	unknown := full()
	unknown.ExpiresOn, unknown.DaysLeft, unknown.Threshold, unknown.SecretState = "", nil, nil, "unknown"
	test := notify.Event{ID: "msg_1", Type: notify.WebhookTest, Time: noon, Organization: organization, Message: "A test."}
	const head = `{"specversion":"1.0","id":"msg_1","source":"urn:fhirlink:organization:` + organization + `","type":`
	const tail = `"time":"2026-11-23T17:00:00.123Z","datacontenttype":"application/json","data":{"organization":"` + organization + `",`
	for _, tt := range []struct {
		name  string
		event notify.Event
		want  string
	}{
		{"full", full(), head + `"fhirlink.secret.expiring","subject":"clinic",` + tail + `"slug":"clinic","description":"Good Health \u003cClinic\u003e","status":"active",` +
			`"secret":{"expiresOn":"2026-11-30","daysLeft":7,"state":"expiring","threshold":14},"code":"secret_expiring","message":"The client secret ends soon.","fix":"Create a new one."}}`},
		{"no date", unknown, head + `"fhirlink.secret.expiring","subject":"clinic",` + tail + `"slug":"clinic","description":"Good Health \u003cClinic\u003e","status":"active",` +
			`"secret":{"expiresOn":null,"daysLeft":null,"state":"unknown"},"code":"secret_expiring","message":"The client secret ends soon.","fix":"Create a new one."}}`},
		{"test", test, head + `"fhirlink.webhook.test",` + tail + `"message":"A test."}}`},
	} {
		got, err := tt.event.CloudEvent()
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
}

func TestCloudEventRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*notify.Event){
		"no id":           func(e *notify.Event) { e.ID = "" },
		"line break":      func(e *notify.Event) { e.ID = "a\r\nX: y" },
		"dot":             func(e *notify.Event) { e.ID = "a.b" },
		"long id":         func(e *notify.Event) { e.ID = strings.Repeat("a", 65) },
		"no type":         func(e *notify.Event) { e.Type = "" },
		"no time":         func(e *notify.Event) { e.Time = time.Time{} },
		"no organization": func(e *notify.Event) { e.Organization = "" },
	} {
		e := full()
		spoil(&e)
		if got, err := e.CloudEvent(); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A ledger keeps events as JSON.
func TestEventKeepsThroughJSON(t *testing.T) {
	e := full()
	e.Time = e.Time.UTC()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var again notify.Event
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(e, again) {
		t.Errorf("%v\n%+v\n%+v", err, e, again)
	}
}

func TestID(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"a", "b"}, {"ab"}, {"b", "a"}} {
		id := notify.ID(parts...)
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the same id", parts, other)
		}
		seen[id] = parts
		e := full()
		e.ID = id
		if _, err := e.CloudEvent(); err != nil || notify.ID(parts...) != id {
			t.Errorf("%q: %s, %v", parts, id, err)
		}
	}
}

func TestNextAttempt(t *testing.T) {
	var total time.Duration
	n := 0
	for ; ; n++ {
		wait, ok := notify.NextAttempt(n)
		if !ok {
			break
		}
		if total += wait; n == 1 && wait != 5*time.Second {
			t.Errorf("the second attempt is %v after the first", wait)
		}
	}
	if n != 10 || total != 75*time.Hour+35*time.Minute+5*time.Second {
		t.Errorf("%d attempts over %v", n, total)
	}
	if _, ok := notify.NextAttempt(-1); ok {
		t.Error("NextAttempt(-1) returns an attempt")
	}
}

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		result   notify.Result
		attempts int
		wait     time.Duration
		ok       bool
	}{
		{notify.Result{Outcome: notify.Delivered}, 1, 0, false},
		{notify.Result{Outcome: notify.Gone}, 1, 0, false},
		{notify.Result{}, 1, 0, false},
		{notify.Result{Outcome: notify.Retry}, 1, 5 * time.Second, true},
		{notify.Result{Outcome: notify.Retry, RetryAfter: time.Second}, 2, 5 * time.Minute, true},
		{notify.Result{Outcome: notify.Retry, RetryAfter: time.Hour}, 2, time.Hour, true},
		{notify.Result{Outcome: notify.Retry, RetryAfter: 1000 * time.Hour}, 2, 24 * time.Hour, true},
		{notify.Result{Outcome: notify.Retry}, 9, 24 * time.Hour, true},
		{notify.Result{Outcome: notify.Retry, RetryAfter: time.Hour}, 10, 0, false},
	} {
		if wait, ok := tt.result.Next(tt.attempts); wait != tt.wait || ok != tt.ok {
			t.Errorf("%+v after %d: %v, %v", tt.result, tt.attempts, wait, ok)
		}
	}
}

// channel has one target, which is its name.
type channel struct {
	name string
	err  error
}

func (c channel) Name() string { return c.name }

func (c channel) Targets(context.Context, string) ([]notify.Target, error) {
	return []notify.Target{{Channel: c.name, ID: "1"}}, c.err
}

func (c channel) Deliver(_ context.Context, organization string, t notify.Target, e notify.Event) notify.Result {
	return notify.Result{Outcome: notify.Delivered, Reason: strings.Join([]string{organization, t.String(), e.ID}, " ")}
}

func TestChannels(t *testing.T) {
	var all notify.Channel = notify.Channels{channel{name: "a"}, channel{name: "b"}}
	targets, err := all.Targets(t.Context(), "o")
	if want := []notify.Target{{Channel: "a", ID: "1"}, {Channel: "b", ID: "1"}}; err != nil || !reflect.DeepEqual(targets, want) {
		t.Errorf("%v, %v", targets, err)
	}
	if got := all.Deliver(t.Context(), "o", targets[1], full()); got.Outcome != notify.Delivered || got.Reason != "o b/1 msg_1" {
		t.Errorf("%+v", got)
	}
	if got := all.Deliver(t.Context(), "o", notify.Target{Channel: "c", ID: "1"}, full()); got.Outcome != notify.Gone {
		t.Errorf("%+v", got)
	}
	failed := errors.New("no")
	if targets, err := (notify.Channels{channel{name: "a"}, channel{"b", failed}}).Targets(t.Context(), "o"); !errors.Is(err, failed) || targets != nil {
		t.Errorf("%v, %v", targets, err)
	}
}

func TestOutcome(t *testing.T) {
	for o, want := range map[notify.Outcome]string{notify.Delivered: "delivered", notify.Retry: "retry", notify.Gone: "gone", 0: "unknown"} {
		if o.String() != want {
			t.Errorf("%d: %s", o, o)
		}
	}
}
