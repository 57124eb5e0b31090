package seal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
)

// counting counts the listings of a store, and fails them on demand.
func counting(store *secrettest.Store) (listings *atomic.Int64, down *atomic.Bool) {
	listings, down = &atomic.Int64{}, &atomic.Bool{}
	store.Fault = func(op, _ string, before bool) error {
		if op == "Versions" && before {
			listings.Add(1)
		}
		if before && down.Load() {
			return fmt.Errorf("the vault: %w", &problem.Upstream{RetryAfter: 7 * time.Second, Err: secret.ErrUnavailable})
		}
		return nil
	}
	return listings, down
}

func TestRotation(t *testing.T) {
	store := secrettest.New()
	old := add(t, store, keyText('a'))
	f, other := newFixture(store), newFixture(store)
	first := f.seal(t, "session")
	if err := other.open(t.Context(), "session", first); err != nil {
		t.Fatal(err)
	}
	add(t, store, keyText('b')+"\n") // as a file ends
	f.now = f.now.Add(time.Hour - time.Second)
	if err := other.open(t.Context(), "session", f.seal(t, "session")); err != nil { // still the old key
		t.Error(err)
	}
	f.now = f.now.Add(time.Second)
	other.now = f.now.Add(-time.Minute) // does not read hourly yet, but meets a key that it does not know
	second := f.seal(t, "session")
	if err := other.open(t.Context(), "session", second); err != nil {
		t.Errorf("a value of the new key: %v", err)
	}
	if err := store.Update(t.Context(), name, old, false, secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	long := f.now
	f.now = long.Add(time.Hour)
	fresh := f.seal(t, "session")
	f.now = long.Add(time.Minute) // only so that first has not ended
	if err := f.open(t.Context(), "session", first); !errors.Is(err, seal.ErrInvalid) {
		t.Errorf("a value of a disabled key: %v", err)
	}
	for _, sealed := range []string{second, fresh} {
		if err := f.open(t.Context(), "session", sealed); err != nil {
			t.Errorf("a value of the enabled key: %v", err)
		}
	}
}

// dated says of versions that they were made at other times.
type dated struct {
	*secrettest.Store
	created []time.Time // oldest version first
}

func (d dated) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	all, err := d.Store.Versions(ctx, name)
	for i := range all {
		all[i].CreatedAt = d.created[i]
	}
	return all, err
}

