// Command lambda is the functions on AWS Lambda, over Key Vault, Table Storage and Entra: one
// binary for a Function URL or an API Gateway HTTP API (payload format 2.0, buffered), and for
// the EventBridge schedule that takes the place of the timer.
//
// The settings are those of the README. To Key Vault and Table Storage it is the application
// of AZURE_TENANT_ID and AZURE_CLIENT_ID, by a federated token (AZURE_FEDERATED_TOKEN_FILE), by
// AZURE_CLIENT_SECRET, or by a certificate (AZURE_CLIENT_CERTIFICATE_PATH).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
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

// exitSettings is the status when settings are wrong.
const exitSettings = 2

func main() {
	out := eventlog.NewWriter(os.Stdout, 0)
	handler, err := newHandler(os.LookupEnv, eventlog.New(out, slog.LevelInfo))
	if err != nil {
		complain(os.Stderr, err)
		os.Exit(exitSettings)
	}
	lambda.Start(func(ctx context.Context, event json.RawMessage) (any, error) {
		ctx = eventlog.Begin(ctx, work(ctx))
		// Lambda freezes the process after the answer: what is not written by then may never be.
		defer func() { _ = out.Flush(ctx) }() // fails when stdout is gone: nobody is left to tell
		return handler.Invoke(ctx, event)
	})
}

// work is the invocation as the log tells of it: Lambda's request id and X-Ray's trace.
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

// traceKey is the key of aws-lambda-go, a plain string, for the header Lambda-Runtime-Trace-Id.
const traceKey = "x-amzn-trace-id"

// newHandler assembles the functions. It makes no request.
func newHandler(env config.Lookup, log *slog.Logger) (awslambda.Handler, error) {
	c, err := config.FromEnv(env)
	if err != nil {
		return awslambda.Handler{}, err
	}
	identity, err := identity(env)
	if err != nil {
		return awslambda.Handler{}, fmt.Errorf("AZURE_TENANT_ID, AZURE_CLIENT_ID, and one of AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE_PATH: %w", err)
	}
	deps, err := cloud.Functions(c, identity, log)
	if err != nil {
		return awslambda.Handler{}, err
	}
	deps.Program, deps.Version = "lambda", version
	public, _ := functions.New(deps)
	return awslambda.Handler{HTTP: public, Schedule: func(ctx context.Context) error {
		_, err := deps.Sweep(ctx)
		return err
	}}, nil
}

// identity is who this program is to Key Vault and Table Storage. A managed identity is not
// among the choices: asking for one here would ask the metadata service of AWS.
func identity(env config.Lookup) (azcore.TokenCredential, error) {
	if file, _ := env("AZURE_FEDERATED_TOKEN_FILE"); file != "" {
		return azidentity.NewWorkloadIdentityCredential(nil)
	}
	return azidentity.NewEnvironmentCredential(nil)
}

func complain(stderr io.Writer, err error) {
	fmt.Fprintf(stderr, "The program cannot start. Correct these settings:\n%v\n", err)
}
