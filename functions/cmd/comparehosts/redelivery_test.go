package comparehosts_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
)

// TestDeliveredAgain: a host delivers a DELETE again, up to 40 times, while the handler does the
// work but its answer is lost. The last delivery is answered as the first one would have been, and
// the link was deleted once.
func TestDeliveredAgain(t *testing.T) {
	cloudtest.LinuxOnly(t)
	for _, tt := range []struct {
		name, setting string
		deliveries    int
	}{
		{"proxying", "", 40},
		{"forwarding", "AzureFunctionsJobHost__customHandler__enableProxyingHttpRequest=false", 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			call, deliveries := startLossy(t, tt.setting, tt.deliveries-1)
			etag, _ := call("POST", "/api/register", "lossy-a", http.StatusCreated)
			call("DELETE", "/api/links/lossy-a", etag, http.StatusNoContent)
			if n := deliveries(); n != tt.deliveries {
				t.Errorf("answered after %d deliveries, want %d", n, tt.deliveries)
			}
			call("GET", "/api/links/lossy-a", "", http.StatusNotFound)
			if _, trail := call("GET", "/api/links/lossy-a/events", "", http.StatusOK); strings.Count(trail, `"action":"delete"`) != 1 {
				t.Errorf("the link was not deleted once: %s", trail)
			}
		})
		t.Run(tt.name+", a webhook", func(t *testing.T) {
			t.Parallel()
			call, deliveries := startLossy(t, tt.setting, tt.deliveries-1)
			_, made := call("POST", "/api/webhooks", `{"url":"https://receiver.example/"}`, http.StatusCreated)
			var webhook struct{ ID string }
			if err := json.Unmarshal([]byte(made), &webhook); err != nil {
				t.Fatal(err)
			}
			call("DELETE", "/api/webhooks/"+webhook.ID, "", http.StatusNoContent)
			if n := deliveries(); n != tt.deliveries {
				t.Errorf("answered after %d deliveries, want %d", n, tt.deliveries)
			}
		})
		t.Run(tt.name+", no answer at all", func(t *testing.T) {
			t.Parallel()
			call, deliveries := startLossy(t, tt.setting, tt.deliveries)
			etag, _ := call("POST", "/api/register", "lossy-b", http.StatusCreated)
			if _, body := call("DELETE", "/api/links/lossy-b", etag, http.StatusInternalServerError); body != "" || deliveries() != tt.deliveries {
				t.Errorf("%q after %d deliveries", body, deliveries())
			}
			call("DELETE", "/api/links/lossy-b", etag, http.StatusNoContent) // the client tries again
		})
	}
}

// startLossy starts the program behind a host and loses its first answers to DELETE. call sends a
// request and returns the answer's ETag and body. POST sends an object, or the registration of a
// slug; other methods send no body, and an ETag as If-Match.
func startLossy(t *testing.T, setting string, lost int) (call func(method, path, what string, want int) (etag, body string), deliveries func() int) {
	t.Helper()
	cloud := cloudtest.Start(t)
	count := filepath.Join(t.TempDir(), "deliveries")
	connection, address := table(t), freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	run(t, program(t, "azure"), settings(cloud, connection, "FUNCTIONS_CUSTOMHANDLER_PORT="+port))
	host := functionsHost(t, cloud, connection, setting, lossyProgram+"="+address, lossyAnswers+"="+strconv.Itoa(lost), lossyCount+"="+count)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	handler := filepath.Join(host.Root, "handler")
	if err := os.Remove(handler); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, handler); err != nil {
		t.Fatal(err)
	}
	until(t, address+" to listen", func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	})
	base := hosttest.Serve(t, host)
	call = func(method, path, what string, want int) (etag, answer string) {
		t.Helper()
		header := http.Header{"Authorization": {"Bearer " + cloud.App(cloudtest.Tenant, manager)}}
		var body io.Reader
		switch {
		case method == http.MethodPost && !strings.HasPrefix(what, "{"):
			registration, err := json.Marshal(cloud.Registration(what))
			if err != nil {
				t.Fatal(err)
			}
			what = string(registration)
			fallthrough
		case method == http.MethodPost:
			header.Set("Content-Type", "application/json")
			body = strings.NewReader(what)
		case what != "":
			header.Set("If-Match", what)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != want {
			t.Fatalf("%s %s: %s %s, %v, want %d", method, path, response.Status, text, err, want)
		}
		return response.Header.Get("ETag"), string(text)
	}
	deliveries = func() int {
		info, err := os.Stat(count)
		if err != nil {
			t.Fatal(err)
		}
		return int(info.Size())
	}
	return call, deliveries
}

// The settings of the handler that loses answers.
const (
	lossyProgram = "TEST_LOSSY_PROGRAM" // the address of the program that does the work
	lossyAnswers = "TEST_LOSSY_ANSWERS" // how many answers to DELETE are lost
	lossyCount   = "TEST_LOSSY_COUNT"   // a file with one byte for each delivery of a DELETE
)

// lossyHandler is a custom handler that passes requests on to the program, and closes the connection
// in place of its first answers to DELETE. TestMain calls it.
func lossyHandler() error {
	lost, err := strconv.Atoi(os.Getenv(lossyAnswers))
	if err != nil {
		return err
	}
	var deliveries atomic.Int64
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: os.Getenv(lossyProgram)})
	return http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete {
			forward.ServeHTTP(w, r)
			return
		}
		n := int(deliveries.Add(1))
		if err := os.WriteFile(os.Getenv(lossyCount), make([]byte, n), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		answer := httptest.NewRecorder()
		forward.ServeHTTP(answer, r) // the work is done
		if n <= lost {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			_ = conn.Close() // no answer
			return
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the host is gone
	}))
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
