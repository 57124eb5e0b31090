package cmd_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// make dist stages what the Functions host reads and nothing else (above all no
// local.settings.json), and gives the same bytes every time.
func TestDist(t *testing.T) {
	dependOnSources(t)
	first, second := stage(t), stage(t)

	want := []string{"handler", "host.json"}
	functions, err := filepath.Glob(filepath.Join(root, "functions", "*", "function.json"))
	if err != nil || len(functions) == 0 {
		t.Fatalf("no function.json found: %v", err)
	}
	for _, path := range functions {
		want = append(want, filepath.Base(filepath.Dir(path))+"/function.json")
	}
	slices.Sort(want)
	if got := files(t, first); !slices.Equal(got, want) {
		t.Errorf("dist holds %q, want %q", got, want)
	}
	for _, name := range want {
		if string(read(t, first, name)) != string(read(t, second, name)) {
			t.Errorf("%s differs between two runs of make dist", name)
		}
	}
	checkHandler(t, first)
}

// checkHandler makes sure that the host finds, may start, and can hold the program: it sets the
// executable bit only for the entry that is string-equal to defaultExecutablePath.
func checkHandler(t *testing.T, dist string) {
	t.Helper()
	var host struct {
		CustomHandler struct {
			Description struct{ DefaultExecutablePath string }
		}
	}
	if err := json.Unmarshal(read(t, dist, "host.json"), &host); err != nil {
		t.Fatal(err)
	}
	if path := host.CustomHandler.Description.DefaultExecutablePath; path != "handler" {
		t.Errorf("host.json starts %q", path)
	}
	info, err := os.Stat(filepath.Join(dist, "handler"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o111 == 0 || info.Size() > 25<<20 {
		t.Errorf("handler: mode %v, %d bytes (at most 25 MB)", info.Mode(), info.Size())
	}
}

func stage(t *testing.T) string {
	t.Helper()
	dist := filepath.Join(t.TempDir(), "dist")
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "dist", "DIST="+dist)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // this test may run under make
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make dist: %v\n%s", err, out)
	}
	return dist
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
