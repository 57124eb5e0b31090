package azfunc

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"fhirlink/shared/httpx"
)

// MaxEnvelope limits what is read of an invocation, in bytes: after a failed run, the metadata
// holds the dump of an exception.
const MaxEnvelope = 1 << 20

// Timer is one invocation of a timer trigger.
type Timer struct {
	Function string // the function's name, from Metadata.sys.MethodName
	PastDue  bool   // the run is late, because the host was down
	Retry    int    // 0 on the first attempt
}

// DecodeTimer reads a timer invocation. binding is the name of its trigger binding.
func DecodeTimer(body io.Reader, binding string) (Timer, error) {
	var envelope struct {
		Data     map[string]json.RawMessage
		Metadata map[string]json.RawMessage
	}
	if err := json.NewDecoder(io.LimitReader(body, MaxEnvelope)).Decode(&envelope); err != nil {
		return Timer{}, fmt.Errorf("the invocation is not the host's JSON envelope: %w", err)
	}
	var timer struct{ IsPastDue bool }
	var sys struct{ MethodName string }
	var retry struct{ RetryCount int }
	lenient(envelope.Data[binding], &timer)
	lenient(envelope.Metadata["sys"], &sys)
	lenient(envelope.Metadata["RetryContext"], &retry)
	return Timer{Function: sys.MethodName, PastDue: timer.IsPastDue, Retry: retry.RetryCount}, nil
}

// lenient decodes raw or, if raw is a string, the JSON inside it. A value that does not fit
// leaves the target unchanged.
func lenient(raw json.RawMessage, into any) {
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	_ = json.Unmarshal(raw, into) // an error is ignored by design, see above
}

// Response is the answer to an invocation. The zero Response is valid.
type Response struct {
	Outputs     map[string]any
	Logs        []string // lines for the host's log, at level Information
	ReturnValue any
}

// Write answers with status 200: the host discards the body and logs of any other status. Outputs
// and Logs are never null, and the body is never empty. Otherwise the host would wait until its
// timeout and then kill the process.
func (r Response) Write(w http.ResponseWriter) error {
	if r.Outputs == nil {
		r.Outputs = map[string]any{}
	}
	if r.Logs == nil {
		r.Logs = []string{}
	}
	return httpx.WriteJSON(w, http.StatusOK, r)
}
