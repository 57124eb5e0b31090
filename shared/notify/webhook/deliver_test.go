package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/egress"
	"fhirlink/shared/egress/egresstest"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

// sink is a receiver at hooks.sink.test, behind real TLS and the guarded client.
type sink struct {
	mu       sync.Mutex
	received []received
	answer   http.HandlerFunc // nil: 204
}

type received struct {
	header http.Header
	target string
	body   string
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // after an error the body is incomplete, which fails the test
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	s.mu.Lock()
	s.received = append(s.received, received{r.Header.Clone(), r.Method + " " + r.Host + r.URL.RequestURI(), string(body)})
	s.mu.Unlock()
	if s.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.answer(w, r)
}

func (s *sink) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// connect returns a rig whose client reaches the sink, and a second receiver at
// elsewhere.sink.test.
func connect(t *testing.T, s, elsewhere http.Handler) *rig {
	t.Helper()
	network, err := egresstest.New("sink.test", map[string]http.Handler{"hooks.sink.test": s, "elsewhere.sink.test": elsewhere},
		map[string]egresstest.Dial{"untrusted.sink.test": nil})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(network.Certificate())
	client := egress.NewClient(egress.Options{Intercept: network.Intercept, RootCAs: roots})
	t.Cleanup(client.CloseIdleConnections)
	client.CheckRedirect = nil // the client's policy would follow redirects; the Service overrides it
	return newRig(func(d *webhook.Deps) { d.Client = client })
}

func event(id string) notify.Event {
	return notify.Event{
		ID: id, Type: notify.LinkBroken, Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Organization: contoso, Slug: "clinic", Message: "It is broken.",
	}
}

func (r *rig) deliver(t *testing.T, e webhook.Endpoint, id string) notify.Result {
	t.Helper()
	return r.Deliver(t.Context(), contoso, notify.Target{Channel: "webhook", ID: e.ID}, event(id))
}

// verify does what a receiver does. It is written from the specification, independently of the
// code under test.
func verify(t *testing.T, m received, key secret.Value) bool {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key.Reveal(), "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, raw)
	_, _ = io.WriteString(mac, m.header.Get("webhook-id")+"."+m.header.Get("webhook-timestamp")+"."+m.body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for one := range strings.SplitSeq(m.header.Get("webhook-signature"), " ") {
		if one == want {
			return true
		}
	}
	return false
}

func signatures(m received) int { return len(strings.Fields(m.header.Get("webhook-signature"))) }

func TestDeliver(t *testing.T) {
	s := &sink{}
	r := connect(t, s, nil)
	e, key := r.create(t, contoso)
	for range 2 {
		got := r.deliver(t, e, "msg_1")
		if want := (notify.Result{Outcome: notify.Delivered, Reason: "the endpoint answered 204"}); got != want {
			t.Fatalf("%+v", got)
		}
		r.now = r.now.Add(time.Minute)
	}
	body, err := event("msg_1").CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	all := s.all()
	for i, m := range all {
		if m.target != "POST hooks.sink.test/events?for=fhirlink" || m.body != string(body) || !verify(t, m, key) || signatures(m) != 1 {
			t.Errorf("attempt %d: %+v", i, m)
		}
		at := r.now.Add(time.Duration(i-2) * time.Minute).Unix()
		if m.header.Get("Content-Type") != "application/cloudevents+json" || m.header.Get("webhook-id") != "msg_1" || m.header.Get("webhook-timestamp") != strconv.FormatInt(at, 10) {
			t.Errorf("attempt %d: %v", i, m.header)
		}
		if len(m.header.Get("Authorization")+m.header.Get("Cookie")+m.header.Get("Referer")) > 0 {
			t.Errorf("attempt %d: %v", i, m.header)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d attempts", len(all))
	}
}

func TestDeliverSignsWithBothKeys(t *testing.T) {
	s := &sink{}
	r := connect(t, s, nil)
	e, first := r.create(t, contoso)
	e, second, err := r.Rotate(t.Context(), contoso, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after      time.Duration
		signatures int
	}{{0, 2}, {24*time.Hour - time.Second, 2}, {24 * time.Hour, 1}} {
		start := r.now
		r.now = start.Add(tt.after)
		r.deliver(t, e, "msg_1")
		r.now = start
		all := s.all()
		m := all[len(all)-1]
		if signatures(m) != tt.signatures || !verify(t, m, second) || verify(t, m, first) != (tt.signatures == 2) {
			t.Errorf("%v after: %v", tt.after, m.header)
		}
	}
}

func TestDeliverJudges(t *testing.T) {
	for _, tt := range []struct {
		status     int
		retryAfter string
		want       notify.Result
	}{
		{200, "", notify.Result{Outcome: notify.Delivered}},
		{202, "60", notify.Result{Outcome: notify.Delivered}},
		{204, "", notify.Result{Outcome: notify.Delivered}},
		{299, "", notify.Result{Outcome: notify.Delivered}},
		{300, "", notify.Result{Outcome: notify.Retry}},
		{304, "", notify.Result{Outcome: notify.Retry}},
		{400, "60", notify.Result{Outcome: notify.Retry}},
		{401, "", notify.Result{Outcome: notify.Retry}},
		{404, "", notify.Result{Outcome: notify.Retry}},
		{410, "", notify.Result{Outcome: notify.Gone}},
		{429, "60", notify.Result{Outcome: notify.Retry, RetryAfter: time.Minute}},
		{429, "", notify.Result{Outcome: notify.Retry}},
		{429, "-5", notify.Result{Outcome: notify.Retry}},
		{500, "60", notify.Result{Outcome: notify.Retry}},
		{503, "60", notify.Result{Outcome: notify.Retry, RetryAfter: time.Minute}},
		{503, "soon", notify.Result{Outcome: notify.Retry}},
		{599, "", notify.Result{Outcome: notify.Retry}},
	} {
		s := &sink{answer: func(w http.ResponseWriter, _ *http.Request) {
			if tt.retryAfter != "" {
				w.Header().Set("Retry-After", tt.retryAfter)
			}
			w.WriteHeader(tt.status)
			if tt.status >= 400 {
				_, _ = io.WriteString(w, "canary")
			}
		}}
		r := connect(t, s, nil)
		e, _ := r.create(t, contoso)
		got := r.deliver(t, e, "msg_1")
		if !strings.Contains(got.Reason, strconv.Itoa(tt.status)) || strings.Contains(got.Reason+r.log.String(), "canary") {
			t.Errorf("%d: %q", tt.status, got.Reason)
		}
		if got.Reason = ""; got != tt.want {
			t.Errorf("%d: %+v, want %+v", tt.status, got, tt.want)
		}
	}
}

func TestDeliverFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		elsewhere := &sink{}
		r := connect(t, &sink{answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.sink.test/", status)
		}}, elsewhere)
		e, _ := r.create(t, contoso)
		if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Retry || len(elsewhere.all()) > 0 {
			t.Errorf("%d: %+v, and %d requests went elsewhere", status, got, len(elsewhere.all()))
		}
	}
}

