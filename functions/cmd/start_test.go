package cmd_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// make start reports what is missing and what to do, and otherwise runs Core Tools on a separate
// folder. What it puts there, settings included, never reaches dist/.
func TestStart(t *testing.T) {
	t.Parallel()
	dependOnSources(t)
	folder := export(t)
	start := func(path string, fails bool, says ...string) {
		t.Helper()
		cmd := makeCommand(t, folder, "start")
		cmd.Env = append(cmd.Env, "PATH="+path)
		out, err := cmd.CombinedOutput()
		if (err != nil) != fails {
			t.Errorf("make start: %v", err)
		}
		for _, want := range says {
			if !strings.Contains(string(out), want) {
				t.Errorf("make start does not say %q:\n%s", want, out)
			}
		}
	}
	start(t.TempDir(), true, "Core Tools (the command func) are not installed", "npm install -g azure-functions-core-tools@4")

	withTools := coreTools(t) + string(filepath.ListSeparator) + os.Getenv("PATH")
	start(withTools, true, "no local.settings.json", "cp local.settings.json.example local.settings.json")

	leaveFile(t, filepath.Join(folder, "local.settings.json"))
	start(withTools, false, "ran func start --script-root dist-local")
	staged := stagedFiles(t)
	withSettings := slices.Sorted(slices.Values(append([]string{"local.settings.json"}, staged...)))
	if got := files(t, filepath.Join(folder, "dist-local")); !slices.Equal(got, withSettings) {
		t.Errorf("dist-local holds %q", got)
	}
	runMake(t, folder, "dist")
	if got := files(t, filepath.Join(folder, "dist")); !slices.Equal(got, staged) {
		t.Errorf("after make start, dist holds %q", got)
	}
}

// coreTools returns a folder with a command func that reports how it was called.
func coreTools(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "func"), []byte("#!/bin/sh\necho ran func \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}
