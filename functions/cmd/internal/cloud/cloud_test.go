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

// However many links are verified at once, the authority sees a bounded number of connections.
func TestMicrosoftClientBoundsConnections(t *testing.T) {
	var open, most atomic.Int64
	gate := make(chan struct{})
	// Once, since the count comes by the limit again when the first have gone and others follow.
	openGate := sync.OnceFunc(func() { close(gate) })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := open.Add(1)
		defer open.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == egress.ConnsPerHost {
			openGate() // as many as may be are here at once
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
