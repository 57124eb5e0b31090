package cmd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's folder, seen from this test.
const root = "../.."

// sources are what make builds from, below root.
var sources = []string{"functions", "shared", "infra/pack", "go.mod", "go.sum", "host.json", "Makefile"}

// eachSource visits every file and folder of the sources, by its name below root.
func eachSource(t *testing.T, visit func(name string, entry fs.DirEntry) error) {
	t.Helper()
	for _, source := range sources {
		err := fs.WalkDir(os.DirFS(root), source, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
				return fs.SkipDir
			}
			return visit(name, entry)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dependOnSources makes the go command forget a passed test when any source changes. It
// remembers one until a file that the test itself looked at changes, and knows nothing of what
// the go command and make, started by these tests, looked at.
func dependOnSources(t *testing.T) {
	t.Helper()
	eachSource(t, func(name string, _ fs.DirEntry) error {
		_, err := os.Stat(filepath.Join(root, name))
		return err
	})
}

// export copies the sources to a folder of their own, as they are without git.
func export(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	eachSource(t, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(folder, name), 0o755)
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, name), data, 0o644)
	})
	return folder
}
