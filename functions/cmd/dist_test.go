package cmd_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
)

// make dist stages what the Functions host reads and nothing else, and packs the same files into
// a zip. It gives the same bytes every time: from another folder, without git, beside files that
// must never be published, and with settings that build for newer machines.
func TestDist(t *testing.T) {
	t.Parallel()
	dependOnSources(t)
	dist := filepath.Join(t.TempDir(), "dist")
	runMake(t, root, "dist", "DIST="+dist, "VERSION=dev")
	other := export(t)
	for _, name := range []string{"local.settings.json", "dist/host.json", "dist/local.settings.json", "dist/a-function-of-before/function.json", "dist.zip"} {
		leaveFile(t, filepath.Join(other, name))
	}
	runMake(t, other, "dist", "GOAMD64=v3")

	want := stagedFiles(t)
	if got := files(t, dist); !slices.Equal(got, want) {
		t.Errorf("dist holds %q, want %q", got, want)
	}
	if got := files(t, filepath.Join(other, "dist")); !slices.Equal(got, want) {
		t.Errorf("with local.settings.json in the folder, dist holds %q, want %q", got, want)
	}
	for _, name := range append(prefixed("dist/", want), "dist.zip") {
		if !bytes.Equal(read(t, filepath.Dir(dist), name), read(t, other, name)) {
			t.Errorf("%s differs between two runs of make dist", name)
		}
	}
	checkHandler(t, dist)
	checkZip(t, dist+".zip", dist, "handler")
	t.Run("the zip runs", func(t *testing.T) { checkScriptRoot(t, unpack(t, dist+".zip")) })
}

// stagedFiles returns the files that the Functions host reads.
func stagedFiles(t *testing.T) []string {
	t.Helper()
	names := []string{"handler", "host.json"}
	functions, err := filepath.Glob(filepath.Join(root, "functions", "*", "function.json"))
	if err != nil || len(functions) == 0 {
		t.Fatalf("no function.json found: %v", err)
	}
	for _, path := range functions {
		names = append(names, filepath.Base(filepath.Dir(path))+"/function.json")
	}
	slices.Sort(names)
	return names
}

func prefixed(prefix string, names []string) (all []string) {
	for _, name := range names {
		all = append(all, prefix+name)
	}
	return all
}

// leaveFile leaves a file of an earlier build.
func leaveFile(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"Values":{"AZURE_CLIENT_SECRET":"canary"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkHandler checks that the host finds the program, may start it, and packs it as executable:
// it sets the executable bit only for the entry that is string-equal to defaultExecutablePath.
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
	if info.Mode()&0o111 == 0 || info.Size() > 25_000_000 {
		t.Errorf("handler: mode %v, %d bytes (at most 25 MB)", info.Mode(), info.Size())
	}
	checkStatic(t, filepath.Join(dist, "handler"), elf.EM_X86_64)
}

// checkStatic checks that the program is for the machine, and needs only a kernel there.
func checkStatic(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine || f.OSABI != elf.ELFOSABI_NONE {
		t.Errorf("%s is for %v, %v; want %v", path, f.Machine, f.OSABI, machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is linked dynamically: it has a %v", path, p.Type)
		}
	}
}

// checkZip checks that the zip holds the files of the folder under their names there, and that
// the program is executable.
func checkZip(t *testing.T, path, folder, program string) {
	t.Helper()
	var names []string
	for _, entry := range entries(t, path) {
		names = append(names, entry.Name)
		mode := fs.FileMode(0o644)
		if entry.Name == program {
			mode = 0o755
		}
		if entry.Mode() != mode || len(entry.Extra) > 0 {
			t.Errorf("%s in %s: mode %v, extra fields %q", entry.Name, path, entry.Mode(), entry.Extra)
		}
		if !bytes.Equal(content(t, entry), read(t, folder, entry.Name)) {
			t.Errorf("%s in %s is another than in %s", entry.Name, path, folder)
		}
	}
	want := slices.DeleteFunc(files(t, folder), func(name string) bool { return name == filepath.Base(path) })
	if !slices.Equal(names, want) {
		t.Errorf("%s holds %q, the folder %q", path, names, want)
	}
}

func entries(t *testing.T, path string) []*zip.File {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = archive.Close() }) // only read from
	return archive.File
}

