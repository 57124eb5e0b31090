package linktest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

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
