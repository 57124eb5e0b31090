package link_test

import (
	"reflect"
	"testing"
	"time"

	"fhirlink/shared/link"
)

func TestStored(t *testing.T) {
	local := time.Date(2026, 11, 23, 14, 0, 0, 123456789, time.FixedZone("", 2*60*60))
	stored := time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

	in := link.Link{Discard: []string{}, Change: &link.Change{ID: "c", Since: local}}
	want := link.Link{Change: &link.Change{ID: "c", Since: stored}}
	for _, l := range []struct {
		*link.Link
		time.Time
	}{{&in, local}, {&want, stored}} {
		l.ReservedUntil, l.CreatedAt, l.UpdatedAt = l.Time, l.Time, l.Time
		l.VerifiedAt, l.PhaseSince, l.NextVerify = l.Time, l.Time, l.Time
	}
	if got := in.Stored(); !reflect.DeepEqual(got, want) {
		t.Errorf("Stored =\n%+v, want\n%+v", got, want)
	}
	if got := (link.Link{}).Stored(); !reflect.DeepEqual(got, link.Link{}) {
		t.Errorf("Stored of the zero Link = %+v", got)
	}
}

func TestStoredSharesNothing(t *testing.T) {
	l := link.Link{Discard: []string{"a"}, Change: &link.Change{ID: "c"}}
	stored := l.Stored()
	stored.Discard[0], stored.Change.ID = "changed", "changed"
	if l.Discard[0] != "a" || l.Change.ID != "c" {
		t.Errorf("a change of what Stored returned reached %+v", l)
	}
}
