package cmd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/azfunc/hosttest"
)

// BenchmarkUnderHost measures the time from the start to a client's first answer, under the
// simulated Functions host. What make dist stages runs in turns with a bare program in the same
// script root. Either time is mostly the host's polling, every 25 ms; BenchmarkStart has the
// program alone. Then it measures the process at rest.
func BenchmarkUnderHost(b *testing.B) {
	cloudtest.DistOnly(b)
	ours := filepath.Join(b.TempDir(), "dist")
	runMake(b, root, "dist", "DIST="+ours)
	bare := stageBare(b, ours)
	settings := cloudtest.Start(b).Env("UseDevelopmentStorage=true", "FHIRLINK_SECRET_EXPIRY_SCHEDULE=0 * * * * *")

	var a, z []time.Duration
	for range 21 {
		a = append(a, firstAnswer(b, ours, settings))
		z = append(z, firstAnswer(b, bare, settings))
	}
	ratio := float64(median(a)) / float64(median(z))
	table.report(ratio <= 3, "dist under the simulated host: from its start to the first answer, against a bare program", "≤ 3 ×",
		"%.2f × (%v against %v, medians)", ratio, median(a).Round(100*time.Microsecond), median(z).Round(100*time.Microsecond))

	resident := megabytes(atRest(b, ours, settings))
	table.report(resident < 30, "dist/handler at rest: resident memory", "< 30 MB", "%.1f MB", resident)
	info, err := os.Stat(filepath.Join(ours, "handler"))
	if err != nil {
		b.Fatal(err)
	}
	table.report(megabytes(info.Size()) <= 25, "dist/handler: size of the file", "≤ 25 MB", "%.1f MB", megabytes(info.Size()))
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// stageBare copies a script root, with the bare program as its handler, built as make builds
// ours.
func stageBare(b *testing.B, dist string) string {
	b.Helper()
	bare := filepath.Join(b.TempDir(), "bare")
	if err := os.CopyFS(bare, os.DirFS(dist)); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(bare, "handler"), "fhirlink/functions/cmd/testdata/bare")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return bare
}

// firstAnswer returns the time from the host's start to a client's first answer.
func firstAnswer(b *testing.B, scriptRoot string, settings []string) time.Duration {
	b.Helper()
	host := &hosttest.Host{Root: scriptRoot, Settings: settings}
	server := httptest.NewServer(host)
	defer server.Close()
	defer host.Close()
	start := time.Now()
	if _, err := host.Start(); err != nil {
		b.Fatal(err)
	}
	healthy(b, server.URL)
	return time.Since(start)
}

func healthy(b *testing.B, url string) {
	b.Helper()
	response, err := http.Get(url + "/api/health")
	if err != nil {
		b.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		b.Fatalf("GET /api/health: %s", response.Status)
	}
}

// atRest returns the resident memory of a handler that has answered and is idle.
func atRest(b *testing.B, scriptRoot string, settings []string) (bytes int64) {
	b.Helper()
	host := &hosttest.Host{Root: scriptRoot, Settings: settings}
	healthy(b, hosttest.Serve(b, host))
	time.Sleep(5 * time.Second)
	return resident(b, host.PID())
}

// resident reads VmRSS, which the kernel reports in units of 1024 bytes (proc_pid_status(5)).
func resident(b *testing.B, pid int) (bytes int64) {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &bytes); n == 1 { // other lines do not match
			return bytes * 1024
		}
	}
	b.Fatalf("/proc/%d/status has no VmRSS", pid)
	return 0
}