func TestGoneDisables(t *testing.T) {
	s := &sink{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }}
	r := connect(t, s, nil)
	e, _ := r.create(t, contoso)
	other, _ := r.create(t, contoso)
	if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Gone {
		t.Fatalf("%+v", got)
	}
	disabled, err := r.Get(t.Context(), contoso, e.ID)
	if err != nil || disabled.Enabled() || !disabled.DisabledAt.Equal(r.now) || !strings.Contains(disabled.DisabledReason, "410") {
		t.Errorf("%+v, %v", disabled, err)
	}
	if targets, err := r.Targets(t.Context(), contoso); err != nil || !reflect.DeepEqual(targets, []notify.Target{{Channel: "webhook", ID: other.ID}}) {
		t.Errorf("%v, %v", targets, err)
	}
	if got := r.deliver(t, e, "msg_2"); got.Outcome != notify.Gone || len(s.all()) != 1 {
		t.Errorf("%+v, %d requests", got, len(s.all()))
	}
	// A test may be sent to a disabled endpoint; its result changes nothing.
	if _, got, err := r.Test(t.Context(), contoso, e.ID); err != nil || got.Outcome != notify.Gone || len(s.all()) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	yes := true
	if _, err := r.Change(t.Context(), contoso, e.ID, webhook.Patch{Enabled: &yes}); err != nil {
		t.Fatal(err)
	}
	s.answer = nil
	if got := r.deliver(t, e, "msg_3"); got.Outcome != notify.Delivered {
		t.Errorf("%+v", got)
	}
}

// A 410 from the old address does not disable the endpoint with its new address.
func TestGoneOfAnOldAddress(t *testing.T) {
	var r *rig
	var e webhook.Endpoint
	s := &sink{answer: func(w http.ResponseWriter, req *http.Request) {
		address := "https://elsewhere.sink.test/"
		if _, err := r.Change(req.Context(), contoso, e.ID, webhook.Patch{URL: &address}); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusGone)
	}}
	r = connect(t, s, nil)
	e, _ = r.create(t, contoso)
	if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Gone {
		t.Errorf("%+v", got)
	}
	if changed, err := r.Get(t.Context(), contoso, e.ID); err != nil || !changed.Enabled() {
		t.Errorf("%+v, %v", changed, err)
	}
}

func TestTargets(t *testing.T) {
	r := newRig()
	if targets, err := r.Targets(t.Context(), contoso); err != nil || targets != nil {
		t.Errorf("%v, %v", targets, err)
	}
	e, _ := r.create(t, contoso)
	r.create(t, fabrikam)
	targets, err := r.Targets(t.Context(), contoso)
	if want := []notify.Target{{Channel: r.Name(), ID: e.ID}}; err != nil || !reflect.DeepEqual(targets, want) {
		t.Errorf("%v, %v", targets, err)
	}
	r.store.Fault = func(string, bool) error { return store.ErrUnavailable }
	if _, err := r.Targets(t.Context(), contoso); err == nil {
		t.Error("no error")
	}
}

