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

// line is the transport of one call. It refuses requests to hosts other than the authority's. It
// keeps the last answer, because azidentity's errors contain raw bodies and requests that must
// never be logged.
type line struct {
	client *http.Client
	host   string

	err    error // of the last request; nil when it got an answer
	status int
	header http.Header
	body   []byte
}

// Do implements azcore's policy.Transporter.
func (l *line) Do(request *http.Request) (*http.Response, error) {
	response, err := l.send(request)
	l.err = err
	if err != nil {
		return nil, err
	}
	l.status, l.header = response.StatusCode, response.Header
	return response, nil
}

func (l *line) send(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" || request.URL.Host != l.host {
		return nil, errOtherHost
	}
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if l.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(l.body))
	return response, nil
}

// explain returns why there is no token, judging by the last answer.
func (l *line) explain(ctx context.Context, sent credential.Credential) error {
	switch {
	case errors.Is(l.err, errOtherHost):
		return &entra.Unreachable{Reason: errOtherHost.Error(), Cause: l.err}
	case l.err != nil || ctx.Err() != nil || l.status == 0:
		return entra.NotReached(ctx, l.err)
	}
	if r, refused := entra.ParseRefusal(l.status, l.header, l.body); refused {
		return r.Hide(sent.Text())
	}
	return entra.NotUsable(l.status, l.body)
}
