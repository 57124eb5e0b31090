package expiry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/expiry"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/store"
)

// ledger is a fake of the links: the due ones, each with the behaviour of its Tend.
type ledger struct {
	mu     sync.Mutex
	due    []link.Slug
	tend   func(context.Context, link.Slug) (link.Finding, error)
	dueErr error
	tended map[link.Slug]int

	postponed []link.Slug
}

func (l *ledger) Due(_ context.Context, _ time.Time, yield func(link.Slug) bool) error {
	for _, s := range l.due {
		if !yield(s) {
			return nil
		}
	}
	return l.dueErr
}

func (l *ledger) Tend(ctx context.Context, s link.Slug) (link.Finding, error) {
	l.mu.Lock()
	l.tended[s]++
	l.mu.Unlock()
	return l.tend(ctx, s)
}

func (l *ledger) Postpone(_ context.Context, s link.Slug) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.postponed = append(l.postponed, s)
	return nil
}

// Digest delivers every letter.
func (l *ledger) Digest(_ context.Context, letters []telling.Letter) (int, error) {
	return len(letters), nil
}

func slugs(n int) (all []link.Slug) {
	for i := range n {
		all = append(all, link.Slug(fmt.Sprintf("clinic-%d", i)))
	}
	return all
}

func run(t *testing.T, l *ledger) (expiry.Result, string, error) {
	t.Helper()
	var log bytes.Buffer
	l.tended = map[link.Slug]int{}
	r, err := expiry.Sweep{Links: l, Log: slog.New(slog.NewJSONHandler(&log, nil))}.Run(t.Context())
	return r, log.String(), err
}

// TestPoison: a link that panics, one that hangs and one that fails do not affect the other
// links.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{due: slugs(1000), tend: func(ctx context.Context, s link.Slug) (link.Finding, error) {
			switch s {
			case "clinic-3":
				panic("the secret of clinic-3")
			case "clinic-5":
				<-ctx.Done()
				return link.Finding{}, ctx.Err()
			case "clinic-7":
				return link.Finding{}, errors.New("a corrupt row")
			}
			return link.Finding{Slug: s}, nil
		}}
		start := time.Now()
		r, log, err := run(t, l)
		if err != nil || r.Due != 1000 || r.Done != 997 || r.Failed != 3 || r.Left != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if took := time.Since(start); took > 50*time.Second {
			t.Errorf("took %v", took)
		}
		if strings.Contains(log, "the secret of") || !strings.Contains(log, "a corrupt row") {
			t.Errorf("log: %s", log)
		}
	})
}

// brittle panics in every method about a link, as an unreadable row might cause.
type brittle struct{ *ledger }

func (brittle) Postpone(context.Context, link.Slug) error { panic("again") }

// TestPoisonPostponed: a link that panics even in Postpone does not end the process.
func TestPoisonPostponed(t *testing.T) {
	l := &ledger{due: slugs(3), tended: map[link.Slug]int{}, tend: func(_ context.Context, s link.Slug) (link.Finding, error) {
		if s == "clinic-1" {
			panic("first")
		}
		return link.Finding{Slug: s}, nil
	}}
	r, err := expiry.Sweep{Links: brittle{l}, Log: slog.New(slog.DiscardHandler)}.Run(t.Context())
	if err != nil || r.Done != 2 || r.Failed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestBounded: a run ends within 50 s and says what it left.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{due: slugs(100), tend: func(ctx context.Context, s link.Slug) (link.Finding, error) {
			<-ctx.Done()
			return link.Finding{}, ctx.Err()
		}}
		start := time.Now()
		r, _, err := run(t, l)
		if took := time.Since(start); err != nil || took > 50*time.Second || r.Left == 0 || r.Left+r.Failed != 100 {
			t.Errorf("%v after %v: %+v", err, took, r)
		}
	})
}

func TestTakesUpNoMoreThanItCan(t *testing.T) {
	l := &ledger{due: slugs(5000), tend: func(_ context.Context, s link.Slug) (link.Finding, error) { return link.Finding{Slug: s}, nil }}
	if r, _, err := run(t, l); err != nil || r.Due != 2001 || r.Done != 2000 || r.Left != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for s, n := range l.tended {
		if n != 1 {
			t.Errorf("%s was tended %d times", s, n)
		}
	}
}

// TestIndexDown: the links that were read before the table stopped answering are still processed.
func TestIndexDown(t *testing.T) {
	l := &ledger{due: slugs(3), dueErr: fmt.Errorf("%w: shard 9", store.ErrUnavailable), tend: func(_ context.Context, s link.Slug) (link.Finding, error) {
		return link.Finding{Slug: s}, nil
	}}
	r, _, err := run(t, l)
	if !errors.Is(err, store.ErrUnavailable) || r.Done != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFindings(t *testing.T) {
	l := &ledger{due: slugs(1), tend: func(_ context.Context, s link.Slug) (link.Finding, error) {
		date, err := date.Parse("2026-12-01")
		days := 8
		return link.Finding{Slug: s, Organization: "org", Did: []string{"verified"}, Status: condition.Active, State: link.SecretExpiring, DaysLeft: &days, ExpiresOn: date, Notice: true, Code: "fhir_403_rbac", Delivered: 2, Letters: []telling.Letter{{}}}, err
	}}
	r, log, err := run(t, l)
	if err != nil || r.Notices != 3 || r.Due != 1 || r.Done != 1 || r.Failed != 0 || r.Left != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, want := range []string{`"level":"WARN"`, `"msg":"sweep.finding"`, `"link":"clinic-0"`, `"secretState":"expiring"`, `"daysLeft":8`, `"code":"fhir_403_rbac"`, `"expiresOn":"2026-12-01"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
}
