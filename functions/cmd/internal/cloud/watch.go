package cloud

import (
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"fhirlink/shared/upstream"
)

// watchPolicy is the last policy in an SDK's pipeline, so it sees every attempt of every call.
type watchPolicy struct {
	watch   *upstream.Watch
	service upstream.Service
}

// addWatch adds the policy to a client's options.
func addWatch(o *policy.ClientOptions, watch *upstream.Watch, service upstream.Service) {
	o.PerRetryPolicies = append(o.PerRetryPolicies, watchPolicy{watch, service})
}

// Do implements [policy.Policy].
func (p watchPolicy) Do(r *policy.Request) (*http.Response, error) {
	start := time.Now()
	answer, err := r.Next()
	status := 0
	if answer != nil {
		status = answer.StatusCode
	}
	p.watch.Called(r.Raw().Context(), p.service, r.Raw().URL.Host, start, status, err)
	return answer, err
}
