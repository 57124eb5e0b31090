package bolt_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/store"
	"fhirlink/shared/store/bolt"
	"fhirlink/shared/store/storetest"
)

func open(t *testing.T) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "links.db"), 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newStore(t *testing.T, db *bbolt.DB) *bolt.Store {
	t.Helper()
	s, err := bolt.New(db)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *bolt.Store { return newStore(t, open(t)) })
}

func put(t *testing.T, db *bbolt.DB, bucket, key, value string) {
	t.Helper()
	err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value)) })
	if err != nil {
		t.Fatal(err)
	}
}

// TestFormat checks that the driver reads rows from earlier versions.
func TestFormat(t *testing.T) {
	db := open(t)
	s := newStore(t, db)
	data, err := os.ReadFile(filepath.Join("testdata", "row.json"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, "links", "good-health-clinic", string(data))
	l, err := s.Get(t.Context(), "good-health-clinic")
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(map[string]any{"OpID": "OP", "Link": l}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := errors.Join(json.Unmarshal(data, &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	wantLink, gotLink := want["Link"].(map[string]any), got["Link"].(map[string]any)
	for field, value := range wantLink {
		if w, g := mustJSON(t, value), mustJSON(t, gotLink[field]); w != g {
			t.Errorf("%s reads as %s, the file has %s", field, g, w)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCorruptRow(t *testing.T) {
	for name, data := range map[string]string{
		"empty": "", "not JSON": "\x00\xff", "cut off": `{"OpID":"x","Link":{"Slug":"clin`,
		"no OpID": `{"Link":{"Slug":"clinic"}}`, "another slug": `{"OpID":"x","Link":{"Slug":"other"}}`,
		"wrong type": `{"OpID":"x","Link":{"Slug":"clinic","Revision":"7"}}`, "null": "null",
		"no time": `{"OpID":"x","Link":{"Slug":"clinic","NextVerify":"soon"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			s := newStore(t, db)
			put(t, db, "links", "clinic", data)
			keep := func(l link.Link) (link.Link, error) { return l, nil }
			_, getErr := s.Get(t.Context(), "clinic")
			insertErr := s.Insert(t.Context(), link.Link{Slug: "clinic"})
			_, updateErr := s.Update(t.Context(), "clinic", keep)
			gone, removeErr := s.Remove(t.Context(), "clinic", func(link.Link) bool { return true })
			for op, err := range map[string]error{"Get": getErr, "Insert": insertErr, "Update": updateErr, "Remove": removeErr} {
				if err == nil || !strings.Contains(err.Error(), `"clinic"`) ||
					errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrExists) {
					t.Errorf("%s = %v, want an error that names the slug", op, err)
				}
			}
			if gone {
				t.Error("Remove says that the row is gone")
			}
			if err := s.Insert(t.Context(), link.Link{Slug: "sound"}); err != nil {
				t.Errorf("a corrupt row affects the others: %v", err)
			}
		})
	}
}

func TestCorruptIndex(t *testing.T) {
	db := open(t)
	s := newStore(t, db)
	put(t, db, "links.due", "short", "")
	if err := s.Insert(t.Context(), link.Link{Slug: "sound", Phase: link.Live, Condition: condition.Condition{NextVerify: time.Unix(1, 0)}}); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.Due(t.Context(), time.Now(), func(link.Slug) bool { n++; return true }); err == nil || n != 1 {
		t.Errorf("Due yields %d, %v, want the sound entry and an error about the other", n, err)
	}
}

func TestClosedFile(t *testing.T) {
	db := open(t)
	s := newStore(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "clinic"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get of a closed file = %v, want ErrUnavailable", err)
	}
	if err := s.Insert(t.Context(), link.Link{Slug: "clinic"}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Insert into a closed file = %v, want ErrUnavailable", err)
	}
	if _, err := bolt.New(db); err == nil {
		t.Error("New of a closed file succeeds")
	}
}

// TestDueOfOtherVersion: the entry in the index follows the row, even if another version of the
// program wrote the row with another Link.Due.
func TestDueOfOtherVersion(t *testing.T) {
	db := open(t)
	s := newStore(t, db)
	if err := s.Insert(t.Context(), link.Link{Slug: "clinic", Phase: link.Live, Condition: condition.Condition{NextVerify: time.Unix(1, 0)}}); err != nil {
		t.Fatal(err)
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		data := tx.Bucket([]byte("links")).Get([]byte("clinic"))
		other := strings.ReplaceAll(string(data), `"NextVerify":"1970-01-01T00:00:01Z"`, `"NextVerify":"1970-01-01T00:00:02Z"`)
		if other == string(data) {
			t.Fatalf("no NextVerify in %s", data)
		}
		return tx.Bucket([]byte("links")).Put([]byte("clinic"), []byte(other))
	})
	if err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Remove(t.Context(), "clinic", func(link.Link) bool { return true }); !gone || err != nil {
		t.Fatal(gone, err)
	}
	if err := s.Due(t.Context(), time.Now(), func(link.Slug) bool { t.Error("the index kept an entry"); return true }); err != nil {
		t.Error(err)
	}
}

func TestKeptAcrossOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 2 {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		s := newStore(t, db)
		if i == 0 {
			if err := s.Insert(t.Context(), link.Link{Slug: "clinic", Phase: link.Live, Condition: condition.Condition{NextVerify: at}}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		if err := s.Due(t.Context(), at, func(link.Slug) bool { n++; return true }); err != nil || n != 1 {
			t.Errorf("open %d: %d due, %v", i, n, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzDue: keys of the index sort in the order of time, and contain the slug.
func FuzzDue(f *testing.F) {
	f.Add(int64(0), int64(1), "a", "b")
	f.Add(int64(-1), int64(0), "clinic", "clinic-2")
	f.Add(int64(1_700_000_000_000_000), int64(1_700_000_000_000_000), "x", "xy")
	f.Fuzz(func(t *testing.T, first, second int64, a, b string) {
		at := [2]time.Time{time.UnixMicro(first).UTC(), time.UnixMicro(second).UTC()}
		if a == "" || b == "" || a == b || len(a)+len(b) > 1000 || !utf8.ValidString(a+b) ||
			at[0].IsZero() || at[1].IsZero() || at[0].Year() < 0 || at[0].Year() > 9999 || at[1].Year() < 0 || at[1].Year() > 9999 {
			return
		}
		s := newStore(t, open(t))
		want := 0
		for i, slug := range []string{a, b} {
			if err := s.Insert(t.Context(), link.Link{Slug: link.Slug(slug), Phase: link.Live, Condition: condition.Condition{NextVerify: at[i]}}); err != nil {
				t.Fatal(err)
			}
			if !at[i].After(at[0]) {
				want++
			}
		}
		got := 0
		err := s.Due(t.Context(), at[0], func(slug link.Slug) bool {
			if string(slug) != a && string(slug) != b {
				t.Errorf("the index names %q, not %q or %q", slug, a, b)
			}
			got++
			return true
		})
		if err != nil || got != want {
			t.Errorf("at %v %d are due, want %d: %v", at[0], got, want, err)
		}
	})
}

// TestCorruptTrailAndCell: the error names the corrupt entry, and the others can still be used.
func TestCorruptTrailAndCell(t *testing.T) {
	db := open(t)
	s := newStore(t, db)
	put(t, db, "links.trail", "org\x00clinic\x001", "{")
	put(t, db, "links.cells", "odd", "{}")
	if _, err := s.Events(t.Context(), "org", "clinic", "", 10); err == nil || !strings.Contains(err.Error(), `"clinic"`) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Events = %v", err)
	}
	if events, err := s.Events(t.Context(), "org", "clinic-2", "", 10); err != nil || len(events) > 0 {
		t.Errorf("Events of another = %v, %v", events, err)
	}
	if _, err := s.Cell(t.Context(), "odd"); err == nil || !strings.Contains(err.Error(), `"odd"`) {
		t.Errorf("Cell = %v", err)
	}
	if _, _, err := s.Swap(t.Context(), "odd", store.Cell{}, "x"); err == nil {
		t.Error("Swap wrote over a cell that cannot be read")
	}
}
