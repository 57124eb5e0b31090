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

// dependOnSources makes the go command forget a passed test when any source changes. It
// remembers one until a file that the test itself looked at changes, and knows nothing of what
// the go command and make, started by these tests, looked at.
func dependOnSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"functions", "shared", "go.mod", "go.sum", "host.json", "Makefile"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasPrefix(entry.Name(), ".") && entry.IsDir() {
				return fs.SkipDir
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