// TestNewestSeals: the time decides, and the id only among versions of the same second.
func TestNewestSeals(t *testing.T) {
	at := time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC)
	later := at.Add(time.Second)
	for _, c := range []struct {
		created []time.Time
		want    int
	}{
		{[]time.Time{at, later, at}, 1}, {[]time.Time{later, at, at}, 0}, {[]time.Time{at, at, later}, 2}, {[]time.Time{at, at, at}, 2}, {[]time.Time{later, later, at}, 1},
	} {
		store := dated{secrettest.New(), c.created}
		var versions []string
		for i := range c.created {
			versions = append(versions, add(t, store.Store, keyText(byte('a'+i))))
		}
		f := newFixture(store.Store)
		f.Keys = seal.NewKeys(name, store, f.Now, f.logger())
		sealed := f.seal(t, "session")
		for i, version := range versions {
			if i != c.want {
				if err := store.Update(t.Context(), name, version, false, secret.Attributes{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		f.Keys = seal.NewKeys(name, store, f.Now, f.logger())
		if err := f.open(t.Context(), "session", sealed); err != nil {
			t.Errorf("%v: not sealed by version %d", c.created, c.want)
		}
	}
}

func TestReadsWhenNeeded(t *testing.T) {
	store := secrettest.New()
	listings, _ := counting(store)
	add(t, store, keyText('a'))
	f := newFixture(store)
	if n := listings.Load(); n != 0 {
		t.Errorf("%d listings at the start", n)
	}
	if err := f.open(t.Context(), "session", "junk"); !errors.Is(err, seal.ErrInvalid) || listings.Load() != 0 {
		t.Errorf("junk: %v, %d listings", err, listings.Load())
	}
	sealed := f.seal(t, "session")
	for range 100 {
		if err := f.open(t.Context(), "session", sealed); err != nil {
			t.Fatal(err)
		}
	}
	if n := listings.Load(); n != 1 {
		t.Errorf("%d listings", n)
	}
}

// stranger returns a value that a key with an id of its own has sealed.
func stranger(t *testing.T) string {
	store := secrettest.New()
	for range 20 { // the store counts its versions
		add(t, store, keyText('s'))
	}
	return newFixture(store).seal(t, "session")
}

func TestUnknownIDsAreLimited(t *testing.T) {
	store := secrettest.New()
	add(t, store, keyText('a'))
	listings, _ := counting(store)
	f := newFixture(store)
	f.seal(t, "session")
	strange := stranger(t)
	for range 100 {
		if err := f.open(t.Context(), "session", strange); !errors.Is(err, seal.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if n := listings.Load(); n != 2 {
		t.Errorf("%d listings for one unknown key, want 2", n)
	}
	f.now = f.now.Add(30 * time.Second)
	for range 10 {
		if err := f.open(t.Context(), "session", strange); !errors.Is(err, seal.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if n := listings.Load(); n != 3 {
		t.Errorf("%d listings after 30 s, want 3", n)
	}
}

// TestInstancesAgree: instances that start together may make a version each. Every one of them opens
// what any other has sealed, and in the end all seal by the same key.
func TestInstancesAgree(t *testing.T) {
	store := secrettest.New()
	const instances = 8
	var barrier sync.WaitGroup
	barrier.Add(instances)
	var listed atomic.Int64
	store.Fault = func(op, _ string, before bool) error {
		if op == "Versions" && !before && listed.Add(1) <= instances { // all have seen that there is none
			barrier.Done()
			barrier.Wait()
		}
		return nil
	}
	fixtures, sealed := make([]*fixture, instances), make([]string, instances)
	var wg sync.WaitGroup
	for i := range fixtures {
		fixtures[i] = newFixture(store)
		wg.Go(func() { sealed[i] = fixtures[i].seal(t, "session") })
	}
	wg.Wait()
	if n := len(store.Enabled(name)); n != instances {
		t.Fatalf("%d versions, so this test tests nothing", n)
	}
	for i, f := range fixtures {
		for j, text := range sealed {
			if err := f.open(t.Context(), "session", text); err != nil {
				t.Errorf("instance %d cannot open the value of %d: %v", i, j, err)
			}
		}
	}
	last := map[string]bool{}
	for _, f := range fixtures {
		f.now = f.now.Add(time.Hour)
		last[f.seal(t, "session")[:12]] = true // form and key id
	}
	if len(last) != 1 {
		t.Errorf("the instances seal by %d keys", len(last))
	}
	if n := len(store.Enabled(name)); n != instances {
		t.Errorf("%d versions afterwards", n)
	}
}

// Within one instance one request makes the first version, whoever else waits.
func TestOneInstanceMakesOneVersion(t *testing.T) {
	f := newFixture(secrettest.New())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := f.open(t.Context(), "session", f.seal(t, "session")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := f.store.Enabled(name); len(got) != 1 {
		t.Errorf("versions %q", got)
	}
}

func TestMalformedVersions(t *testing.T) {
	store := secrettest.New()
	good := keyText('a')
	add(t, store, good)
	for _, text := range []string{"canary", good + "A", good[:40], "  ", good + "!", strings.Repeat("A", 44)} {
		add(t, store, text)
	}
	f := newFixture(store)
	if err := f.open(t.Context(), "session", f.seal(t, "session")); err != nil {
		t.Error(err)
	}
	if log := f.log.String(); strings.Count(log, "seal.malformed") != 6 || strings.Contains(log, "canary") || strings.Contains(log, good) {
		t.Errorf("the log: %s", log)
	}
}

// None usable: 503 for whoever comes, and no version is made over those that an operator has.
func TestNoneUsable(t *testing.T) {
	for what, prepare := range map[string]func(*secrettest.Store){
		"malformed": func(s *secrettest.Store) { add(t, s, "canary") },
		"disabled": func(s *secrettest.Store) {
			if err := s.Update(t.Context(), name, add(t, s, keyText('a')), false, secret.Attributes{}); err != nil {
				t.Fatal(err)
			}
		},
		"deleted": func(s *secrettest.Store) {
			add(t, s, keyText('a'))
			if err := s.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		},
		"down": func(s *secrettest.Store) {
			_, down := counting(s)
			down.Store(true)
		},
	} {
		store := secrettest.New()
		prepare(store)
		before := len(store.Enabled(name))
		f := newFixture(store)
		strange := stranger(t)
		_, err := seal.Seal(t.Context(), f.Sealer, "session", f.now, 1)
		for _, err := range []error{err, f.open(t.Context(), "session", strange)} {
			if !errors.Is(err, secret.ErrUnavailable) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if after := len(store.Enabled(name)); after != before {
			t.Errorf("%s: %d enabled versions became %d", what, before, after)
		}
	}
}

// While the vault is down, known keys work for a day, and it is asked every 30 s only; afterwards every 5 s.
func TestOutlivesTheVault(t *testing.T) {
	store := secrettest.New()
	add(t, store, keyText('a'))
	listings, down := counting(store)
	f := newFixture(store)
	f.seal(t, "session")
	down.Store(true)
	f.now = f.now.Add(23 * time.Hour)
	for range 10 {
		f.seal(t, "session")
	}
	if n := listings.Load(); n != 2 {
		t.Errorf("%d listings, want 2", n)
	}
	f.now = f.now.Add(time.Hour)
	_, err := seal.Seal(t.Context(), f.Sealer, "session", f.now, 1)
	var u *problem.Upstream
	if !errors.Is(err, secret.ErrUnavailable) || !errors.As(err, &u) || u.RetryAfter != 7*time.Second {
		t.Errorf("after a day: %v", err)
	}
	down.Store(false)
	f.now = f.now.Add(4 * time.Second)
	if _, err := seal.Seal(t.Context(), f.Sealer, "session", f.now, 1); err == nil {
		t.Error("the vault was asked within the pause")
	}
	f.now = f.now.Add(time.Second)
	f.seal(t, "session")
}

// An unknown key id while the vault is down signs nobody out: the value may be ours.
func TestUnknownIDWhileDown(t *testing.T) {
	store := secrettest.New()
	add(t, store, keyText('a'))
	_, down := counting(store)
	f := newFixture(store)
	f.seal(t, "session")
	add(t, store, keyText('b'))
	sealed := newFixture(store).seal(t, "session")
	down.Store(true)
	for range 3 {
		if err := f.open(t.Context(), "session", sealed); !errors.Is(err, secret.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
	down.Store(false)
	f.now = f.now.Add(30 * time.Second)
	if err := f.open(t.Context(), "session", sealed); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// TestVaultThatHangs: whoever has a session waits two seconds for newer keys, not ten.
func TestVaultThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secrettest.New()
		add(t, store, keyText('a'))
		f := newFixture(store)
		sealed := f.seal(t, "session")
		store.Fault = func(string, string, bool) error {
			time.Sleep(time.Minute)
			return nil
		}
		f.now = f.now.Add(59 * time.Minute)
		if started := time.Now(); f.open(t.Context(), "session", sealed) != nil || time.Since(started) != 0 {
			t.Errorf("within the hour: %v", time.Since(started))
		}
		sealed, err := seal.Seal(t.Context(), f.Sealer, "session", f.now.Add(time.Hour), session{})
		if err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(time.Minute)
		started := time.Now()
		if err := f.open(t.Context(), "session", sealed); err != nil || time.Since(started) != 2*time.Second {
			t.Errorf("after an hour: %v, %v", time.Since(started), err)
		}
		time.Sleep(5 * time.Minute) // the reading ends
	})
}

// lagging lists a version only after it has been listed once before, as a store that is replicated may.
type lagging struct {
	*secrettest.Store
	listed int
}

func (l *lagging) Versions(ctx context.Context, name string) ([]secret.Version, error) {
	if l.listed++; l.listed <= 2 {
		return nil, nil
	}
	return l.Store.Versions(ctx, name)
}

func TestListThatLags(t *testing.T) {
	store := &lagging{Store: secrettest.New()}
	f := newFixture(store.Store)
	f.Keys = seal.NewKeys(name, store, f.Now, newFixture(store.Store).logger())
	sealed := f.seal(t, "session")
	f.now = f.now.Add(time.Hour - time.Second)
	if err := f.open(t.Context(), "session", sealed); err != nil || len(store.Enabled(name)) != 1 {
		t.Errorf("%v, versions %q", err, store.Enabled(name))
	}
}

func TestCallerThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(secrettest.New())
		f.store.Fault = func(string, string, bool) error {
			time.Sleep(time.Second)
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := seal.Seal(ctx, f.Sealer, "session", f.now, 1)
		if !errors.Is(err, secret.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute) // the reading ends
		f.seal(t, "session")
		if n := len(f.store.Enabled(name)); n != 1 {
			t.Errorf("%d versions", n)
		}
	})
}
