package cloud

import (
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"fhirlink/shared/upstream"
)

// watching is the last policy in an SDK's pipeline, so it sees every attempt of every call.
type watching struct {
	watch   *upstream.Watch
	service upstream.Service
}

// watched adds the policy to a client's options.
func watched(o *policy.ClientOptions, watch *upstream.Watch, service upstream.Service) {
	o.PerRetryPolicies = append(o.PerRetryPolicies, watching{watch, service})
}

// Do implements [policy.Policy].
func (p watching) Do(r *policy.Request) (*http.Response, error) {
	start := time.Now()
	answer, err := r.Next()
	status := 0
	if answer != nil {
		status = answer.StatusCode
	}
	p.watch.Called(r.Raw().Context(), p.service, r.Raw().URL.Host, start, status, err)
	return answer, err
}
