package bolt_test

import (
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"fhirlink/shared/seal"
	"fhirlink/shared/secret/bolt"
)

// TestSealingKeys: a value that was sealed before a restart is opened after it, and nobody else can
// read the files that the key is in.
func TestSealingKeys(t *testing.T) {
	f := newFiles(t)
	sealer := func(s *bolt.Store) *seal.Sealer {
		return &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", s, nil, slog.New(slog.DiscardHandler)), PublicURL: "http://localhost:7071"}
	}
	store, db := f.mustOpen(t)
	sealed, err := seal.Seal(t.Context(), sealer(store), "session", time.Now().Add(time.Hour), "value")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	store, _ = f.mustOpen(t)
	if got, _, err := seal.Open[string](t.Context(), sealer(store), "session", sealed); err != nil || got != "value" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	for _, file := range []string{f.data, f.key} {
		if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}
