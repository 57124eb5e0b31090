package smartauth

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/signer"
	"fhirlink/shared/signer/signertest"
	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
)

// oneLink is the links of a deployment that has one.
type oneLink struct{ link.Link }

func (o oneLink) Get(context.Context, string, string) (link.Link, error) { return o.Link, nil }
func (o oneLink) KeepSlug(context.Context, string, string) error         { return nil }
func (o oneLink) Live(ctx context.Context, slug string) (link.Link, error) {
	if slug != string(o.Slug) {
		return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
	}
	return o.Link, ctx.Err()
}

// TestMemory: strangers fill no memory, neither by what is not there, nor while nothing can be read.
func TestMemory(t *testing.T) {
	rows := rowtest.New()
	s := New(Deps{Rows: rows, Links: oneLink{link.Link{Slug: "clinic", ID: "id-1"}}, Keys: signer.New(signertest.New(), nil, nil), PublicURL: "https://links.example.org", Now: time.Now})
	if _, _, err := s.PutSettings(t.Context(), "o", "clinic", Precondition{IfNoneMatch: "*"}, NewSettings{Tokens: "fhirlink"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Server(t.Context(), "clinic"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		_, _ = s.Server(t.Context(), fmt.Sprintf("unknown-%d", i)) // the errors are tested elsewhere
	}
	rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		_, _ = s.Server(over, fmt.Sprintf("cancelled-%d", i))
	}
	if n := s.servers.kept.Len(); n != 1 {
		t.Errorf("%d servers are remembered", n)
	}
}
