package handle

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fhirlink/shared/seal"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
)

func keeper(now *time.Time) (Store, *rowtest.Rows) {
	rows := rowtest.New()
	clock := func() time.Time { return *now }
	return Store{Rows: rows, Sealer: &seal.Sealer{Keys: seal.NewKeys("fhirlink-seal", secrettest.New(), clock, slog.New(slog.DiscardHandler)), PublicURL: "https://links.example.org", Now: clock}}, rows
}

func TestHandles(t *testing.T) {
	ends := time.Date(2026, 11, 29, 12, 5, 0, 0, time.UTC)
	seen := map[string]bool{}
	for range 200 {
		h := New(ends)
		k, ok := h.key(Request)
		if len(h) != 32 || !ok || k.Check() != nil || strings.Contains(k.Name, string(h)) || !strings.HasPrefix(k.Partition, fmt.Sprintf("t%08x-", ends.Unix()/600)) {
			t.Fatalf("a handle is at %+v", k)
		}
		seen[k.Partition] = true
		if seen[string(h)] {
			t.Fatal("a handle was made twice")
		}
		seen[string(h)] = true
	}
	if len(seen) < 200+12 {
		t.Errorf("%d partitions of 16 are used", len(seen)-200)
	}
	h := string(New(ends))
	for _, text := range []string{"", h[1:], h + "A", h[:31] + "=", h[:31] + "\n", h[:31] + "/", h + "\n", strings.Repeat("A", 33), "fll_" + h} {
		if _, ok := Handle(text).key(Request); ok {
			t.Errorf("%q is a handle", text)
		}
	}
}

func TestShortLivedRows(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s, rows := keeper(&now)
	ctx, ends := t.Context(), now.Add(10*time.Minute)
	h := New(ends)
	if err := Keep(ctx, s, Request, h, "link-1", ends, "value"); err != nil {
		t.Fatal(err)
	}
	found := func(of Kind, h Handle, linkID string) (string, error) {
		value, _, err := Look[string](ctx, s, of, h, linkID)
		return value, err
	}
	if value, err := found(Request, h, "link-1"); err != nil || value != "value" {
		t.Fatalf("%q, %v", value, err)
	}
	other := New(ends)
	for name, ask := range map[string]func() (string, error){
		"another link":    func() (string, error) { return found(Request, h, "link-2") },
		"another kind":    func() (string, error) { return found("c", h, "link-1") },
		"another handle":  func() (string, error) { return found(Request, other, "link-1") },
		"no handle":       func() (string, error) { return found(Request, "x", "link-1") },
		"no link":         func() (string, error) { return found(Request, other, "") },
		"the wrong bytes": func() (string, error) { return found(Request, Handle(strings.ToUpper(string(h))), "link-1") },
	} {
		if value, err := ask(); !errors.Is(err, ErrUnknown) || value != "" {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
	// Whoever can write into the table cannot make a row that opens for another handle.
	k, _ := h.key(Request)
	row, _ := rows.Row(ctx, k)
	stolen, _ := other.key(Request)
	if _, ok, err := rows.Swap(ctx, store.Row{Key: stolen}, row.Value); !ok || err != nil {
		t.Fatal(err)
	}
	if _, err := found(Request, other, "link-1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a copied row: %v", err)
	}

	_, row, err := Look[string](ctx, s, Request, h, "link-1")
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch err := s.Spend(ctx, row, "left"); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ErrUsed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers have spent it", won.Load())
	}
	if value, err := found(Request, h, "link-1"); !errors.Is(err, ErrUsed) || value != "value" {
		t.Errorf("%q, %v", value, err)
	}
	if _, row, _ := Look[string](ctx, s, Request, h, "link-1"); Left(row) != "left" { // the error is ErrUsed
		t.Errorf("%q is left", Left(row))
	}
	for at, over := range map[time.Duration]bool{0: false, 10 * time.Minute: true, -time.Hour: false} {
		if h.Over(ends.Add(at)) != over || Handle("x").Over(ends.Add(at)) {
			t.Errorf("%v after its end", at)
		}
	}
	second := New(ends)
	if err := Keep(ctx, s, Request, second, "link-1", ends, "value"); err != nil {
		t.Fatal(err)
	}
	now = ends
	if _, err := found(Request, h, "link-1"); !errors.Is(err, ErrUsed) {
		t.Errorf("a used one at its end: %v", err)
	}
	if _, err := found(Request, second, "link-1"); !errors.Is(err, ErrEnded) {
		t.Errorf("at its end: %v", err)
	}
	for _, value := range []any{h, &h, []any{h}, struct{ H Handle }{h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "canary") || strings.Contains(text, string(h)) {
				t.Errorf("%s of a %T is %s", verb, value, text)
			}
		}
	}
	rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
	if _, err := found(Request, h, "link-1"); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
	if err := s.Spend(ctx, row, "left"); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
	if err := Keep(ctx, s, Request, New(ends), "link-1", ends, "value"); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
}
