package cmd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's folder, relative to this test.
const root = "../.."

// sources are the files and folders that make builds from, below root.
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
			case name == "functions/clients": // nothing is built from it, and npm installs thousands of files there
				return fs.SkipDir
			}
			return visit(name, entry)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dependOnSources makes the go command rerun a passed test when any source changes. The go
// command caches a result until a file that the test itself read changes. It does not see what
// the go command and make read when a test starts them.
func dependOnSources(t *testing.T) {
	t.Helper()
	eachSource(t, func(name string, _ fs.DirEntry) error {
		_, err := os.Stat(filepath.Join(root, name))
		return err
	})
}

// export copies the sources to a separate folder without git.
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
