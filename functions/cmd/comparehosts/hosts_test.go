package comparehosts_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	// The programs are built from these packages, so go test's cache knows when to run this
	// again.
	_ "fhirlink/functions"
	_ "fhirlink/functions/cmd/internal/cloud"
	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
	"fhirlink/shared/store/aztable/tabletest"
)

// table returns the connection string of an empty table service: an account of Azurite when it
// runs (make azurite-test), otherwise a stand-in.
func table(t testing.TB) string {
	t.Helper()
	if connection := os.Getenv("AZURITE_TABLE_CONNECTION_STRING"); connection != "" {
		n := accounts.Add(1)
		if n > 56 { // functions/cmd/azure uses the others
			t.Fatal(".ci/azurite has no more accounts for this package")
		}
		return strings.ReplaceAll(connection, "fhirlink;", fmt.Sprintf("fhirlink%d;", n))
	}
	return tabletest.Start(t)
}

// accounts counts the accounts of Azurite in use.
var accounts atomic.Int32

// program returns the path of a built program.
func program(t testing.TB, name string) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

// build builds all three at once, from the same sources. The tag is the one of make dist-lambda,
// and the other programs ignore it.
var build = sync.OnceValue(func() error {
	arguments := []string{"build", "-trimpath", "-tags", "lambda.norpc", "-o", folder + string(filepath.Separator)}
	for _, name := range []string{"local", "azure", "lambda"} {
		arguments = append(arguments, "fhirlink/functions/cmd/"+name)
	}
	if out, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// folder is where the programs are built.
var folder string

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" { // see TestLambdaPanic
		panicFunction()
		return
	}
	if os.Getenv(lossyProgram) != "" { // see TestDeliveredAgain
		fmt.Fprintln(os.Stderr, lossyHandler())
		os.Exit(1)
	}
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "comparehosts"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

// scriptRoot stages the files of make dist, for this machine.
func scriptRoot(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	copyFile(t, "../../../host.json", filepath.Join(root, "host.json"))
	files, err := filepath.Glob("../../*/function.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no function.json", err)
	}
	for _, file := range files {
		copyFile(t, file, filepath.Join(root, filepath.Base(filepath.Dir(file)), "function.json"))
	}
	if err := os.Symlink(program(t, "azure"), filepath.Join(root, "handler")); err != nil {
		t.Fatal(err)
	}
	return root
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// running is a program behind its host.
type running struct {
	url     string
	printed []*cloudtest.Output
}

// functionsHost starts the simulated host around cmd/azure.
func functionsHost(t testing.TB, cloud *cloudtest.Cloud, table string, more ...string) *hosttest.Host {
	t.Helper()
	more = append(more, "FHIRLINK_SECRET_EXPIRY_SCHEDULE=0 * * * * *")
	return &hosttest.Host{Root: scriptRoot(t), Settings: settings(cloud, table, more...)}
}

func startProxying(t *testing.T, cloud *cloudtest.Cloud, table string) running {
	return serve(t, functionsHost(t, cloud, table))
}

// startForwarding starts a host from before proxying was supported.
func startForwarding(t *testing.T, cloud *cloudtest.Cloud, table string) running {
	return serve(t, functionsHost(t, cloud, table, "AzureFunctionsJobHost__customHandler__enableProxyingHttpRequest=false"))
}

func serve(t *testing.T, h *hosttest.Host) running {
	t.Helper()
	printed := &cloudtest.Output{}
	h.Console = func(line hosttest.Line) { fmt.Fprintln(printed, line.Text) }
	return running{hosttest.Serve(t, h), []*cloudtest.Output{printed}}
}

// startLocal needs no table, because cmd/local keeps everything in a file.
func startLocal(t *testing.T, cloud *cloudtest.Cloud, _ string) running {
	addr := freeAddress(t)
	stdout, stderr := run(t, program(t, "local"), settings(cloud, ""), "-addr", addr, "-data", t.TempDir(), "-sandbox=false", "-sign-in")
	url := "http://" + addr
	for range 1000 {
		if answers(url) {
			return running{url, []*cloudtest.Output{stdout, stderr}}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("cmd/local does not answer")
	return running{}
}

// answers reports whether cmd/local answers. Its port was free when it was chosen, but another
// process may have taken it since.
func answers(url string) bool {
	response, err := http.Get(url + "/api/health")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var health struct{ Program string }
	return json.NewDecoder(response.Body).Decode(&health) == nil && health.Program == "local"
}

// run runs a program until the test ends. If the test fails, its stderr is logged.
func run(t *testing.T, path string, env []string, args ...string) (stdout, stderr *cloudtest.Output) {
	t.Helper()
	cmd := exec.Command(path, args...)
	stdout, stderr = &cloudtest.Output{}, &cloudtest.Output{}
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
		if t.Failed() {
			t.Log(stderr)
		}
	})
	return stdout, stderr
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
