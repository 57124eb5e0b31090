package hosttest

import (
	"log/slog"
	"net/http/httptest"
	"testing"
)

// Serve starts the host and returns the URL it listens on. A function in error fails the test.
// The handler's warnings and errors go to the test's log unless h.Console is set. Host and server
// stop at the end of the test.
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
	t.Cleanup(server.Close) // after h.Close, which ends hanging requests
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
