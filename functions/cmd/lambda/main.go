package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	cloudconfig "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"fhirlink/functions"
	"fhirlink/functions/cmd/internal/cloud"
	"fhirlink/shared/awslambda"
	"fhirlink/shared/config"
	"fhirlink/shared/eventlog"
)

// version is set by the linker.
var version = "dev"

// exitSettings is the exit status for wrong settings.
const exitSettings = 2

func main() {
	out := eventlog.NewWriter(os.Stdout, 0)
	handler, err := newHandler(os.LookupEnv, eventlog.New(out, slog.LevelInfo))
	if err != nil {
		complain(os.Stderr, err)
		os.Exit(exitSettings)
	}
	lambda.Start(invocations(handler, out))
}

// invocations returns the function that the loop of aws-lambda-go calls.
func invocations(handler awslambda.Handler, out interface{ Flush(context.Context) error }) func(context.Context, json.RawMessage) (any, error) {
	return func(ctx context.Context, event json.RawMessage) (any, error) {
		// Lambda freezes the process after the answer, so lines that are not written by then may
		// be lost.
		defer func() { _ = out.Flush(ctx) }() // fails when stdout is gone, where the error cannot be reported
		inTime, cancel := inTime(eventlog.With(ctx, work(ctx)))
		defer cancel()
		return handler.Invoke(inTime, event)
	}
}

// margin is how long before Lambda's deadline an invocation must end. Lambda ends the process at
// the deadline, and the answer and the log lines must be delivered before.
const margin = 500 * time.Millisecond

// inTime ends ctx by margin before Lambda's deadline, or by a tenth of the remaining time if
// that is less.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(margin, time.Until(deadline)/10)))
}

// work returns the invocation for the log, with Lambda's request id and X-Ray's trace.
func work(ctx context.Context) *eventlog.Work {
	w := &eventlog.Work{}
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		w.Invocation = invocation.AwsRequestID
	}
	if header, ok := ctx.Value(traceKey).(string); ok {
		w.Trace, _ = eventlog.ParseXRay(header)
	}
	return w
}

// traceKey is aws-lambda-go's key, a plain string, for the header Lambda-Runtime-Trace-Id.
const traceKey = "x-amzn-trace-id"

// newHandler assembles the functions. It makes no request.
func newHandler(env config.Lookup, log *slog.Logger) (awslambda.Handler, error) {
	c, err := config.FromEnv(env)
	if err = errors.Join(err, checkIdentity(env)); err != nil {
		return awslambda.Handler{}, err
	}
	identity, err := identity(env, c.Authority)
	if err != nil {
		return awslambda.Handler{}, fmt.Errorf("%s, %s and what proves them: %w", tenantID, config.ClientID, err)
	}
	deps, err := cloud.Functions(c, identity, log)
	if err != nil {
		return awslambda.Handler{}, err
	}
	deps.Program, deps.Version = "lambda", version
	public := functions.New(deps)
	return awslambda.Handler{HTTP: public, Schedule: func(ctx context.Context) error {
		_, err := deps.Sweep.Run(ctx)
		return err
	}}, nil
}

// Settings of azidentity. A managed identity is not an option, because asking for one here would
// call the metadata service of AWS.
const (
	tenantID        = "AZURE_TENANT_ID"
	authorityHost   = "AZURE_AUTHORITY_HOST"
	federatedToken  = "AZURE_FEDERATED_TOKEN_FILE"
	clientSecret    = "AZURE_CLIENT_SECRET"
	certificatePath = "AZURE_CLIENT_CERTIFICATE_PATH"
)

// checkIdentity reports which of these settings are missing, so that one failed start names all
// of them together with the program's own.
func checkIdentity(env config.Lookup) error {
	set := func(name string) bool { value, _ := env(name); return strings.TrimSpace(value) != "" }
	var mistakes []error
	missing := func(name, message string) {
		mistakes = append(mistakes, &config.Problem{Name: name, Message: "is not set" + message})
	}
	if !set(tenantID) {
		missing(tenantID, ". Set it to the tenant of the application that this program is to Key Vault and Table Storage")
	}
	if !set(config.ClientID) {
		missing(config.ClientID, ". Set it to the client id of the application that this program is to Key Vault and Table Storage")
	}
	if !set(federatedToken) && !set(clientSecret) && !set(certificatePath) {
		missing(clientSecret, ", and neither is "+federatedToken+" or "+certificatePath+". Set one of them: it proves to Entra who this program is")
	}
	return errors.Join(mistakes...)
}

// cloudOf returns where the program's own credential is sent: to the configured authority,
// unless azidentity's setting names another.
func cloudOf(env config.Lookup, authority string) cloudconfig.Configuration {
	if host, _ := env(authorityHost); host != "" {
		return cloudconfig.Configuration{} // azidentity reads the setting itself
	}
	return cloudconfig.Configuration{ActiveDirectoryAuthorityHost: authority}
}

// identity returns this program's credential for Key Vault and Table Storage.
func identity(env config.Lookup, authority string) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{Cloud: cloudOf(env, authority)}
	if file, _ := env(federatedToken); file != "" {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options})
	}
	return azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options})
}

func complain(stderr io.Writer, err error) {
	fmt.Fprintf(stderr, "The program cannot start. Correct these settings:\n%v\n", err)
}
