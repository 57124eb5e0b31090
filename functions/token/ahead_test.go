package token_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"fhirlink/functions/token"
)

// TestReadAhead: the first request that may be one for a token begins to read its link, and what
// checks the body later reads all of it.
// TestReadAheadKeepsNobodyWaiting: while the body of the first request comes slowly, others go on.
func TestReadAheadKeepsNobodyWaiting(t *testing.T) {
	ahead := token.ReadAhead{Links: func(context.Context, string) {}}
	request := func(body io.Reader) *http.Request {
		r := httptest.NewRequest("POST", "/api/token", body)
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Content-Type", formType)
		r.ContentLength = 100
		return r
	}
	slow, end := io.Pipe()
	first := make(chan struct{})
	go func() {
		defer close(first)
		ahead.Begin(request(slow))
	}()
	if _, err := end.Write([]byte("g")); err != nil { // so that the first one is reading
		t.Fatal(err)
	}
	second := make(chan struct{})
	go func() {
		defer close(second)
		ahead.Begin(request(strings.NewReader(good)))
	}()
	select {
	case <-second:
	case <-time.After(10 * time.Second):
		t.Error("the second request waits for the body of the first one")
	}
	if err := end.Close(); err != nil {
		t.Error(err)
	}
	<-first
}

func TestReadAhead(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		change                  func(*http.Request)
		slugs                   []string
	}{
		{"form", formType, good, nil, []string{"good-health-clinic"}},
		{"JSON", jsonType, `{"slug":"good-health-clinic"}`, nil, []string{"good-health-clinic"}},
		{"JSON with more behind it", jsonType, `{"slug":"good-health-clinic"} {"slug":"x"}`, nil, nil},
		{"another grant", formType, "grant_type=password&slug=x", nil, nil},
		{"no media type", "", good, nil, nil},
		{"no token", formType, good, func(r *http.Request) { r.Header.Del("Authorization") }, nil},
		{"unknown length", formType, good, func(r *http.Request) { r.ContentLength = -1 }, nil},
		{"too large", formType, good + "&x=" + strings.Repeat("x", 4<<10), nil, nil},
		{"broken off", formType, good, func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(good[:10]), iotest.ErrReader(errors.New("gone"))))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var slugs []string
			ahead := token.ReadAhead{Links: func(_ context.Context, slug string) { slugs = append(slugs, slug) }}
			for range 2 {
				r := httptest.NewRequest("POST", "/api/token", strings.NewReader(c.body))
				r.Header.Set("Authorization", "Bearer x")
				r.Header.Set("Content-Type", c.contentType)
				if c.change != nil {
					c.change(r)
				}
				want, wantErr := c.body, error(nil)
				if c.name == "broken off" {
					want, wantErr = good[:10], errors.New("gone")
				}
				got, err := io.ReadAll(ahead.Begin(r).Body)
				if string(got) != want || (err == nil) != (wantErr == nil) {
					t.Errorf("the body is %q, %v", got, err)
				}
			}
			if !slices.Equal(slugs, c.slugs) {
				t.Errorf("read %q, want %q, once", slugs, c.slugs)
			}
		})
	}
}
