package main

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// files are the contents of a folder, by name.
type files map[string]string

func (f files) stage(t *testing.T) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "dist")
	for name, content := range f {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// dist is what make dist stages. In order of names, a-b comes before a/c.
var dist = files{"host.json": "{}", "handler": strings.Repeat("machine code ", 10_000), "a/function.json": "[1]", "a-b/function.json": "[2]"}

// wanted are the program and the patterns of make dist.
var wanted = []string{"handler", "host.json", "*/function.json"}

// arguments returns those of a call that packs the folder into the file beside it.
func arguments(folder string) (file string, args []string) {
	file = folder + ".zip"
	return file, append([]string{folder, file}, wanted...)
}

func packed(t *testing.T, folder string) []byte {
	t.Helper()
	file, args := arguments(folder)
	var stderr strings.Builder
	if status := run(args, &stderr); status != 0 || stderr.Len() > 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestEntries(t *testing.T) {
	content := packed(t, dist.stage(t))
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range archive.File {
		names = append(names, entry.Name)
		mode := fs.FileMode(0o644)
		if entry.Name == "handler" {
			mode = 0o755
		}
		if entry.Mode() != mode || len(entry.Extra) > 0 || entry.Comment != "" || !entry.Modified.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: mode %v, extra %q, comment %q, modified %v", entry.Name, entry.Mode(), entry.Extra, entry.Comment, entry.Modified)
		}
		if got := contentOf(t, entry); got != dist[entry.Name] {
			t.Errorf("%s: %d bytes, %d were packed", entry.Name, len(got), len(dist[entry.Name]))
		}
	}
	if want := []string{"a-b/function.json", "a/function.json", "handler", "host.json"}; !slices.Equal(names, want) {
		t.Errorf("the entries are %q, want %q", names, want)
	}
}

func contentOf(t *testing.T, entry *zip.File) string {
	t.Helper()
	r, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Times and modes of the files make no difference, and neither does an earlier zip.
func TestSameBytes(t *testing.T) {
	first, folder := packed(t, dist.stage(t)), dist.stage(t)
	for name := range dist {
		path := filepath.Join(folder, name)
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(folder+".zip", bytes.Repeat(first, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, packed(t, folder)) {
		t.Error("the same files gave other bytes")
	}
}

func TestRefusals(t *testing.T) {
	with := func(name, content string) files {
		f := files{name: content}
		for name, content := range dist {
			f[name] = content
		}
		return f
	}
	tests := []struct {
		name   string
		folder files
		says   []string
	}{
		{"settings at the top", with("local.settings.json", "canary"), []string{"dist/local.settings.json", "one person", "delete the file"}},
		{"settings in a function's folder", with("a/Local.Settings.json", "canary"), []string{"dist/a/Local.Settings.json", "one person"}},
		{"a file of no use", with(".env", "canary"), []string{"dist/.env", "handler, host.json, */function.json", "delete the file"}},
		{"a function.json too deep", with("a/b/function.json", "canary"), []string{"dist/a/b/function.json", "only"}},
		{"no program", files{"host.json": "{}", "a/function.json": "{}"}, []string{"has no handler", "make"}},
		{"no functions", files{"host.json": "{}", "handler": "x"}, []string{"has no */function.json"}},
		{"nothing", files{"a/function.json": "{}"}, []string{"has no handler, host.json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.folder.stage(t), tt.says...) })
	}
	t.Run("no folder", func(t *testing.T) { refused(t, filepath.Join(t.TempDir(), "dist"), "dist") })
	t.Run("a link", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("SKIPPED: to make a link takes a privilege on Windows")
		}
		folder := dist.stage(t)
		if err := os.Symlink("/etc/hostname", filepath.Join(folder, "b")); err != nil {
			t.Fatal(err)
		}
		refused(t, folder, "no regular file")
	})
}

// refused wants no zip, and a message that contains all of says but nothing from the files.
func refused(t *testing.T, folder string, says ...string) {
	t.Helper()
	file, args := arguments(folder)
	var stderr strings.Builder
	status := run(args, &stderr)
	message := filepath.ToSlash(stderr.String())
	for _, want := range says {
		if !strings.Contains(message, want) {
			t.Errorf("it does not say %q: %s", want, message)
		}
	}
	if status != exitFailed || strings.Contains(message, "canary") {
		t.Errorf("status %d: %s", status, message)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a zip")
	}
}

// The settings stay out of the zip even if a pattern matches them.
func TestSettingsThatAPatternNames(t *testing.T) {
	folder := files{"handler": "x", "local.settings.json": "canary"}.stage(t)
	var stderr strings.Builder
	if status := run([]string{folder, folder + ".zip", "handler", "*.json"}, &stderr); status != exitFailed || !strings.Contains(stderr.String(), "one person") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"dist"}, {"dist", "dist.zip"}} {
		var stderr strings.Builder
		if status := run(args, &stderr); status != exitUsage || !strings.HasPrefix(stderr.String(), "usage: pack folder") {
			t.Errorf("%q: status %d: %s", args, status, &stderr)
		}
	}
}

// A malformed pattern, and a zip that cannot be written.
func TestOtherErrors(t *testing.T) {
	folder := files{"handler": "x", "b": "x"}.stage(t)
	for name, args := range map[string][]string{
		"syntax error in pattern": {folder, folder + ".zip", "handler", "["},
		"nowhere":                 {folder, filepath.Join(folder, "nowhere", "a.zip"), "handler", "b"},
	} {
		var stderr strings.Builder
		if status := run(args, &stderr); status != exitFailed || !strings.Contains(stderr.String(), name) {
			t.Errorf("%q: status %d: %s", args, status, &stderr)
		}
	}
}
