package expiry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/entra"
	"fhirlink/shared/expiry"
	"fhirlink/shared/fhir"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/notify"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/verification"
)

var quiet = slog.New(slog.DiscardHandler)

const organization = "11111111-1111-4111-8111-111111111111"

// fleet is a service with many links whose secrets expire on one day, and a receiver.
type fleet struct {
	stores *linktest.Stores
	mu     sync.Mutex
	got    map[string][]string // by slug: the events received, without duplicates by ID
	ids    map[string]bool
	ends   date.Date
}

func (f *fleet) Name() string { return "webhook" }

func (f *fleet) Targets(context.Context, string) ([]notify.Target, error) {
	return []notify.Target{{Channel: "webhook", ID: "wh"}}, nil
}

func (f *fleet) Deliver(_ context.Context, _ string, _ notify.Target, e notify.Event) notify.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ids[e.ID] {
		f.ids[e.ID] = true
		text := strings.TrimPrefix(string(e.Type), "fhirlink.secret.")
		if e.Threshold != nil {
			text += fmt.Sprint(" ", *e.Threshold)
		}
		f.got[e.Slug] = append(f.got[e.Slug], text)
	}
	return notify.Result{Outcome: notify.Delivered}
}

// Verify hangs for one link and panics for another. No other link is due for a verification.

func (f *fleet) Verify(ctx context.Context, t verification.Target) verification.Report {
	if strings.Contains(t.Server.String(), "panics") {
		panic("the secret of a link")
	}
	<-ctx.Done()
	return verification.Report{}
}

func (f *fleet) Token(context.Context, entra.Credentials, string) (entra.Token, error) {
	return entra.Token{}, errors.New("nobody asks")
}

// newFleet returns a service with n links whose secrets expire in the given number of days.
func newFleet(t *testing.T, n, days int) *fleet {
	t.Helper()
	f := &fleet{stores: linktest.New(), got: map[string][]string{}, ids: map[string]bool{}, ends: date.Of(time.Now()).AddDays(days)}
	for i := range n {
		if err := f.stores.Insert(t.Context(), f.row(fmt.Sprintf("clinic-%05d", i))); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fleet) row(slug string) link.Link {
	now := time.Now()
	return link.Link{
		Slug: link.Slug(slug), ID: "id-" + slug, Organization: organization, Phase: link.Live, Condition: condition.Condition{Health: condition.Active}, Description: "Clinic",
		FHIRServerURL: "https://clinic.fhir.azurehealthcareapis.com", ClientID: organization, TenantID: organization, Audience: "https://x.example",
		Secret: link.Secret{Name: "link-x", Version: "v", ExpiresOn: f.ends}, NoticedOn: date.Of(now), NoticeAt: f.ends.AddDays(-60).Time(),
		CreatedAt: now, VerifiedAt: now,
	}
}

// broken makes a link due for a verification that fails.
func (f *fleet) broken(t *testing.T, slug, host string) {
	t.Helper()
	_, err := f.stores.Update(t.Context(), link.Slug(slug), func(l link.Link) (link.Link, error) {
		l.FHIRServerURL, l.NextVerify, l.VerifiedAt = "https://"+host+".fhir.azurehealthcareapis.com", time.Now(), time.Time{}
		return l, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// corrupted is a store that cannot read one row.
type corrupted struct {
	*linktest.Stores
	slug link.Slug
}

var errCorrupt = errors.New("the row cannot be read")

func (c corrupted) Get(ctx context.Context, slug link.Slug) (link.Link, error) {
	if slug == c.slug {
		return link.Link{}, errCorrupt
	}
	return c.Stores.Get(ctx, slug)
}

func (c corrupted) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	if slug == c.slug {
		return link.Link{}, errCorrupt
	}
	return c.Stores.Update(ctx, slug, change)
}

func (f *fleet) sweep(corrupt link.Slug) expiry.Sweep {
	vault := anySecret{secrettest.New()}
	stores := corrupted{f.stores, corrupt}
	s := link.New(link.Deps{
		Stores: stores, Secrets: vault, Verifier: f, Tokens: f, Channel: f, Log: quiet,
		Authority: func(fhir.BaseURL) string { return "https://login.example.test/" },
	})
	return expiry.Sweep{Links: s, Cells: stores, Log: quiet}
}

// anySecret has a secret under every name.
type anySecret struct{ *secrettest.Store }

func (anySecret) Get(context.Context, string, string) (secret.Value, error) {
	return secret.New("the-secret"), nil
}

// TestTenThousand: one link hangs, one panics and one cannot be read. The other 9,997 still get
// their notices, and the three add almost nothing to later runs.
func TestTenThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 10_000
		f := newFleet(t, many, 61)
		f.broken(t, "clinic-03333", "hangs")
		f.broken(t, "clinic-06666", "panics")
		sweep := f.sweep("clinic-09999")
		time.Sleep(24 * time.Hour)
		var last expiry.Result
		for range 8 {
			start := time.Now()
			var err error
			if last, err = sweep.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 50*time.Second {
				t.Errorf("a run took %v", took)
			}
			time.Sleep(time.Minute)
		}
		told := 0
		for _, texts := range f.got {
			if slices.Equal(texts, []string{"expiring 60"}) {
				told++
			}
		}
		if told < 9997 {
			t.Errorf("%d links got notices", told)
		}
		if last.Due > 3 || last.Left > 0 {
			t.Errorf("the last run: %v", last)
		}
	})
}

// TestWhenTheTimerFires: the timer fires three times at once, days late, or not for 40 days.
// Every notice is sent exactly once.
func TestWhenTheTimerFires(t *testing.T) {
	for name, c := range map[string]struct {
		days []int // days on which the timer fires, three times at once
		want []string
	}{
		"daily":              {count(0, 70), []string{"expiring 60", "expiring 30", "expiring 14", "expiring 7", "expiring 3", "expiring 1", "expiring 0", "expired"}},
		"every five days":    {[]int{0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65}, []string{"expiring 60", "expiring 30", "expiring 14", "expiring 7", "expiring 1", "expired"}},
		"40 days of silence": {[]int{0, 1, 41, 42}, []string{"expiring 60", "expiring 30"}},
		"long after the end": {[]int{100, 101}, []string{"expired"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 20, 61)
				start := time.Now()
				for _, day := range c.days {
					time.Sleep(time.Until(start.AddDate(0, 0, day).Add(time.Hour)))
					var wg sync.WaitGroup
					for range 3 {
						wg.Go(func() {
							if _, err := f.sweep("none").Run(t.Context()); err != nil {
								t.Error(err)
							}
						})
					}
					wg.Wait()
				}
				for slug, got := range f.got {
					if !slices.Equal(got, c.want) {
						t.Fatalf("%s: told %q, want %q", slug, got, c.want)
					}
				}
				if len(f.got) != 20 {
					t.Errorf("%d of 20 links got notices", len(f.got))
				}
			})
		})
	}
}

func count(from, to int) (days []int) {
	for d := from; d < to; d++ {
		days = append(days, d)
	}
	return days
}

// TestPostponed: a link on which the runs fail waits longer each time, up to an hour.
func TestPostponed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 300)
		f.broken(t, "clinic-00000", "panics")
		sweep := f.sweep("none")
		runs := 0
		for range 24 * 60 {
			r, err := sweep.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			runs += r.Failed
			time.Sleep(time.Minute)
		}
		if runs < 24 || runs > 32 {
			t.Errorf("in one day %d runs failed on the link", runs)
		}
	})
}
