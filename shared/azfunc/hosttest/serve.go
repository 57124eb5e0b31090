package hosttest

import (
	"log/slog"
	"net/http/httptest"
	"testing"
)

// Serve starts the host and returns the URL it listens on. A function in error fails the
// test; the warnings and errors of the handler go to the test's log unless h.Console is set.
// Both end with the test.
func Serve(t testing.TB, h *Host) string {
	t.Helper()
	if h.Console == nil {
		h.Console = func(line Line) {
			if line.Level > slog.LevelInfo {
				t.Logf("handler: %s %s", line.Level, line.Text)
			}
		}
	}
	server := httptest.NewUnstartedServer(h)
	t.Cleanup(server.Close) // after h.Close, which ends the requests that hang
	t.Cleanup(h.Close)
	root, err := h.Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Err(); err != nil {
		t.Fatal(err)
	}
	server.Start()
	return server.URL
}
