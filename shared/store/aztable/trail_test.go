package aztable

import (
	"reflect"
	"strings"
	"testing"

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
