package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"fhirlink/functions"
	"fhirlink/functions/cmd/internal/cloud"
	"fhirlink/functions/cmd/internal/serve"
	"fhirlink/shared/config"
	"fhirlink/shared/eventlog"
)

// version is set by the linker.
var version = "dev"

// portSetting is where the host passes the port.
const portSetting = "FUNCTIONS_CUSTOMHANDLER_PORT"

// Exit statuses.
const (
	exitOK       = 0
	exitFailed   = 1
	exitSettings = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.LookupEnv, os.Stdout, os.Stderr))
}

// run is the program: it answers until ctx ends and returns the exit status. The log goes to
// stdout, because the host treats lines on stderr as errors.
func run(ctx context.Context, env config.Lookup, stdout, stderr io.Writer) int {
	out := eventlog.NewWriter(stdout, 0)
	defer func() { _ = out.Close() }() // fails when stdout is gone, where the error cannot be reported
	log := eventlog.New(out, slog.LevelInfo)

	port, portErr := port(env)
	c, err := config.FromEnv(env)
	if err != nil || portErr != nil {
		fmt.Fprintln(stderr, "The program cannot start. Correct these settings:")
		complain(stderr, err, portErr)
		return exitSettings
	}
	handler, err := handler(c, log)
	if err != nil {
		complain(stderr, err)
		return exitSettings
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		complain(stderr, err)
		return exitFailed
	}
	log.Info("listening", "address", l.Addr().String(), "version", version)
	if err := serve.Run(ctx, l, handler, log); err != nil {
		complain(stderr, err)
		return exitFailed
	}
	return exitOK
}

// port returns the port on which the host expects the handler, or 8080 without a host.
func port(env config.Lookup) (string, error) {
	text, _ := env(portSetting)
	if text == "" {
		return "8080", nil
	}
	if n, err := strconv.ParseUint(text, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%s: is not a port number", portSetting)
	}
	return text, nil
}

func handler(c config.Config, log *slog.Logger) (http.Handler, error) {
	identity, err := identity(c)
	if err != nil {
		return nil, fmt.Errorf("the identity of this program cannot be used: %w", err)
	}
	deps, err := cloud.Functions(c, identity, log)
	if err != nil {
		return nil, err
	}
	deps.Program, deps.Version = "azure", version
	return functions.NewBehindHost(deps), nil
}

// identity returns this program's credential for Key Vault and Table Storage. Under Core Tools
// it is the person who signed in with az login. Neither makes a request before a token is
// needed.
func identity(c config.Config) (azcore.TokenCredential, error) {
	if c.CoreTools {
		return azidentity.NewAzureCLICredential(nil)
	}
	options := &azidentity.ManagedIdentityCredentialOptions{}
	if c.ClientID != "" {
		options.ID = azidentity.ClientID(c.ClientID)
	}
	return azidentity.NewManagedIdentityCredential(options)
}

func complain(stderr io.Writer, errs ...error) {
	for _, err := range errs {
		if err != nil {
			fmt.Fprintln(stderr, err)
		}
	}
}
