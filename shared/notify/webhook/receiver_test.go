package webhook_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/secret"
)

// TestReceiverVerifies lets a receiver verify events over TLS and the guarded client. The
// receiver is the reference library of Standard Webhooks under `.ci/receivers go test`, otherwise
// the one of these tests.
func TestReceiverVerifies(t *testing.T) {
	receiver := newReceiver(t)
	var trusts secret.Value // the key that the receiver uses
	r := connect(t, &sink{answer: func(w http.ResponseWriter, req *http.Request) {
		req.Header.Set("Test-Key", trusts.Reveal())
		receiver.ServeHTTP(w, req)
	}}, nil)
	now := r.now
	verifies := func(e webhook.Endpoint, key secret.Value) bool {
		t.Helper()
		trusts = key
		_, result, err := r.Test(t.Context(), contoso, e.ID)
		if err != nil || result.Outcome != notify.Delivered && !strings.HasSuffix(result.Reason, "answered 400") {
			t.Fatalf("%+v, %v", result, err)
		}
		return result.Outcome == notify.Delivered
	}
	e, first := r.create(t, contoso)
	other, others := r.create(t, contoso)
	if !verifies(e, first) || !verifies(other, others) || verifies(e, others) {
		t.Error("before the key is replaced: each endpoint must sign with its own key")
	}
	_, second, err := r.Rotate(t.Context(), contoso, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, third, err := r.Rotate(t.Context(), contoso, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !verifies(e, first) || !verifies(e, second) || !verifies(e, third) || verifies(e, others) {
		t.Error("while keys overlap: every key of the endpoint must verify, and no other key")
	}
	r.now = now.Add(-10 * time.Minute)
	if verifies(e, third) {
		t.Error("a receiver accepts what was signed ten minutes ago")
	}

	// A day passes: the endpoint was created a day ago.
	r.now = now.Add(-webhook.Overlap - time.Minute)
	e, first = r.create(t, contoso)
	if _, second, err = r.Rotate(t.Context(), contoso, e.ID); err != nil {
		t.Fatal(err)
	}
	r.now = now
	if verifies(e, first) || !verifies(e, second) {
		t.Error("after the overlap: only the new key must verify")
	}
}

// newReceiver answers 204 if the signature matches the key in the header test-key, and 400
// otherwise.
func newReceiver(t *testing.T) http.Handler {
	t.Helper()
	folder := os.Getenv("RECEIVERS")
	if folder == "" {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { receive(t, w, r) })
	}
	port := start(t, filepath.Join(folder, "webhook-receiver.js"))
	t.Log("the receiver is the reference library of Standard Webhooks")
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "127.0.0.1:" + port})
}

// start runs a script of Node.js until the test ends, and returns the port that it prints.
func start(t *testing.T, script string) (port string) {
	t.Helper()
	cmd := exec.Command("node", script)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // this ends the script
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, &stderr)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, &stderr)
	}
	return strings.TrimSpace(line)
}

// receive does what the script does, with the checks of verify.
func receive(t *testing.T, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	var event struct{ SpecVersion, ID string }
	at, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
	fresh := err == nil && math.Abs(time.Since(time.Unix(at, 0)).Minutes()) <= 5
	named := json.Unmarshal(body, &event) == nil && event.SpecVersion == "1.0" && event.ID == r.Header.Get("webhook-id")
	if !fresh || !named || !verify(t, received{r.Header, "", string(body)}, secret.New(r.Header.Get("test-key"))) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
