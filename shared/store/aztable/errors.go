package aztable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/problem"
	"fhirlink/shared/store"
)

// refusal is an error answer of the table service, without its text and address.
// https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes
type refusal struct {
	status     int
	code       aztables.TableErrorCode
	retryAfter time.Duration // zero: it did not say
}

// Error returns the status and the code of the answer.
func (r *refusal) Error() string {
	text := fmt.Sprintf("the table service answered %d %s", r.status, r.code)
	if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		text += ": give this program's identity the role Storage Table Data Contributor, or correct the connection string, and see whether the storage account's firewall lets it in"
	}
	return text
}

func isNotFound(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusNotFound
}

// isConflict reports whether the service refused a write because of the table's content. An
// earlier try of the same write may have caused that content.
func isConflict(err error) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	return r.status == http.StatusNotFound && r.code != aztables.TableNotFound ||
		r.status == http.StatusPreconditionFailed ||
		r.status == http.StatusConflict && r.code != aztables.TableBeingDeleted
}

func hasCode(err error, code aztables.TableErrorCode) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == code
}

// explain converts an error of the SDK. An answer becomes a refusal, which is also ErrUnavailable
// unless the request itself was at fault. Without an answer the error is ErrUnavailable.
func explain(ctx context.Context, err error) error {
	var answer *azcore.ResponseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		r := newRefusal(answer)
		if isConflict(r) || r.code == aztables.TableNotFound || r.status == http.StatusBadRequest || r.status == http.StatusRequestEntityTooLarge {
			return r
		}
		denied := r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
		return fmt.Errorf("%w: %w", store.ErrUnavailable, &problem.Upstream{RetryAfter: r.retryAfter, Denied: denied, Err: r})
	case ctx.Err() != nil:
		return fmt.Errorf("%w: the request was over before the table service answered: %w", store.ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("%w: %s", store.ErrUnavailable, noAnswerReason(err))
}

// noAnswerReason returns why there was no answer. It does not quote the SDK's text, which contains
// addresses and perhaps a signature.
func noAnswerReason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the name of the table service's endpoint cannot be resolved: check the endpoint in the settings"
	case errors.Is(err, context.DeadlineExceeded):
		return "the table service did not answer in time"
	}
	return "the connection to the table service failed, or no token for it was to be had"
}

// A failed transaction is answered with 202, and one part of its body contains the refusal.
// https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions#sample-error-response
var (
	partStatus = regexp.MustCompile(`(?m)^HTTP/1\.1 ([45]\d\d)`)
	partCode   = regexp.MustCompile(`"code":\s*"([A-Za-z]+)"`)
	errorCode  = regexp.MustCompile(`^[A-Za-z]{1,64}$`)
)

func newRefusal(answer *azcore.ResponseError) *refusal {
	r := &refusal{status: answer.StatusCode, code: aztables.TableErrorCode(answer.ErrorCode)}
	if answer.StatusCode == http.StatusAccepted && answer.RawResponse != nil {
		r = refusalInPart(answer.RawResponse)
	}
	if answer.RawResponse != nil {
		r.retryAfter = problem.RetryAfter(answer.RawResponse.Header)
	}
	if !errorCode.MatchString(string(r.code)) {
		r.code = ""
	}
	return r
}

func refusalInPart(response *http.Response) *refusal {
	r := &refusal{status: http.StatusAccepted}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return r // the SDK has already read the body into memory
	}
	at := partStatus.FindSubmatchIndex(body)
	if at == nil {
		return r
	}
	if status, err := strconv.Atoi(string(body[at[2]:at[3]])); err == nil {
		r.status = status
	}
	if code := partCode.FindSubmatch(body[at[1]:]); code != nil {
		r.code = aztables.TableErrorCode(code[1])
	}
	return r
}
