package bolt_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"fhirlink/shared/secret"
	"fhirlink/shared/secret/bolt"
	"fhirlink/shared/secret/secrettest"
)

const canary = "canary~8Q.plain-text"

// files are the data file and the key file of one test.
type files struct{ data, key string }

func newFiles(t *testing.T) files {
	folder := t.TempDir()
	return files{filepath.Join(folder, "links.db"), filepath.Join(folder, "secrets.key")}
}

func (f files) open(t *testing.T) (*bolt.Store, *bbolt.DB, error) {
	t.Helper()
	db, err := bbolt.Open(f.data, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // some tests close it earlier
	store, err := bolt.New(db, f.key)
	return store, db, err
}

func (f files) mustOpen(t *testing.T) (*bolt.Store, *bbolt.DB) {
	t.Helper()
	store, db, err := f.open(t)
	if err != nil {
		t.Fatal(err)
	}
	return store, db
}

func TestStore(t *testing.T) {
	secrettest.Run(t, func(t *testing.T) secret.Store {
		store, _ := newFiles(t).mustOpen(t)
		return store
	})
}

func put(t *testing.T, s *bolt.Store, name, text string) string {
	t.Helper()
	version, err := s.Put(t.Context(), name, secret.New(text), secret.Attributes{Slug: "clinic"})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// Values, states and used names survive a restart.
func TestReopens(t *testing.T) {
	f := newFiles(t)
	store, db := f.mustOpen(t)
	version, disabled := put(t, store, "link-a", canary), put(t, store, "link-a", "other")
	put(t, store, "link-b", "gone")
	err := errors.Join(
		store.Update(t.Context(), "link-a", disabled, false, secret.Attributes{}),
		store.Delete(t.Context(), "link-b"),
		db.Close())
	if err != nil {
		t.Fatal(err)
	}
	store, _ = f.mustOpen(t)
	if v, err := store.Get(t.Context(), "link-a", version); err != nil || v.Reveal() != canary {
		t.Errorf("Get = %v", err)
	}
	if _, err := store.Get(t.Context(), "link-a", disabled); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("Get of the disabled one = %v", err)
	}
	if _, err := store.Put(t.Context(), "link-b", secret.New("x"), secret.Attributes{}); !errors.Is(err, secret.ErrNameUsed) {
		t.Errorf("Put = %v", err)
	}
}

// The data file never contains the text, at any time or in any part.
func TestNothingPlainOnDisk(t *testing.T) {
	f := newFiles(t)
	store, db := f.mustOpen(t)
	look := func(when string) {
		t.Helper()
		data, err := os.ReadFile(f.data)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("canary")) || bytes.Contains(data, []byte("Y2FuYXJ5")) || !bytes.Contains(data, []byte("link-a")) {
			t.Errorf("%s: the data file holds the text, or not even the name", when)
		}
	}
	version := put(t, store, "link-a", canary)
	look("after Put")
	for range 20 {
		put(t, store, "link-a", canary)
	}
	if err := store.Update(t.Context(), "link-a", version, false, secret.Attributes{}); err != nil {
		t.Fatal(err)
	}
	look("after Update")
	if err := errors.Join(store.Delete(t.Context(), "link-a"), db.Close()); err != nil {
		t.Fatal(err)
	}
	look("after Delete")
	a, b := newFiles(t), newFiles(t)
	for _, f := range []files{a, b} {
		s, _ := f.mustOpen(t)
		put(t, s, "link-a", canary)
	}
	if keyA, keyB := read(t, a.key), read(t, b.key); keyA == keyB || len(keyA) != 45 {
		t.Errorf("keys %d and %d bytes, the same: %v", len(keyA), len(keyB), keyA == keyB)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestKeyFile(t *testing.T) {
	f := newFiles(t)
	_, db := f.mustOpen(t)
	info, err := os.Stat(f.key)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("%v (%v)", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(f.key), "*.tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	other := newFiles(t)
	other.mustOpen(t)
	right := read(t, f.key)
	for _, c := range []struct {
		name   string
		damage func() error
		want   string
	}{
		{"missing", func() error { return os.Remove(f.key) }, "is missing"},
		{"of other data", func() error { return os.WriteFile(f.key, []byte(read(t, other.key)), 0o600) }, "is not the one that sealed this data file"},
		{"cut", func() error { return os.WriteFile(f.key, []byte(right[:20]), 0o600) }, "is not a key file"},
		{"empty", func() error { return os.WriteFile(f.key, nil, 0o600) }, "is not a key file"},
		{"readable by the group", func() error { return os.Chmod(f.key, 0o640) }, "can be read by others (mode 0640)"},
		{"readable by all", func() error { return os.Chmod(f.key, 0o604) }, "chmod 600"},
		{"a folder", func() error { return errors.Join(os.Remove(f.key), os.Mkdir(f.key, 0o700)) }, "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(c.name, "readable") {
				return // Windows has no mode bits
			}
			if err := errors.Join(os.RemoveAll(f.key), os.WriteFile(f.key, []byte(right), 0o600), c.damage()); err != nil {
				t.Fatal(err)
			}
			_, db, err := f.open(t)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), strings.TrimSpace(right)) {
				t.Errorf("New = %v, want %q", err, c.want)
			}
			if c.name == "missing" {
				if _, err := os.Stat(f.key); !errors.Is(err, fs.ErrNotExist) {
					t.Error("a new key was made although the data is sealed with another")
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := errors.Join(os.RemoveAll(f.key), os.WriteFile(f.key, []byte(right), 0o600)); err != nil {
		t.Fatal(err)
	}
	f.mustOpen(t)
}

// A key that cannot be written is an error at the start, not at the first secret.
func TestKeyFolderMissing(t *testing.T) {
	f := newFiles(t)
	f.key = filepath.Join(filepath.Dir(f.key), "absent", "secrets.key")
	if _, _, err := f.open(t); err == nil || !strings.Contains(err.Error(), "key file") {
		t.Errorf("New = %v", err)
	}
}

// A record that was changed or moved to another name is an error.
func TestTampering(t *testing.T) {
	f := newFiles(t)
	store, db := f.mustOpen(t)
	a, b := put(t, store, "link-a", canary), put(t, store, "link-b", "other")
	bucket := []byte("secrets")
	change := func(f func(*bbolt.Bucket) error) {
		t.Helper()
		if err := db.Update(func(tx *bbolt.Tx) error { return f(tx.Bucket(bucket)) }); err != nil {
			t.Fatal(err)
		}
	}
	change(func(bucket *bbolt.Bucket) error {
		return bucket.Put([]byte("link-b/"+b), bytes.Clone(bucket.Get([]byte("link-a/"+a))))
	})
	if v, err := store.Get(t.Context(), "link-b", b); !errors.Is(err, secret.ErrUnavailable) || !v.IsZero() {
		t.Errorf("a moved record: %v", err)
	}
	change(func(bucket *bbolt.Bucket) error { return bucket.Put([]byte("link-a/"+a), []byte("{")) })
	_, err := store.Versions(t.Context(), "link-a")
	for _, err := range []error{err, store.Update(t.Context(), "link-a", a, true, secret.Attributes{})} {
		if !errors.Is(err, secret.ErrUnavailable) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a damaged record: %v", err)
		}
	}
	if err := store.Delete(t.Context(), "link-a"); err != nil {
		t.Errorf("a damaged record cannot be deleted: %v", err)
	}
}

func TestClosed(t *testing.T) {
	store, db := newFiles(t).mustOpen(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "link-a", secret.New(canary), secret.Attributes{}); !errors.Is(err, secret.ErrUnavailable) || strings.Contains(err.Error(), "canary") {
		t.Errorf("Put = %v", err)
	}
	if _, err := bolt.New(db, "x"); err == nil {
		t.Error("New over a closed file")
	}
}
