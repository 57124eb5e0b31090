package aztable

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/store/aztable/tabletest"
	"fhirlink/shared/store/storetest"
)

const organization = "11111111-1111-4111-8111-111111111111"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *Store { return newTable(t).store(http.DefaultTransport) })
}

// table is a table of the service under test that does not exist yet.
type table struct{ connectionString, name string }

// newTable returns a table of Azurite if its connection string is in the environment (run: make
// azurite-test), otherwise of the server in tabletest.
func newTable(t testing.TB) table {
	t.Helper()
	connectionString := os.Getenv("AZURITE_TABLE_CONNECTION_STRING")
	if connectionString == "" {
		connectionString = tabletest.Start(t)
	}
	return table{connectionString, "t" + strings.ToLower(rand.Text())}
}

// store returns a store with one client. It makes as many tries as the real one, but with shorter
// waits.
func (tb table) store(transport http.RoundTripper) *Store {
	options := ClientOptions()
	options.Transport = &http.Client{Transport: transport}
	options.Retry.RetryDelay = time.Millisecond
	service, err := aztables.NewServiceClientFromConnectionString(tb.connectionString, options)
	if err != nil {
		panic(err) // the connection string belongs to this test run
	}
	return New(service.NewClient(tb.name))
}

// wire counts requests and can fail them.
type wire struct {
	mu       sync.Mutex
	requests []string // their methods
	fault    func(n int, r *http.Request) fault
}

// fault says what happens to a request.
type fault int

const (
	none    fault = iota
	unsent        // it never reaches the service
	unheard       // the service carries it out and the answer is lost
)

var errWire = errors.New("dial tcp secret-host.table.core.windows.net: connection reset by peer")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	n := len(w.requests)
	w.requests = append(w.requests, r.Method)
	var f fault
	if w.fault != nil {
		f = w.fault(n, r)
	}
	w.mu.Unlock()
	if f == unsent {
		return nil, errWire
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if f == unheard && err == nil {
		_, _ = io.Copy(io.Discard, response.Body) // the service is done when it has answered
		_ = response.Body.Close()
		return nil, errWire
	}
	return response, err
}

// contents is the whole table, read without the driver.
type contents struct {
	links map[string]string // RowKey of each link's row → its DueRow
	index map[string]bool   // RowKeys of the index
}

func (tb table) contents(t *testing.T) contents {
	t.Helper()
	c := contents{map[string]string{}, map[string]bool{}}
	s := tb.store(http.DefaultTransport)
	must(t, s.Ensure(t.Context()))
	pager := s.client.NewListEntitiesPager(nil)
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range page.Entities {
			var e struct{ PartitionKey, RowKey, DueRow string }
			if err := json.Unmarshal(data, &e); err != nil {
				t.Fatal(err)
			}
			switch {
			case !strings.HasPrefix(e.PartitionKey, "s"): // rows of other kinds
			case strings.HasPrefix(e.RowKey, "L_"):
				c.links[e.RowKey] = e.DueRow
			case strings.HasPrefix(e.RowKey, "X_"):
				c.index[e.RowKey] = true
			}
		}
	}
	return c
}

// consistent fails the test unless links and index agree.
func (tb table) consistent(t *testing.T) {
	t.Helper()
	c := tb.contents(t)
	named := 0
	for key, due := range c.links {
		if due != "" {
			named++
			if !c.index[due] {
				t.Errorf("%s names %s, which the index does not have", key, due)
			}
		}
	}
	if named != len(c.index) {
		t.Errorf("the index has %d entries, and the links name %d: %v", len(c.index), named, c)
	}
}

func clinic() link.Link {
	return link.Link{Slug: "clinic", ID: "id", Organization: organization, Phase: link.Live, Condition: condition.Condition{NextVerify: noon}}
}