func content(t *testing.T, entry *zip.File) []byte {
	t.Helper()
	r, err := entry.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unpack unpacks a zip as a cloud does: it keeps names and modes.
func unpack(t *testing.T, path string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, entry := range entries(t, path) {
		to := filepath.Join(folder, entry.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content(t, entry), entry.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// checkScriptRoot checks that the handler starts and answers GET /, and that the host finds its
// functions.
func checkScriptRoot(t *testing.T, folder string) {
	cloudtest.DistOnly(t)
	env := cloudtest.Start(t).Env("UseDevelopmentStorage=true", "FHIRLINK_SECRET_EXPIRY_SCHEDULE=0 * * * * *")
	p := cloudtest.Run(t, filepath.Join(folder, "handler"), env)
	p.Ready(t)
	get(t, p.URL+"/", `"service":"fhirlink"`)
	// The version is the one that make uses without git.
	get(t, hosttest.Serve(t, &hosttest.Host{Root: folder, Settings: env})+"/api/health", `"program":"azure"`, `"version":"dev"`)
}

// get wants a successful answer that contains the texts.
func get(t *testing.T, url string, contains ...string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", url, response.Status, body, err)
	}
	for _, want := range contains {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s answers without %s: %s", url, want, body)
		}
	}
}

// make dist removes what it staged before, and nothing else.
func TestDistSparesOtherFolders(t *testing.T) {
	for name, content := range map[string][]string{
		"something else":            {"letters/letter.txt"},
		"a repository":              {".git/config", "host.json"},
		"another functions project": {"hello/function.json", "hello/index.js", "host.json"},
		"a file":                    {"go.mod"},
	} {
		t.Run(name, func(t *testing.T) {
			other := filepath.Join(t.TempDir(), "a folder of mine")
			for _, file := range content {
				leaveFile(t, filepath.Join(other, file))
			}
			out, err := makeCommand(t, root, "dist", "DIST="+other).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "would be removed") {
				t.Errorf("%v: %s", err, out)
			}
			if got := files(t, other); !slices.Equal(got, content) {
				t.Errorf("the folder holds %q", got)
			}
		})
	}
}

// make dist-lambda builds for both architectures of Lambda, and packs what Lambda starts.
func TestDistLambda(t *testing.T) {
	t.Parallel()
	dependOnSources(t)
	folder := export(t)
	dist := filepath.Join(folder, "dist-lambda")
	for _, tt := range []struct {
		args    []string
		machine elf.Machine
	}{
		{nil, elf.EM_AARCH64},
		{[]string{"GOARCH=amd64"}, elf.EM_X86_64},
	} {
		leaveFile(t, filepath.Join(dist, "local.settings.json"))
		runMake(t, folder, append([]string{"dist-lambda"}, tt.args...)...)
		if got, want := files(t, dist), []string{"bootstrap", "function.zip"}; !slices.Equal(got, want) {
			t.Errorf("%v: dist-lambda holds %q, want %q", tt.machine, got, want)
		}
		checkStatic(t, filepath.Join(dist, "bootstrap"), tt.machine)
		checkZip(t, filepath.Join(dist, "function.zip"), dist, "bootstrap")
	}
}

func runMake(t testing.TB, folder string, args ...string) {
	t.Helper()
	if out, err := makeCommand(t, folder, args...).CombinedOutput(); err != nil {
		t.Fatalf("make %q: %v\n%s", args, err, out)
	}
}

// makeCommand runs make in a folder, without git, and without the variables of a make that runs
// this test.
func makeCommand(t testing.TB, folder string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory"}, args...)...)
	cmd.Dir = folder
	cmd.Env = slices.DeleteFunc(os.Environ(), func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		return slices.Contains([]string{"DIST", "GOARCH", "VERSION"}, name) || strings.HasPrefix(name, "MAKE")
	})
	cmd.Env = append(cmd.Env, "GIT_DIR="+filepath.Join(t.TempDir(), "none"))
	return cmd
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
