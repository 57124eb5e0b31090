package clientcred

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
)

// maxAnswer limits how many bytes of an answer are read; a token has a few kilobytes.
const maxAnswer = 256 << 10

var errOtherHost = errors.New("the authority names another host for its token endpoint")

// transport carries the requests of one call. It refuses requests to hosts other than the
// authority's. It keeps the last answer, because azidentity's errors contain raw bodies and
// requests that must never be logged.
type transport struct {
	client *http.Client
	host   string
	known  *configurations

	err    error // of the last request; nil when it got an answer
	status int
	header http.Header
	body   []byte
}

// Do implements azcore's policy.Transporter.
func (t *transport) Do(request *http.Request) (*http.Response, error) {
	response, err := t.send(request)
	t.err = err
	if err != nil {
		return nil, err
	}
	t.status, t.header = response.StatusCode, response.Header
	return response, nil
}

func (t *transport) send(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" || request.URL.Host != t.host {
		return nil, errOtherHost
	}
	if known := t.known.answer(request, t.client); known != nil {
		return known, nil
	}
	response, err := t.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if t.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return nil, err
	}
	t.known.remember(request, response.StatusCode, t.body)
	response.Body = io.NopCloser(bytes.NewReader(t.body))
	return response, nil
}

// explain returns why there is no token, judging by the last answer.
func (t *transport) explain(ctx context.Context, sent credential.Credential) error {
	switch {
	case errors.Is(t.err, errOtherHost):
		return &entra.Unreachable{Reason: errOtherHost.Error(), Cause: t.err}
	case t.err != nil || ctx.Err() != nil || t.status == 0:
		return entra.NotReached(ctx, t.err)
	}
	if r, refused := entra.ParseRefusal(t.status, t.header, t.body, sent.Text()); refused {
		return r
	}
	return entra.NotUsable(t.status, t.body)
}
