package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/functions/cmd/internal/serve"
	"fhirlink/shared/config"
)

func env(settings map[string]string) config.Lookup {
	return func(name string) (string, bool) {
		value, ok := settings[name]
		return value, ok
	}
}

func good() map[string]string {
	return map[string]string{
		config.KeyVaultURL: "https://contoso.vault.azure.net", config.TableEndpoint: "https://contoso.table.core.windows.net",
		config.APIAudience: "66666666-6666-4666-8666-666666666666", config.AllowedTenants: "*",
		portSetting: "0",
	}
}

// Every mistake is reported at once, by name and without its value.
func TestWrongSettings(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), env(map[string]string{
		portSetting: "canary", config.KeyVaultURL: "http://canary", config.TableConnectionString: "AccountKey=canary", config.MaxLinks: "canary",
	}), &stdout, &stderr)
	if status != exitSettings {
		t.Errorf("exit status %d", status)
	}
	for _, name := range []string{portSetting, config.KeyVaultURL, config.TableConnectionString, config.MaxLinks, config.APIAudience, config.AllowedTenants} {
		if !strings.Contains(stderr.String(), name+":") {
			t.Errorf("%s is not named in:\n%s", name, &stderr)
		}
	}
	if strings.Contains(stderr.String()+stdout.String(), "canary") {
		t.Errorf("a value is printed:\n%s%s", &stderr, &stdout)
	}
}

func TestPort(t *testing.T) {
	for text, good := range map[string]bool{"8080": true, "65535": true, "0": false, "65536": false, "-1": false, "http": false} {
		if got, err := port(env(map[string]string{portSetting: text})); (err == nil) != good || good && got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if got, err := port(env(nil)); err != nil || got != "8080" {
		t.Errorf("without a host: %q, %v", got, err)
	}
}

// A port in use is not a fault of the settings, and must not exit with 0.
func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	settings := good()
	_, settings[portSetting], err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), env(settings), &stdout, &stderr); status != exitFailed || stderr.Len() == 0 {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
}

func TestEndsWithTheSignal(t *testing.T) {
	settings := good()
	delete(settings, portSetting)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, settings[portSetting], err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, signal := context.WithCancel(t.Context())
	signal()
	var stdout, stderr bytes.Buffer
	if status := run(ctx, env(settings), &stdout, &stderr); status != exitOK {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
	if !strings.Contains(stdout.String(), `"msg":"listening"`) {
		t.Errorf("stdout: %s", &stdout)
	}
}

// No request ends the program.
func TestSurvivesPanics(t *testing.T) {
	c, err := config.FromEnv(env(good()))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h, err := handler(c, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve.Run(ctx, l, cloudtest.BrokenBodies(h), log) }()
	cloudtest.SurvivesPanics(t, cloudtest.Calls(t, "http://"+l.Addr().String()))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
