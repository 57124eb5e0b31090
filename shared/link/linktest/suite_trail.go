package linktest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/trail"
)

func appendEvent(t *testing.T, s link.Stores, events ...trail.Event) {
	t.Helper()
	for _, e := range events {
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatalf("Append %q: %v", e.ID, err)
		}
	}
}

func trailOf(t *testing.T, s link.Stores, organization, slug, after string, limit int) (ids []string) {
	t.Helper()
	events, err := s.Events(t.Context(), organization, slug, after, limit)
	if err != nil {
		t.Fatalf("Events: %v", err)
	}
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func trailKeeps(t *testing.T, s link.Stores) {
	if ids := trailOf(t, s, contoso, "good-health-clinic", "", 10); len(ids) > 0 {
		t.Errorf("an empty trail has %v", ids)
	}
	slim := trail.Event{ID: "2", Organization: contoso, Slug: "good-health-clinic"}
	appendEvent(t, s, event("1"), slim)
	got, err := s.Events(t.Context(), contoso, "good-health-clinic", "", 10)
	if want := []trail.Event{event("1").Stored(), slim.Stored()}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Events =\n%+v, %v, want\n%+v", got, err, want)
	}
}

func trailKeepsFirst(t *testing.T, s link.Stores) {
	appendEvent(t, s, event("1"))
	again := event("1")
	again.Outcome = "changed"
	appendEvent(t, s, again, again)
	got, err := s.Events(t.Context(), contoso, "good-health-clinic", "", 10)
	if err != nil || !reflect.DeepEqual(got, []trail.Event{event("1").Stored()}) {
		t.Errorf("after appending the ID again the trail is %+v, %v", got, err)
	}
}

func trailPages(t *testing.T, s link.Stores) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("%019d-%s", i*7, "xyz"))
	}
	for _, i := range []int{24, 3, 11} { // in no order
		appendEvent(t, s, event(all[i]))
	}
	for _, id := range all {
		appendEvent(t, s, event(id))
	}
	for _, limit := range []int{0, 1, 10, 24, 25, 26} {
		if got := trailOf(t, s, contoso, "good-health-clinic", "", limit); !slices.Equal(got, all[:min(limit, 25)]) {
			t.Errorf("the first %d are %v", limit, got)
		}
	}
	for i, after := range all {
		if got := trailOf(t, s, contoso, "good-health-clinic", after, 4); !slices.Equal(got, all[i+1:min(i+5, 25)]) {
			t.Errorf("the 4 after %q are %v", after, got)
		}
	}
	for _, after := range []string{"zzz", "'", "a' or PartitionKey ne '"} {
		got := trailOf(t, s, contoso, "good-health-clinic", after, 4)
		if after != "'" && len(got) > 0 {
			t.Errorf("after %q are %v", after, got)
		}
	}
}

func trailKeepsApart(t *testing.T, s link.Stores) {
	insert(t, s, slim("clinic"))
	for i, about := range []struct {
		organization, slug string
	}{{contoso, "clinic"}, {fabrikam, "clinic"}, {contoso, "clinic-2"}, {contoso, "clini"}} {
		e := event(fmt.Sprint(i))
		e.Organization, e.Slug = about.organization, about.slug
		appendEvent(t, s, e)
		if got := trailOf(t, s, about.organization, about.slug, "", 10); !slices.Equal(got, []string{e.ID}) {
			t.Errorf("%s of %s has %v, want %s", about.slug, about.organization, got, e.ID)
		}
	}
	remove(t, s, "clinic")
	if got := trailOf(t, s, contoso, "clinic", "", 10); len(got) != 1 {
		t.Errorf("without its row the trail has %v", got)
	}
	enrolled(t, s, contoso)
}

// plenty does not bound what the tests store.
var plenty = trail.Bounds{Trails: 1000, Events: 10_000}

// aged returns an event of a time before or after noon.
func aged(slug string, age time.Duration, unique string) trail.Event {
	e := event(trail.ID(noon.Add(-age), unique))
	e.At, e.Slug = noon.Add(-age), slug
	return e
}

func expire(t *testing.T, s link.Stores, from string, most trail.Bounds) trail.Progress {
	t.Helper()
	p, err := s.Expire(t.Context(), noon, from, most)
	if err != nil {
		t.Fatalf("Expire from %q: %v", from, err)
	}
	if p.Looked > most.Trails || p.Removed > most.Events {
		t.Errorf("Expire from %q = %+v, more than %+v", from, p, most)
	}
	return p
}

