package cloud

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fhirlink/shared/egress"
)

// The authority sees a limited number of connections, however many links are verified at once.
func TestMicrosoftClientBoundsConnections(t *testing.T) {
	var open, most atomic.Int64
	gate := make(chan struct{})
	// Once, because the count reaches the limit again when later connections follow the first.
	openGate := sync.OnceFunc(func() { close(gate) })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := open.Add(1)
		defer open.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == egress.ConnsPerHost {
			openGate() // the limit is reached
		}
		<-gate
	}))
	server.Start()
	defer server.Close()
	client := microsoftClient()
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range 2 * egress.ConnsPerHost {
		group.Go(func() {
			response, err := client.Post(server.URL, "text/plain", strings.NewReader(""))
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close() // empty
		})
	}
	group.Wait()
	if most.Load() != egress.ConnsPerHost {
		t.Errorf("%d connections at once, want %d", most.Load(), egress.ConnsPerHost)
	}
}
