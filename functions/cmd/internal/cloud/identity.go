package cloud

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
	"fhirlink/shared/upstream"
)

// loggedCredential logs a credential's refusals and counts them as failed calls. Its callers
// learn only that there was no token, and tell their callers even less. It is asked only when a
// new token is needed, because the SDKs' clients cache theirs.
type loggedCredential struct {
	azcore.TokenCredential
	watch *upstream.Watch
	log   *slog.Logger
}

// GetToken implements [azcore.TokenCredential].
func (c loggedCredential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	start := time.Now()
	token, err := c.TokenCredential.GetToken(ctx, o)
	c.watch.Called(ctx, upstream.Identity, "", start, 0, err)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		c.log.ErrorContext(ctx, "identity.failed", "error", whyNoToken(ctx, err), "fix", "see who this program is to Azure, and what that identity's credential is")
	}
	return token, err
}

// whyNoToken returns known fields of azidentity's error, whose text contains whole answers.
func whyNoToken(ctx context.Context, err error) string {
	var (
		failed      *azidentity.AuthenticationFailedError
		unavailable interface{ NonRetriable() }
	)
	switch {
	case errors.As(err, &failed) && failed.RawResponse != nil:
		return answered(failed.RawResponse)
	case errors.As(err, &failed):
		return "no answer came, or the credential in the settings cannot be used"
	case errors.As(err, &unavailable):
		return "no identity is available to this program: none is assigned, or the settings name another"
	}
	return "the identity could not be asked for: " + entra.NotReached(ctx, err).Reason
}

func answered(response *http.Response) string {
	body, err := runtime.Payload(response)
	if err != nil {
		body = nil // a partial answer cannot be parsed
	}
	refusal, ok := entra.ParseRefusal(response.StatusCode, response.Header, body, secret.Value{})
	if !ok {
		return entra.NotUsable(response.StatusCode, body).Reason
	}
	text := "refused with " + refusal.OAuthError + ", " + refusal.Code()
	if refusal.CorrelationID != "" {
		text += ", correlation id " + refusal.CorrelationID
	}
	return text
}
