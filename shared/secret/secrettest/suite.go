package secrettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/secret"
)

// Run tests a store against the contract of [secret.Store]. newStore returns an empty store; Run
// calls it once for each subtest.
func Run(t *testing.T, newStore func(*testing.T) secret.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, secret.Store)
	}{
		{"names new secrets", namesSecrets},
		{"returns what was put", returnsWhatWasPut},
		{"keeps versions apart", keepsVersionsApart},
		{"gives every version its own id", givesOwnIDs},
		{"knows no other name or version", knowsNoOther},
		{"hides disabled versions", hidesDisabled},
		{"updates attributes", updatesAttributes},
		{"lists versions", listsVersions},
		{"deletes for good", deletesForGood},
		{"deletes what is not there", deletesNothing},
		{"refuses odd names", refusesNames},
		{"waits for a vault that it has not", waitsForVault},
		{"refuses odd values", refusesValues},
		{"folds case", foldsCase},
		{"ends with the context", endsWithContext},
		{"says nothing of the value", saysNothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newStore(t)) })
	}
}

var attributes = secret.Attributes{
	ExpiresOn:    time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC),
	Slug:         "good-health-clinic",
	Organization: "11111111-1111-4111-8111-111111111111",
}

func namesSecrets(t *testing.T, s secret.Store) {
	seen := map[string]bool{}
	for range 100 {
		name := s.NewName("link")
		if err := secret.CheckName(name); err != nil || seen[name] || !strings.Contains(name, "link-") {
			t.Fatalf("NewName = %q (%v), want a new name with link- in it", name, err)
		}
		seen[name] = true
	}
	name := s.NewName("webhook")
	if version := put(t, s, name, "one"); get(t, s, name, version) != "one" {
		t.Errorf("what was put under %s is not there", name)
	}
}

func returnsWhatWasPut(t *testing.T, s secret.Store) {
	texts := []string{"x", "q~8Q.secret_-~", `quote" back\slash <&> %2f +`, "ünïcödé \u2028 ☃", " space ", strings.Repeat("s", secret.MaxBytes)}
	for i, text := range texts {
		name := fmt.Sprintf("Link-%d", i)
		version := put(t, s, name, text)
		if got := get(t, s, name, version); got != text {
			t.Errorf("Get after Put of %.40q = %.40q", text, got)
		}
	}
}

func keepsVersionsApart(t *testing.T, s secret.Store) {
	first, second := put(t, s, "link-a", "one"), put(t, s, "link-a", "two")
	other := put(t, s, "link-b", "three")
	for _, c := range []struct{ name, version, want string }{
		{"link-a", first, "one"}, {"link-a", second, "two"}, {"link-b", other, "three"},
	} {
		if got := get(t, s, c.name, c.version); got != c.want {
			t.Errorf("Get(%s, %s) = %q, want %q", c.name, c.version, got, c.want)
		}
	}
}

func givesOwnIDs(t *testing.T, s secret.Store) {
	const writers = 8
	ids := make([]string, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { ids[i] = put(t, s, "link-a", fmt.Sprint("value ", i)) })
	}
	wg.Wait()
	for i, id := range ids {
		if id == "" || slices.Index(ids, id) != i {
			t.Fatalf("ids are not distinct: %q", ids)
		}
		if got, want := get(t, s, "link-a", id), fmt.Sprint("value ", i); got != want {
			t.Errorf("version %s holds %q, want %q", id, got, want)
		}
	}
}

func knowsNoOther(t *testing.T, s secret.Store) {
	version := put(t, s, "link-a", "one")
	absent := strings.Repeat("0", 31) + "f"
	for _, c := range []struct{ what, name, version string }{
		{"another name", "link-b", version},
		{"another version", "link-a", absent},
		{"no version, which is not the latest", "link-a", ""},
		{"a version that is a path", "link-a", "../link-a/" + version},
		{"a prefix of the version", "link-a", version[:len(version)-1]},
	} {
		if _, err := s.Get(t.Context(), c.name, c.version); !errors.Is(err, secret.ErrNotFound) {
			t.Errorf("%s: Get = %v, want ErrNotFound", c.what, err)
		}
		if err := s.Update(t.Context(), c.name, c.version, false, attributes); !errors.Is(err, secret.ErrNotFound) {
			t.Errorf("%s: Update = %v, want ErrNotFound", c.what, err)
		}
	}
	if got := get(t, s, "link-a", version); got != "one" {
		t.Errorf("Get = %q after updates of missing versions", got)
	}
}

