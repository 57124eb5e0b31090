package aztable

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
)

// FuzzDecodeEvent: no content of the table makes decodeEvent panic, and an event that it accepts
// is written back unchanged.
func FuzzDecodeEvent(f *testing.F) {
	e := registered()
	sound, err := encode(trailPartition(e.Organization, e.Slug), e.ID, eventColumns(&e))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add([]byte(`{"PartitionKey":"e","RowKey":"1","By":"{}","At":"2026-11-23T12:00:00Z","At@odata.type":"Edm.DateTime"}`))
	f.Add([]byte(`{"RowKey":"1","By":"{"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEvent(organization, "clinic", data)
		if err != nil || checkEvent(e) != nil {
			return
		}
		e = e.Stored()
		again, err := encode(trailPartition(e.Organization, e.Slug), e.ID, eventColumns(&e))
		if err != nil {
			return // longer than what Table Storage would have accepted
		}
		if got, err := decodeEvent(organization, "clinic", again); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("decodeEvent = %+v, %v, want %+v", got, err, e)
		}
	})
}

// TestOddEvents: an invalid key is refused, and the error names a row that cannot be read.
func TestOddEvents(t *testing.T) {
	s := newTable(t).store(nil)
	for _, change := range []func(*trail.Event){
		func(e *trail.Event) { e.ID = "" }, func(e *trail.Event) { e.ID = "a/b" }, func(e *trail.Event) { e.Organization = "o'" }, func(e *trail.Event) { e.Slug = "" },
	} {
		e := registered()
		change(&e)
		if err := s.Append(t.Context(), e); err == nil {
			t.Errorf("Append took %+v", e)
		}
	}
	if _, err := decodeEvent(organization, "clinic", []byte(`{"RowKey":"7","At":"soon"}`)); err == nil || !strings.Contains(err.Error(), "7") {
		t.Errorf("an odd event: %v", err)
	}
	if _, _, err := s.Swap(t.Context(), "a/b", store.Cell{}, "x"); err == nil {
		t.Error("Swap took a name that cannot be a key")
	}
}

// TestExpireReadsNothingAlive: how long the trails are makes no difference. Two requests for each
// trail, one for the next trail, and their answers are as long as before.
func TestExpireReadsNothingAlive(t *testing.T) {
	requests, bytes := map[int]int{}, map[int]int64{}
	for _, long := range []int{1, 150} {
		tb := newTable(t)
		clean := tb.store(http.DefaultTransport)
		for _, slug := range []string{"clinic-a", "clinic-b", "clinic-c"} {
			for i := range long {
				must(t, clean.Append(t.Context(), trail.Event{ID: trail.ID(noon.Add(time.Duration(i)*time.Minute), "young"), At: noon, Organization: organization, Slug: slug}))
			}
			must(t, clean.Append(t.Context(), trail.Event{ID: trail.ID(noon.Add(-time.Minute), "old"), At: noon, Organization: organization, Slug: slug}))
		}
		w := &answers{}
		p, err := tb.store(w).Expire(t.Context(), noon, "", trail.Bounds{Trails: 9, Events: 9})
		if err != nil || p.Looked != 3 || p.Removed != 3 || !p.Done {
			t.Errorf("Expire = %+v, %v", p, err)
		}
		requests[long], bytes[long] = w.n, w.bytes
	}
	if requests[1] != 3*3+1 || requests[150] != requests[1] || bytes[150] > bytes[1]+300 { // a name of the next partition may differ
		t.Errorf("short trails took %d requests and %d bytes, long ones %d and %d", requests[1], bytes[1], requests[150], bytes[150])
	}
}

// answers counts requests and the bytes of their answers.
type answers struct {
	n     int
	bytes int64
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	a.n, a.bytes = a.n+1, a.bytes+int64(len(body))
	answer.Body = io.NopCloser(strings.NewReader(string(body)))
	return answer, err
}
