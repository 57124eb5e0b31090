package aztable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const canary = "canary-host.table.core.windows.net"

// TestUnavailable: every fault that prevents an answer is ErrUnavailable after the retries, and
// the error quotes nothing of the other side's text.
func TestUnavailable(t *testing.T) {
	answer := func(status int, code string) roundTripper {
		return func(r *http.Request) (*http.Response, error) {
			return respond(r, status, http.Header{"X-Ms-Error-Code": {code}}, `{"odata.error":{"code":"`+code+`","message":{"value":"`+canary+`"}}}`), nil
		}
	}
	fail := func(err error) roundTripper {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	for name, c := range map[string]struct {
		transport roundTripper
		want      string // part of the error's text
	}{
		"busy":       {answer(503, "ServerBusy"), "503 ServerBusy"},
		"throttled":  {answer(429, "TooManyRequests"), "429 TooManyRequests"},
		"internal":   {answer(500, "InternalError"), "500 InternalError"},
		"gateway":    {answer(502, canary), "answered 502"},
		"timed out":  {answer(408, "OperationTimedOut"), "408"},
		"no right":   {answer(403, "AuthorizationPermissionMismatch"), "Storage Table Data Contributor"},
		"no sign-in": {answer(401, "NoAuthenticationInformation"), "Storage Table Data Contributor"},
		"redirected": {answer(307, ""), "307"},
		"deleting":   {answer(409, "TableBeingDeleted"), "TableBeingDeleted"},
		"no name":    {fail(&net.DNSError{Err: "no such host", Name: canary}), "cannot be resolved"},
		"refused":    {fail(&net.OpError{Op: "dial", Err: errors.New(canary)}), "the connection"},
		"too slow":   {fail(fmt.Errorf("%s: %w", canary, context.DeadlineExceeded)), "in time"},
		"cut off": {func(r *http.Request) (*http.Response, error) {
			response := respond(r, 200, nil, "")
			response.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failingReader{}))
			return response, nil
		}, "the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTable(t).store(c.transport)
			_, getErr := s.Get(t.Context(), "clinic")
			_, updateErr := s.Update(t.Context(), "clinic", raise)
			_, removeErr := s.Remove(t.Context(), "clinic", func(link.Link) bool { return true })
			_, enrollErr := s.Enroll(t.Context(), organization, "clinic")
			_, receiptErr := s.Receipt(t.Context(), organization, "clinic")
			_, slugsErr := s.Slugs(t.Context(), organization, "", 10)
			_, dueErr := collect(t, s, noon)
			for op, err := range map[string]error{
				"Get": getErr, "Insert": s.Insert(t.Context(), clinic()), "Update": updateErr, "Remove": removeErr,
				"Enroll": enrollErr, "Receipt": receiptErr, "Withdraw": s.Withdraw(t.Context(), organization, "clinic", "x"),
				"Slugs": slugsErr, "Due": dueErr, "Ensure": s.Ensure(t.Context()),
			} {
				if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s = %v, want ErrUnavailable with %q", op, err, c.want)
				}
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("%s gives away what the other side said: %v", op, err)
				}
			}
		})
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New(canary) }

// TestOwnFault: a request that the service will never accept is not ErrUnavailable, so that it is
// not retried.
func TestOwnFault(t *testing.T) {
	s := newTable(t).store(roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, 400, http.Header{"X-Ms-Error-Code": {"InvalidInput"}}, ""), nil
	}))
	if err := s.Insert(t.Context(), clinic()); err == nil || errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "400 InvalidInput") {
		t.Errorf("Insert = %v", err)
	}
	for _, err := range []error{
		s.Insert(t.Context(), link.Link{Slug: "a'b"}), s.submit(t.Context(), nil),
		s.submit(t.Context(), make([]aztables.TransactionAction, maxActions+1)),
	} {
		if err == nil || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want an error that is not ErrUnavailable", err)
		}
	}
	if _, err := s.Enroll(t.Context(), "a'b", "clinic"); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Enroll for an odd organization = %v", err)
	}
	if _, err := s.Slugs(t.Context(), "a'b", "", 1); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Slugs of an odd organization = %v", err)
	}
}

// TestContention: concurrent writers always win. The store gives up and says that a retry may
// help.
func TestContention(t *testing.T) {
	tb := newTable(t)
	clean := tb.store(http.DefaultTransport)
	insertClinic(t, clean)
	runs := 0
	_, err := clean.Update(t.Context(), "clinic", func(l link.Link) (link.Link, error) {
		runs++
		_, err := clean.Update(t.Context(), "clinic", raise)
		must(t, err)
		return l, nil
	})
	if !errors.Is(err, store.ErrUnavailable) || runs != attempts {
		t.Errorf("Update = %v after %d runs, want ErrUnavailable after %d", err, runs, attempts)
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	s := newTable(t).store(roundTripper(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	if _, err := s.Get(ctx, "clinic"); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %v, want ErrUnavailable and DeadlineExceeded", err)
	}
}

// TestRefusedPart reads refusals from the answers of Azure and Azurite to a failed transaction.
func TestRefusedPart(t *testing.T) {
	part := func(status, body string) string {
		return "--batch\r\nContent-Type: multipart/mixed; boundary=set\r\n\r\n--set\r\nContent-Type: application/http\r\n" +
			"Content-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 " + status + "\r\nX-Content-Type-Options: nosniff\r\n\r\n" + body + "\r\n--set--\r\n--batch--\r\n"
	}
	for _, c := range []struct {
		body   string
		status int
		code   aztables.TableErrorCode
	}{
		{part("409 Conflict", `{"odata.error":{"code":"EntityAlreadyExists","message":{"lang":"en-US","value":"0:The specified entity already exists."}}}`), 409, "EntityAlreadyExists"},
		{part("412 Precondition Failed", `{"odata.error":{"code": "UpdateConditionNotSatisfied"}}`), 412, "UpdateConditionNotSatisfied"},
		{part("204 No Content", "") + part("404 Not Found", `{"odata.error":{"code":"ResourceNotFound"}}`), 404, "ResourceNotFound"},
		{part("500 Internal Server Error", ""), 500, ""},
		{part("204 No Content", ""), 202, ""},
		{"<html>", 202, ""},
		{"", 202, ""},
	} {
		got := newRefusal(&azcore.ResponseError{StatusCode: 202, RawResponse: respond(nil, 202, nil, c.body)})
		if got.status != c.status || got.code != c.code {
			t.Errorf("refused = %+v, want %d %s of:\n%s", got, c.status, c.code, c.body)
		}
	}
}
