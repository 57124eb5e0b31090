package eventgrid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
)

const (
	scope      = "https://eventgrid.azure.net/.default"
	path       = "/api/events"
	apiVersion = "2018-01-01"

	// timeout is the time limit of one attempt, including the token request.
	timeout = 15 * time.Second
	// maxAnswer limits how many bytes of an answer's body are read; the body is not used.
	maxAnswer = 64 << 10
)

// The one target of the channel.
const (
	channel = "eventgrid"
	topic   = "topic"
)

// Topic implements [notify.Channel] for one custom topic. Use [New] to make one.
type Topic struct {
	url      string
	pipeline runtime.Pipeline
}

var _ notify.Channel = (*Topic)(nil)

// New returns a Topic for the endpoint that the portal shows:
// https://{topic}.{region}.eventgrid.azure.net/api/events. It makes no request. Redirects are not
// followed, whatever the client's policy is.
func New(endpoint string, credential azcore.TokenCredential, client *http.Client) (*Topic, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the endpoint of an Event Grid topic must be a URL such as https://contoso.westeurope-1.eventgrid.azure.net/api/events")
	}
	if u.Path = strings.TrimRight(u.Path, "/"); u.Path == "" {
		u.Path = path
	}
	u.RawQuery = url.Values{"api-version": {apiVersion}}.Encode()
	steady := *client
	steady.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	bearer := runtime.NewBearerTokenPolicy(credential, []string{scope}, nil)
	return &Topic{u.String(), runtime.NewPipeline("fhirlink", "", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, &policy.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1}, // the ledger of notifications makes the retries
		Telemetry: policy.TelemetryOptions{Disabled: true},
		Transport: &steady,
	})}, nil
}

// Name implements [notify.Channel].
func (t *Topic) Name() string { return channel }

// Targets implements [notify.Channel]. It returns the topic for every organization.
func (t *Topic) Targets(context.Context, string) ([]notify.Target, error) {
	return []notify.Target{{Channel: channel, ID: topic}}, nil
}

// Deliver implements [notify.Channel].
func (t *Topic) Deliver(ctx context.Context, _ string, _ notify.Target, e notify.Event) notify.Result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := e.CloudEvent()
	if err != nil {
		return notify.Result{Outcome: notify.Gone, Reason: "the event cannot be written: " + err.Error()}
	}
	response, err := t.post(ctx, body)
	if err != nil {
		return notify.Result{Outcome: notify.Retry, Reason: noAnswerReason(ctx)}
	}
	defer func() { _ = response.Body.Close() }()                         // the body is not used
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // so that the connection can be reused
	return resultOf(response)
}

func (t *Topic) post(ctx context.Context, body []byte) (*http.Response, error) {
	request, err := runtime.NewRequest(ctx, http.MethodPost, t.url)
	if err != nil {
		return nil, err
	}
	runtime.SkipBodyDownload(request)
	if err := request.SetBody(streaming.NopCloser(bytes.NewReader(body)), notify.ContentType+"; charset=utf-8"); err != nil {
		return nil, err
	}
	return t.pipeline.Do(request)
}

// noAnswerReason returns why there was no answer. It does not quote the SDK's text, which contains
// addresses.
func noAnswerReason(ctx context.Context) string {
	if ctx.Err() != nil {
		return "Event Grid did not answer in time"
	}
	return "the connection to Event Grid failed, or no token for it was to be had"
}

// hints are what the operator can do about an answer.
var hints = map[int]string{
	http.StatusBadRequest:   "set the topic's input schema to CloudEvents 1.0",
	http.StatusUnauthorized: "the topic must be in the tenant of this program's identity",
	http.StatusForbidden:    "give this program's identity the role EventGrid Data Sender on the topic, and see whether the topic's network rules let it in",
	http.StatusNotFound:     "check the topic's endpoint in the settings",
}

// resultOf returns the result for an answer. A fault of the topic can be repaired while the event
// is retried; an event that is too large is Gone.
func resultOf(response *http.Response) notify.Result {
	status := response.StatusCode
	result := notify.Result{Outcome: notify.Retry, Reason: fmt.Sprintf("Event Grid answered %d", status)}
	if hint := hints[status]; hint != "" {
		result.Reason += ": " + hint
	}
	switch {
	case status >= 200 && status < 300:
		result.Outcome = notify.Delivered
	case status == http.StatusRequestEntityTooLarge:
		result.Outcome = notify.Gone
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		result.RetryAfter = problem.RetryAfter(response.Header)
	}
	return result
}
