package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"fhirlink/shared/egress"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
)

// maxAnswer limits how many bytes of an answer's body are read; the body is not used.
const maxAnswer = 64 << 10

// message is one signed attempt.
type message struct {
	url       string
	id        string
	at        time.Time
	body      []byte
	signature string
}

// post makes the attempt.
func (s *Service) post(ctx context.Context, m message) (notify.Result, Heard) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(m.body))
	if err != nil {
		return notify.Result{Outcome: notify.Gone, Reason: "the address of the endpoint is not valid"}, HeardUnreachable
	}
	request.Header.Set("Content-Type", notify.ContentType)
	request.Header.Set("User-Agent", "fhirlink")
	request.Header.Set("Webhook-Id", m.id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(m.at.Unix(), 10))
	request.Header.Set("Webhook-Signature", m.signature)
	response, err := s.client.Do(request)
	if err != nil {
		failure := egress.FailureOf(err)
		return notify.Result{Outcome: notify.Retry, Reason: noAnswerReasons[failure]}, heardOf(failure)
	}
	defer func() { _ = response.Body.Close() }()                         // the body is not used
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // so that the connection can be reused
	return resultOf(response)
}

// noAnswerReasons say why there was no answer.
var noAnswerReasons = map[egress.Failure]string{
	egress.AddressBlocked:   "the endpoint's name leads to an address that is not public",
	egress.DNSNotFound:      "the endpoint's name does not exist",
	egress.DNSFailed:        "the endpoint's name could not be resolved",
	egress.TLSInvalid:       "the endpoint has no valid TLS certificate",
	egress.ConnectRefused:   "the endpoint refused the connection",
	egress.ConnectTimeout:   fmt.Sprintf("the endpoint did not answer within %d seconds", int(Timeout.Seconds())),
	egress.ConnectionBroken: "the connection to the endpoint broke before it answered",
}

// resultOf returns the result for an answer, according to Standard Webhooks: 2xx is a success, 410
// asks for no more events, redirects and all other answers are failures.
func resultOf(response *http.Response) (notify.Result, Heard) {
	status := response.StatusCode
	result := notify.Result{Outcome: notify.Retry, Reason: fmt.Sprintf("the endpoint answered %d", status)}
	switch {
	case status >= 200 && status < 300:
		result.Outcome = notify.Delivered
		return result, HeardDelivered
	case status >= 300 && status < 400:
		result.Reason += ", and redirects are not followed"
	case status == http.StatusGone:
		result.Outcome = notify.Gone
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		result.RetryAfter = problem.RetryAfter(response.Header)
	}
	return result, HeardRefused
}
