package keyfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fhirlink/shared/signer"
	"fhirlink/shared/signer/keyfile"
	"fhirlink/shared/signer/signertest"
)

func TestFile(t *testing.T) {
	signertest.Run(t, func(t *testing.T) signer.Versions { return keyfile.New(filepath.Join(t.TempDir(), "key.pem")) })
}

// TestMadeOnce: of several processes that need the key first, all use the same one, and nothing else is
// left in the folder.
func TestMadeOnce(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "key.pem")
	var wg sync.WaitGroup
	seen := make([]signer.Version, 4)
	for i := range seen {
		wg.Go(func() {
			versions, err := keyfile.New(path).Versions(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			seen[i] = versions[0]
		})
	}
	wg.Wait()
	for _, v := range seen[1:] {
		if v.Public == nil || !v.Public.Equal(seen[0].Public) {
			t.Errorf("two keys are used")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestFileThatIsNoKey(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"empty": "", "text": "canary", "ec": "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n"} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.New(path).Versions(t.Context()); !errors.Is(err, signer.ErrUnavailable) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keyfile.New(filepath.Join(folder, "none", "key.pem")).Versions(t.Context()); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
