package linktest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fhirlink/shared/link"
)

// isDue fails the test unless exactly these slugs are due, in this order.
func isDue(t *testing.T, s link.Stores, now time.Time, want ...link.Slug) {
	t.Helper()
	if got := due(t, s, now); !slices.Equal(got, want) {
		t.Errorf("due at %v is %v, want %v", now, got, want)
	}
}

func dueInOrder(t *testing.T, s link.Stores) {
	isDue(t, s, noon)
	insert(t, s,
		dueAt(t, "second", noon.Add(time.Minute)), dueAt(t, "third-b", noon.Add(time.Hour)),
		dueAt(t, "first", noon), dueAt(t, "third-a", noon.Add(time.Hour)),
		dueAt(t, "later", noon.AddDate(30, 0, 0)), dueAt(t, "long-ago", time.Unix(1, 0)), slim("never"))
	isDue(t, s, noon.Add(-time.Second), "long-ago")
	isDue(t, s, noon, "long-ago", "first")
	isDue(t, s, noon.Add(time.Hour), "long-ago", "first", "second", "third-a", "third-b")
	isDue(t, s, noon.AddDate(40, 0, 0), "long-ago", "first", "second", "third-a", "third-b", "later")
}

func dueToTheMicrosecond(t *testing.T, s link.Stores) {
	insert(t, s, dueAt(t, "exact", noon))
	at := noon.Truncate(time.Microsecond)
	isDue(t, s, at.Add(-time.Microsecond))
	isDue(t, s, at.UTC(), "exact")
	isDue(t, s, at.In(time.FixedZone("", 9*60*60)), "exact")
}

func dueStops(t *testing.T, s link.Stores) {
	for i := range 5 {
		insert(t, s, dueAt(t, link.Slug(fmt.Sprint("link-", i)), noon.Add(time.Duration(i)*time.Second)))
	}
	for limit := 1; limit <= 3; limit++ {
		calls := 0
		err := s.Due(t.Context(), noon.Add(time.Hour), func(slug link.Slug) bool {
			if want := link.Slug(fmt.Sprint("link-", calls)); slug != want {
				t.Errorf("call %d is for %q, want %q", calls, slug, want)
			}
			calls++
			return calls < limit
		})
		if calls != limit || err != nil {
			t.Errorf("Due called yield %d times until it was false at %d: %v", calls, limit, err)
		}
	}
}

func dueFollowsWrites(t *testing.T, s link.Stores) {
	day := noon.AddDate(0, 0, 1)
	insert(t, s, dueAt(t, "clinic", noon), dueAt(t, "other", day))
	move := func(at time.Time) {
		t.Helper()
		update(t, s, "clinic", func(l *link.Link) { l.NextVerify = at })
	}
	isDue(t, s, day, "clinic", "other")
	move(day.Add(time.Second))
	isDue(t, s, day, "other")
	isDue(t, s, day.Add(time.Hour), "other", "clinic")
	move(noon.Add(-time.Hour))
	isDue(t, s, noon, "clinic")
	move(time.Time{})
	isDue(t, s, day, "other")
	move(noon)
	isDue(t, s, noon, "clinic")
	update(t, s, "clinic", func(l *link.Link) { l.Description = "the index stays" })
	isDue(t, s, noon, "clinic")
	remove(t, s, "clinic")
	isDue(t, s, day, "other")
	insert(t, s, dueAt(t, "clinic", noon.Add(time.Minute)))
	isDue(t, s, noon)
	isDue(t, s, day, "clinic", "other")
}

func dueWhileChanging(t *testing.T, s link.Stores) {
	for i := range 10 {
		insert(t, s, dueAt(t, link.Slug(fmt.Sprint("link-", i)), noon))
	}
	calls := 0
	err := s.Due(t.Context(), noon, func(slug link.Slug) bool {
		if calls++; calls%2 == 0 {
			remove(t, s, slug)
		} else {
			update(t, s, slug, func(l *link.Link) { l.NextVerify = noon.Add(time.Hour) })
		}
		return true
	})
	if calls != 10 || err != nil {
		t.Errorf("Due called yield %d times for 10 links: %v", calls, err)
	}
	isDue(t, s, noon)
	if got := due(t, s, noon.Add(time.Hour)); len(got) != 5 {
		t.Errorf("an hour later %v are due, want 5", got)
	}
}

func dueListsMany(t *testing.T, s link.Stores) {
	var want []link.Slug
	for i := range 200 {
		slug := link.Slug(fmt.Sprintf("many-%03d", (i*37)%200))
		insert(t, s, dueAt(t, slug, noon.Add(time.Duration((i*37)%200)*time.Second)))
		want = append(want, link.Slug(fmt.Sprintf("many-%03d", i)))
	}
	isDue(t, s, noon.Add(time.Hour), want...)
}