func hidesDisabled(t *testing.T, s secret.Store) {
	first, second := put(t, s, "link-a", "one"), put(t, s, "link-a", "two")
	update(t, s, "link-a", first, false)
	if _, err := s.Get(t.Context(), "link-a", first); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("Get of a disabled version = %v, want ErrNotFound", err)
	}
	if got := get(t, s, "link-a", second); got != "two" {
		t.Errorf("the other version = %q", got)
	}
	update(t, s, "link-a", first, true)
	if _, err := s.Get(t.Context(), "link-a", first); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("an update enabled the version again: %v", err)
	}
}

func updatesAttributes(t *testing.T, s secret.Store) {
	version := put(t, s, "link-a", "one")
	for _, a := range []secret.Attributes{
		{},
		{ExpiresOn: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Slug: "in-the-past"},
		attributes,
	} {
		if err := s.Update(t.Context(), "link-a", version, true, a); err != nil {
			t.Fatalf("Update(%+v) = %v", a, err)
		}
		if got := get(t, s, "link-a", version); got != "one" {
			t.Errorf("value after Update(%+v) = %q; an expiry date is informational", a, got)
		}
	}
}

func listsVersions(t *testing.T, s secret.Store) {
	if got := versions(t, s, "link-a"); len(got) != 0 {
		t.Errorf("Versions of nothing = %v", got)
	}
	started := time.Now().Add(-5 * time.Second)
	want := map[string]bool{}
	for i := range 30 { // more than one page of Key Vault
		id := put(t, s, "link-a", fmt.Sprint(i))
		want[id] = i%2 == 0
		if !want[id] {
			update(t, s, "link-a", id, false)
		}
	}
	put(t, s, "link-ab", "another name with the same beginning")
	got := versions(t, s, "link-a")
	if len(got) != len(want) {
		t.Fatalf("%d versions listed, want %d", len(got), len(want))
	}
	for _, v := range got {
		enabled, known := want[v.ID]
		if !known || v.Enabled != enabled {
			t.Errorf("listed %+v, want enabled=%v (known: %v)", v, enabled, known)
		}
		if v.CreatedAt.Before(started) || v.CreatedAt.After(time.Now().Add(5*time.Second)) {
			t.Errorf("CreatedAt = %v is not now", v.CreatedAt)
		}
	}
}

func deletesForGood(t *testing.T, s secret.Store) {
	first, second := put(t, s, "link-a", "one"), put(t, s, "link-a", "two")
	other := put(t, s, "link-b", "three")
	for range 2 { // the second time there is nothing to delete, which is no error
		if err := s.Delete(t.Context(), "link-a"); err != nil {
			t.Fatalf("Delete = %v", err)
		}
	}
	for _, version := range []string{first, second} {
		if _, err := s.Get(t.Context(), "link-a", version); !errors.Is(err, secret.ErrNotFound) {
			t.Errorf("Get after Delete = %v, want ErrNotFound", err)
		}
		if err := s.Update(t.Context(), "link-a", version, true, attributes); !errors.Is(err, secret.ErrNotFound) {
			t.Errorf("Update after Delete = %v, want ErrNotFound", err)
		}
	}
	if got := versions(t, s, "link-a"); len(got) != 0 {
		t.Errorf("Versions after Delete = %v", got)
	}
	if _, err := s.Put(t.Context(), "link-a", secret.New("again"), attributes); !errors.Is(err, secret.ErrNameUsed) {
		t.Errorf("Put after Delete = %v, want ErrNameUsed", err)
	}
	if got := get(t, s, "link-b", other); got != "three" {
		t.Errorf("the other secret = %q", got)
	}
}

func deletesNothing(t *testing.T, s secret.Store) {
	if err := s.Delete(t.Context(), "link-a"); err != nil {
		t.Fatalf("Delete of a name that was never used = %v", err)
	}
	version := put(t, s, "link-a", "one") // the Delete did not use up the name
	if got := get(t, s, "link-a", version); got != "one" {
		t.Errorf("Get = %q", got)
	}
}

func refusesNames(t *testing.T, s secret.Store) {
	put(t, s, strings.Repeat("n", 127), "the longest name")
	for _, name := range []string{"", strings.Repeat("n", 128), "under_score", "a/b/c", "/a", "a/", "A/b", "a b", "a.b", "..", "a%2f", "ä", "a\n", "a?b"} {
		for op, err := range everyOperation(t, s, name) {
			if err == nil || errors.Is(err, secret.ErrUnavailable) || errors.Is(err, secret.ErrNameUsed) {
				t.Errorf("%s with the name %.20q = %v, want an error that is neither ErrUnavailable nor ErrNameUsed", op, name, err)
			}
		}
	}
}

