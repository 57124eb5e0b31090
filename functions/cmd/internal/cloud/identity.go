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
	"fhirlink/shared/upstream"
)

// outspoken is a credential whose refusals are in the log, and count as failed calls. Whoever
// uses it learns only that there was no token, and tells callers less. It is asked when a token
// is needed, because the SDKs' clients keep theirs.
type outspoken struct {
	azcore.TokenCredential
	watch *upstream.Watch
	log   *slog.Logger
}

// GetToken is azcore.TokenCredential's.
func (c outspoken) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	start := time.Now()
	token, err := c.TokenCredential.GetToken(ctx, o)
	c.watch.Called(ctx, upstream.Identity, "", start, 0, err)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		c.log.ErrorContext(ctx, "identity.failed", "error", whyNoToken(ctx, err), "fix", "see who this program is to Azure, and what that identity's credential is")
	}
	return token, err
}

// whyNoToken tells known fields of azidentity's error, whose text holds whole answers.
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
		body = nil // what there is of it tells nothing
	}
	refusal, ok := entra.ParseRefusal(response.StatusCode, response.Header, body)
	if !ok {
		return entra.NotUsable(response.StatusCode, body).Reason
	}
	text := "refused with " + refusal.OAuthError + ", " + refusal.Code()
	if refusal.CorrelationID != "" {
		text += ", correlation id " + refusal.CorrelationID
	}
	return text
}
