package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
)

// TestLastDelivery: an endpoint says how the last attempt ended, and what its receiver answered.
func TestLastDelivery(t *testing.T) {
	status := 0
	s := &sink{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }}
	r := connect(t, s, nil)
	e, _ := r.create(t, contoso)
	if e.LastDelivery != nil {
		t.Errorf("before the first delivery: %+v", e.LastDelivery)
	}
	last := func() webhook.Delivery {
		t.Helper()
		got, err := r.Get(t.Context(), contoso, e.ID)
		if err != nil || got.LastDelivery == nil {
			t.Fatalf("%+v, %v", got, err)
		}
		return *got.LastDelivery
	}
	for _, step := range []struct {
		status int
		want   webhook.Heard
		reason string
	}{
		{204, webhook.HeardDelivered, "the endpoint answered 204"},
		{500, webhook.HeardRefused, "the endpoint answered 500"},
		{302, webhook.HeardRefused, "the endpoint answered 302, and redirects are not followed"},
		{410, webhook.HeardRefused, "the endpoint answered 410"},
	} {
		status = step.status
		r.deliver(t, e, "msg_1")
		if got := last(); got != (webhook.Delivery{At: r.now, Type: notify.LinkBroken, Outcome: step.want, Reason: step.reason}) {
			t.Errorf("%d: %+v", step.status, got)
		}
		r.now = r.now.Add(time.Second)
	}
	if got, err := r.Get(t.Context(), contoso, e.ID); err != nil || got.Enabled() {
		t.Errorf("after 410: %+v, %v", got, err)
	}

	other, err := r.Change(t.Context(), contoso, e.ID, webhook.Patch{URL: ptr("https://untrusted.sink.test/"), Enabled: ptr(true)})
	if err != nil {
		t.Fatal(err)
	}
	r.deliver(t, other, "msg_2")
	if got := last(); got.Outcome != webhook.HeardUnreachable || got.Reason == "" {
		t.Errorf("unreachable: %+v", got)
	}
}

// TestLastDeliveryIsQuiet: a burst of events that end alike writes the row once a minute.
func TestLastDeliveryIsQuiet(t *testing.T) {
	r := connect(t, &sink{}, nil)
	e, _ := r.create(t, contoso)
	writes := 0
	r.store.Fault = func(op string, before bool) error {
		if op == "Update" && before {
			writes++
		}
		return nil
	}
	for range 61 {
		r.deliver(t, e, "msg_1")
		r.now = r.now.Add(time.Second)
	}
	if writes != 2 {
		t.Errorf("%d writes in 61 seconds, want 2", writes)
	}
}

// TestLastDeliveryOfAnotherAddress: what an old address answered is not written once it was changed.
func TestLastDeliveryOfAnotherAddress(t *testing.T) {
	var r *rig
	var e webhook.Endpoint
	r = connect(t, &sink{answer: func(w http.ResponseWriter, _ *http.Request) {
		if _, err := r.Change(t.Context(), contoso, e.ID, webhook.Patch{URL: ptr("https://elsewhere.sink.test/")}); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusGone)
	}}, nil)
	e, _ = r.create(t, contoso)
	r.deliver(t, e, "msg_1")
	if got, err := r.Get(t.Context(), contoso, e.ID); err != nil || got.LastDelivery != nil || !got.Enabled() {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLastDeliveryIsTheLast: attempts may end in another order than they began; a new address has had
// none; and a test is always shown.
func TestLastDeliveryIsTheLast(t *testing.T) {
	var r *rig
	var e webhook.Endpoint
	inner := true
	r = connect(t, &sink{answer: func(w http.ResponseWriter, _ *http.Request) {
		if inner { // a later attempt, which ends first
			inner = false
			began := r.now
			r.now = began.Add(5 * time.Second)
			r.deliver(t, e, "msg_2")
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}}, nil)
	e, _ = r.create(t, contoso)
	r.deliver(t, e, "msg_1")
	if got, err := r.Get(t.Context(), contoso, e.ID); err != nil || got.LastDelivery.Outcome != webhook.HeardDelivered {
		t.Errorf("the earlier attempt, which ended last, is shown: %+v, %v", got.LastDelivery, err)
	}
	for range 2 {
		r.now = r.now.Add(time.Second)
		if _, _, err := r.Test(t.Context(), contoso, e.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Get(t.Context(), contoso, e.ID); err != nil || !got.LastDelivery.At.Equal(r.now) {
			t.Errorf("the test is not shown: %+v, %v", got.LastDelivery, err)
		}
	}
	if got, err := r.Change(t.Context(), contoso, e.ID, webhook.Patch{URL: ptr("https://elsewhere.sink.test/")}); err != nil || got.LastDelivery != nil {
		t.Errorf("a new address has had no delivery: %+v, %v", got.LastDelivery, err)
	}
}

func ptr[T any](v T) *T { return &v }
