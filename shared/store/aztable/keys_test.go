package aztable

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/link"
)

// TestPartitionOf pins the hash and the number of shards: every later version must find the rows
// stored under these keys.
func TestPartitionOf(t *testing.T) {
	for slug, want := range map[link.Slug]string{
		"good-health-clinic": "s28", "clinic": "s05", "abc": "s0b", "a-b": "s23",
		"0-clinic": "s0e", "st-marys-hospital-london": "s0d", "z99": "s1f",
	} {
		if got := partitionOf(slug); got != want {
			t.Errorf("partitionOf(%q) = %q, want %q", slug, got, want)
		}
	}
	if first, last := partition(0), partition(shards-1); first != "s00" || last != "s3f" {
		t.Errorf("the shards are %s to %s, want s00 to s3f", first, last)
	}
}

func TestPartitionsAreEven(t *testing.T) {
	const each = 200
	count := map[string]int{}
	for i := range shards * each {
		count[partitionOf(link.Slug(fmt.Sprintf("clinic-%05d", i)))]++
	}
	for p, n := range count {
		if n < each/2 || n > each*2 {
			t.Errorf("partition %s has %d of %d slugs, want about %d", p, n, shards*each, each)
		}
	}
	if len(count) != shards {
		t.Errorf("slugs are in %d partitions, want %d", len(count), shards)
	}
}

func TestDueKey(t *testing.T) {
	for _, c := range []struct {
		due  time.Time
		want string
	}{
		{time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC), "X_1795435200123456_clinic"},
		{time.Unix(1, 0), "X_0000000001000000_clinic"},
		{time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), "X_0000000000000000_clinic"},
		{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), "X_9999999999999999_clinic"},
	} {
		if got := dueKey(c.due, "clinic"); got != c.want {
			t.Errorf("dueKey(%v) = %q, want %q", c.due, got, c.want)
		}
	}
	for _, key := range []string{"", "X_", "L_clinic", "X_1795435200123456", "X_1795435200123456_", "X_179543520012345_clinic"} {
		if slug, err := dueSlug(key); err == nil {
			t.Errorf("dueSlug(%q) = %q", key, slug)
		}
	}
}

// FuzzDueKey: keys sort in the order of their times, and contain the slug.
func FuzzDueKey(f *testing.F) {
	f.Add(int64(0), int64(1), "a", "b")
	f.Add(int64(1795435200123456), int64(1795435200123457), "z", "a")
	f.Add(int64(-5), int64(maxDue), "clinic", "x_y")
	f.Fuzz(func(t *testing.T, first, second int64, a, b string) {
		if checkKey("slug", a) != nil || checkKey("slug", b) != nil {
			return
		}
		first, second = min(max(first, 0), maxDue), min(max(second, 0), maxDue)
		one, two := dueKey(time.UnixMicro(first), link.Slug(a)), dueKey(time.UnixMicro(second), link.Slug(b))
		if first < second && one >= two {
			t.Errorf("%q is due before %q and does not sort so", one, two)
		}
		if (one < dueBound(second+1)) != (first <= second) && second < maxDue {
			t.Errorf("%q: is it below the bound of %d?", one, second)
		}
		if slug, err := dueSlug(one); err != nil || string(slug) != a {
			t.Errorf("dueSlug(%q) = %q, %v", one, slug, err)
		}
	})
}

// FuzzKeys: no slug or organization can break out of a key, a path or a filter.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{"clinic", "", "'", "a' or 'a' eq 'a", `a/b\c#d?e`, "a\x00b", "a\u0085b", "ä", "..", "a%27b", strings.Repeat("x", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if literal := "'" + quoted(s) + "'"; strings.Count(literal, "'")%2 != 0 {
			t.Errorf("quoted(%q) leaves a quote open", s)
		}
		if checkKey("slug", s) != nil {
			return
		}
		if s == "" || len(s) > 512 || strings.ContainsAny(s, "'/\\#?% \t\r\n\"") || url.PathEscape(s) != s {
			t.Errorf("checkKey lets %q pass", s)
		}
	})
}