// TestDeliverNowhere covers attempts that get no answer.
func TestDeliverNowhere(t *testing.T) {
	r := connect(t, &sink{}, nil)
	for host, reason := range map[string]string{
		"absent.sink.test": "does not exist", "untrusted.sink.test": "TLS",
	} {
		e, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: "https://" + host})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Retry || !strings.Contains(got.Reason, reason) || strings.Contains(got.Reason, host) {
			t.Errorf("%s: %+v", host, got)
		}
	}
	e, _ := r.create(t, contoso)
	for what, deliver := range map[string]func() notify.Result{
		"removed": func() notify.Result {
			return r.Deliver(t.Context(), fabrikam, notify.Target{Channel: "webhook", ID: e.ID}, event("msg_1"))
		},
		"cannot be written": func() notify.Result { return r.deliver(t, e, "not an id") },
	} {
		if got := deliver(); got.Outcome != notify.Gone || !strings.Contains(got.Reason, what) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// The guard of package egress applies to every name and every address.
func TestDeliverToPrivateAddresses(t *testing.T) {
	r := newRig(func(d *webhook.Deps) {
		d.AnyTarget = true // as with FHIRLINK_EGRESS_ALLOW, which does not list these addresses
		d.Client = egress.NewClient(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	})
	for _, address := range []string{
		"127.0.0.1", "127.0.0.1:8443", "localhost", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16",
		"[::1]", "[::]", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
	} {
		e, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: "https://" + address + "/latest/meta-data"})
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Retry || !strings.Contains(got.Reason, "not public") {
			t.Errorf("%s: %+v", address, got)
		}
		if err := r.Remove(t.Context(), contoso, e.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeliverTakesFifteenSeconds(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // a return would send an answer
		},
		"endless body, slowly": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ".")
				_ = http.NewResponseController(w).Flush() // it fails when the client has gone
				select {
				case <-r.Context().Done():
				case <-time.After(time.Second):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := connect(t, &sink{answer: answer}, nil)
				e, _ := r.create(t, contoso)
				start := time.Now()
				got := r.deliver(t, e, "msg_1")
				if took := time.Since(start); took != webhook.Timeout {
					t.Errorf("it took %v: %+v", took, got)
				}
				if delivered := got.Outcome == notify.Delivered; delivered != (name != "no answer") {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestDeliverReadsLittle(t *testing.T) {
	written := make(chan int, 1)
	r := connect(t, &sink{answer: func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for block := make([]byte, 64<<10); n < 64<<20; n += len(block) {
			if _, err := w.Write(block); err != nil {
				break
			}
		}
		written <- n
	}}, nil)
	e, _ := r.create(t, contoso)
	if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Delivered {
		t.Errorf("%+v", got)
	}
	if n := <-written; n > 1<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

func TestDeliverWithoutKeys(t *testing.T) {
	s := &sink{}
	r := connect(t, s, nil)
	e, _ := r.create(t, contoso)
	old := e.Keys[0].Version
	e, _, err := r.Rotate(t.Context(), contoso, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	disable := func(version string) {
		if err := r.vault.Update(t.Context(), e.SecretName, version, false, secret.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	r.vault.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
	if got := r.deliver(t, e, "msg_1"); got.Outcome != notify.Retry || !strings.Contains(got.Reason, "store of secrets") {
		t.Errorf("%+v", got)
	}
	r.vault.Fault = nil
	disable(old)
	if got := r.deliver(t, e, "msg_2"); got.Outcome != notify.Delivered || signatures(s.all()[0]) != 1 {
		t.Errorf("without the replaced key: %+v", got)
	}
	disable(e.Keys[0].Version)
	if got := r.deliver(t, e, "msg_3"); got.Outcome != notify.Retry || !strings.Contains(got.Reason, "rotate") || len(s.all()) != 1 {
		t.Errorf("without any key: %+v", got)
	}
	r.store.Fault = func(string, bool) error { return fmt.Errorf("%w: canary", store.ErrUnavailable) }
	if got := r.deliver(t, e, "msg_4"); got.Outcome != notify.Retry || strings.Contains(got.Reason, "canary") {
		t.Errorf("without the table: %+v", got)
	}
}

func TestTest(t *testing.T) {
	s := &sink{}
	r := connect(t, s, nil)
	e, key := r.create(t, contoso)
	seen := map[string]bool{}
	for range 2 {
		sent, got, err := r.Test(t.Context(), contoso, e.ID)
		if err != nil || got.Outcome != notify.Delivered || sent.Type != notify.WebhookTest || seen[sent.ID] {
			t.Errorf("%+v, %+v, %v", sent, got, err)
		}
		seen[sent.ID] = true
		all := s.all()
		m := all[len(all)-1]
		if !verify(t, m, key) || m.header.Get("webhook-id") != sent.ID || !strings.Contains(m.body, `"type":"fhirlink.webhook.test"`) {
			t.Errorf("%+v", m)
		}
	}
	if strings.Contains(r.log.String(), key.Reveal()) {
		t.Error("the key is in the log")
	}
}
