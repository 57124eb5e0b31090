package cloudtest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build builds the program of a package, e.g. fhirlink/functions/cmd/azure.
func Build(t testing.TB, pkg string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// Process is a custom handler, run as the Functions host runs it.
type Process struct {
	URL    string
	Output *Output // stdout and stderr

	cmd    *exec.Cmd
	exited chan struct{} // closed when status is set
	status int
}

// Run starts a program on a free port. It is killed when the test ends.
func Run(t testing.TB, path string, env []string) *Process {
	t.Helper()
	p, err := Launch(path, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// Launch is Run for a caller that kills the process itself.
func Launch(path string, env []string) (*Process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &Process{URL: fmt.Sprintf("http://127.0.0.1:%d", port), Output: &Output{}, exited: make(chan struct{})}
	p.cmd = exec.Command(path)
	p.cmd.Env = append([]string{fmt.Sprintf("FUNCTIONS_CUSTOMHANDLER_PORT=%d", port)}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.Output, p.Output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the status is in ProcessState
		p.status = p.cmd.ProcessState.ExitCode()
		close(p.exited)
	}()
	return p, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Ready waits until GET / has any answer, as the host does, and returns how long that took.
func (p *Process) Ready(t testing.TB) time.Duration {
	t.Helper()
	for start := time.Now(); ; {
		if response, err := http.Get(p.URL + "/"); err == nil {
			response.Body.Close()
			return time.Since(start)
		}
		select {
		case <-p.exited:
			t.Fatalf("the program ended with status %d:\n%s", p.status, p.Output)
		case <-time.After(time.Millisecond):
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("no answer from %s:\n%s", p.URL, p.Output)
		}
	}
}

// Kill ends the program without a warning, as the host does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// Terminate asks the program to end, and returns its exit status.
func (p *Process) Terminate(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.Wait(t)
}

// Wait waits until the program ends and returns its exit status, or -1 after a signal.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.status
	case <-time.After(30 * time.Second):
		t.Fatalf("the program does not end:\n%s", p.Output)
		return 0
	}
}

// Output collects what a program prints.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns what the program has printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// DistOnly skips the test on machines that cannot run what make dist builds.
func DistOnly(t testing.TB) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: make dist builds for linux/amd64")
	}
	LinuxOnly(t)
}

// LinuxOnly skips the test where Go ignores SSL_CERT_FILE and asks the system which certificates
// to trust.
func LinuxOnly(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: this test needs SSL_CERT_FILE, which Go reads on Linux only")
	}
}