// trailEnds: what is older than the time goes, to the microsecond, and nothing else.
func trailEnds(t *testing.T, s link.Stores) {
	if p := expire(t, s, "", plenty); p != (trail.Progress{Done: true}) {
		t.Errorf("Expire of nothing = %+v", p)
	}
	kept := []trail.Event{aged("clinic", 0, "now"), aged("clinic", -time.Hour, "later")}
	other := aged("clinic-2", 0, "now")
	other.Organization = fabrikam
	appendEvent(t, s, append(kept, other, aged("clinic", time.Microsecond, "a"), aged("clinic", time.Microsecond, "b"), aged("clinic", 9000*time.Hour, "c"), aged("gone", time.Hour, "d"))...)
	insert(t, s, slim("clinic"))
	enroll(t, s, contoso, "clinic")
	p := expire(t, s, "", plenty)
	if p.Looked != 3 || p.Removed != 4 || !p.Done {
		t.Errorf("Expire = %+v, want 4 events of 3 trails", p)
	}
	if got := trailOf(t, s, contoso, "clinic", "", 10); !slices.Equal(got, []string{kept[1].ID, kept[0].ID}) {
		t.Errorf("left are %v", got)
	}
	if got := trailOf(t, s, fabrikam, "clinic-2", "", 10); !slices.Equal(got, []string{other.ID}) {
		t.Errorf("of another trail are left %v", got)
	}
	if got := trailOf(t, s, contoso, "gone", "", 10); len(got) > 0 {
		t.Errorf("of a deleted link are left %v", got)
	}
	holds(t, s, slim("clinic"))
	enrolled(t, s, contoso, "clinic")
	if p := expire(t, s, "", plenty); p.Removed != 0 || !p.Done {
		t.Errorf("Expire again = %+v", p)
	}
}

// trailEndsBitByBit: whatever the bounds, calls that go on where the last one ended remove everything,
// and end.
func trailEndsBitByBit(t *testing.T, s link.Stores) {
	for _, most := range []trail.Bounds{{Trails: 1, Events: 100}, {Trails: 100, Events: 1}, {Trails: 2, Events: 3}} {
		var want []string
		for i := range 5 {
			slug := fmt.Sprintf("clinic-%d", i)
			young := aged(slug, -time.Hour, "young")
			appendEvent(t, s, young)
			want = append(want, young.ID)
			for j := range i {
				appendEvent(t, s, aged(slug, time.Duration(j+1)*time.Hour, "old"))
			}
		}
		removed, calls := 0, 0
		for p := (trail.Progress{}); !p.Done; calls++ {
			if calls > 30 {
				t.Fatalf("%+v: no end after %d calls: %+v", most, calls, p)
			}
			p = expire(t, s, p.Last, most)
			removed += p.Removed
		}
		if removed != 10 || calls < 3 {
			t.Errorf("%+v: %d events in %d calls, want 10", most, removed, calls)
		}
		for i, id := range want {
			if got := trailOf(t, s, contoso, fmt.Sprintf("clinic-%d", i), "", 10); !slices.Equal(got, []string{id}) {
				t.Errorf("%+v: left are %v", most, got)
			}
		}
	}
}

// trailEndsHoweverLong: more events of one trail than a transaction or an answer of a database has.
func trailEndsHoweverLong(t *testing.T, s link.Stores) {
	const many = 1234
	for i := range many {
		appendEvent(t, s, aged("clinic", time.Hour+time.Duration(i)*time.Minute, "old"))
	}
	young := aged("clinic", 0, "young")
	appendEvent(t, s, young)
	first := expire(t, s, "", trail.Bounds{Trails: 9, Events: many - 1})
	if first.Removed != many-1 || first.Done || first.Last != "" {
		t.Errorf("Expire = %+v, want all events but one", first)
	}
	if p := expire(t, s, first.Last, plenty); p.Removed != 1 || !p.Done {
		t.Errorf("then Expire = %+v", p)
	}
	if got := trailOf(t, s, contoso, "clinic", "", 10); !slices.Equal(got, []string{young.ID}) {
		t.Errorf("left are %v", got)
	}
}