// waitsForVault: a wrong setting may be the reason why a vault is missing, so its secrets do not
// count as deleted.
func waitsForVault(t *testing.T, s secret.Store) {
	for op, err := range everyOperation(t, s, "elsewhere/link-a") {
		if !errors.Is(err, secret.ErrUnavailable) || errors.Is(err, secret.ErrNotFound) || !strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("%s in a vault that is not there = %v, want ErrUnavailable that names the vault", op, err)
		}
	}
}

func everyOperation(t *testing.T, s secret.Store, name string) map[string]error {
	_, put := s.Put(t.Context(), name, secret.New("x"), attributes)
	_, got := s.Get(t.Context(), name, "1")
	_, listed := s.Versions(t.Context(), name)
	return map[string]error{
		"Put": put, "Get": got, "Versions": listed,
		"Delete": s.Delete(t.Context(), name),
		"Update": s.Update(t.Context(), name, "1", true, attributes),
	}
}

func refusesValues(t *testing.T, s secret.Store) {
	for what, v := range map[string]secret.Value{
		"an empty value":    {},
		"a value too large": secret.New(strings.Repeat("s", secret.MaxBytes+1)),
	} {
		_, err := s.Put(t.Context(), "link-a", v, attributes)
		if err == nil || errors.Is(err, secret.ErrUnavailable) {
			t.Errorf("Put of %s = %v, want an error other than ErrUnavailable", what, err)
		}
	}
	if got := versions(t, s, "link-a"); len(got) != 0 {
		t.Errorf("the refused values made versions: %v", got)
	}
}

func foldsCase(t *testing.T, s secret.Store) {
	version := put(t, s, "Link-A", "one")
	if got := get(t, s, "link-a", version); got != "one" {
		t.Errorf("Get in lower case = %q", got)
	}
	if err := s.Delete(t.Context(), "LINK-A"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "link-a", secret.New("x"), attributes); !errors.Is(err, secret.ErrNameUsed) {
		t.Errorf("Put = %v, want ErrNameUsed: names are compared without case", err)
	}
}

func endsWithContext(t *testing.T, s secret.Store) {
	version := put(t, s, "link-a", "one")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ended, "link-a", version); !errors.Is(err, secret.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Get with an ended context = %v, want ErrUnavailable and context.Canceled", err)
	}
	if _, err := s.Put(ended, "link-b", secret.New("x"), attributes); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("Put with an ended context = %v, want ErrUnavailable", err)
	}
	if got := versions(t, s, "link-b"); len(got) != 0 {
		t.Errorf("Put with an ended context made %v", got)
	}
}

func saysNothing(t *testing.T, s secret.Store) {
	const canary = "canary-8f1e"
	put(t, s, "link-a", canary)
	if err := s.Delete(t.Context(), "link-a"); err != nil {
		t.Fatal(err)
	}
	_, used := s.Put(t.Context(), "link-a", secret.New(canary), attributes)
	_, odd := s.Put(t.Context(), "odd name", secret.New(canary), attributes)
	_, large := s.Put(t.Context(), "link-b", secret.New(strings.Repeat(canary, secret.MaxBytes)), attributes)
	for _, err := range []error{used, odd, large} {
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
			t.Errorf("the error is missing or shows the value: %.200v", err)
		}
	}
}

func put(t *testing.T, s secret.Store, name, text string) (version string) {
	t.Helper()
	version, err := s.Put(t.Context(), name, secret.New(text), attributes)
	if err != nil || version == "" {
		t.Errorf("Put(%.40s) = %q, %v", name, version, err)
	}
	return version
}

func get(t *testing.T, s secret.Store, name, version string) string {
	t.Helper()
	v, err := s.Get(t.Context(), name, version)
	if err != nil {
		t.Errorf("Get(%.40s, %s) = %v", name, version, err)
	}
	return v.Reveal()
}

func update(t *testing.T, s secret.Store, name, version string, enabled bool) {
	t.Helper()
	if err := s.Update(t.Context(), name, version, enabled, attributes); err != nil {
		t.Errorf("Update(%s, %s, %v) = %v", name, version, enabled, err)
	}
}

func versions(t *testing.T, s secret.Store, name string) []secret.Version {
	t.Helper()
	all, err := s.Versions(t.Context(), name)
	if err != nil {
		t.Errorf("Versions(%s) = %v", name, err)
	}
	return all
}
