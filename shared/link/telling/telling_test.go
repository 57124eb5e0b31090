package telling_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/notify"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

func on(t *testing.T, s string) date.Date {
	t.Helper()
	d, err := date.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestThresholds(t *testing.T) {
	own := telling.NewThresholds([]int{5, 20})
	for _, tt := range []struct {
		thresholds      telling.Thresholds
		end, told, want string
	}{
		{own, "2027-01-23", "2026-11-23", "2027-01-03"},
		{own, "2027-01-23", "2027-01-03", "2027-01-18"},
		{own, "2027-01-23", "2027-01-18", "2027-01-24"}, // the day after the end
		{own, "2027-01-23", "2027-01-24", ""},
		{own, "", "", ""},
		{own, "", "2026-11-23", "2026-12-23"}, // a missing date is asked for again
		{telling.DefaultThresholds(), "2027-01-23", "2026-11-23", "2026-11-24"},
	} {
		got := date.Date{}
		if next := tt.thresholds.Next(on(t, tt.end), on(t, tt.told)); !next.IsZero() {
			got = date.Of(next)
		}
		if got.String() != tt.want {
			t.Errorf("end %s, told up to %s: next on %q, want %q", tt.end, tt.told, got, tt.want)
		}
	}
	for left, want := range map[int]int{60: 60, 59: 60, 31: 60, 30: 30, 2: 3, 1: 1, 0: 0} {
		if got := telling.DefaultThresholds().Passed(left); got != want {
			t.Errorf("%d days left have passed %d, want %d", left, got, want)
		}
	}
}

func ids(o telling.Outbox) (all []string) {
	for _, n := range o {
		all = append(all, n.ID)
	}
	return all
}

func TestOutboxAdd(t *testing.T) {
	expiring := func(id string) telling.Notice { return telling.Notice{ID: id, Type: notify.SecretExpiring, At: now} }
	broken := telling.Notice{ID: "broken", Type: notify.LinkBroken, At: now, Message: strings.Repeat("ä", 500)}
	o := telling.Outbox{}.Add(expiring("60")).Add(broken).Add(broken).Add(expiring("30"))
	if got := ids(o); !slices.Equal(got, []string{"broken", "30"}) {
		t.Errorf("the outbox has %q", got)
	}
	if message := []rune(o[0].Message); len(message) != 240 || message[239] != '…' {
		t.Errorf("the message has %d characters", len(message))
	}
	begun := o.Address([]telling.Delivery{{Target: notify.Target{Channel: "webhook", ID: "a"}, Next: now}})
	begun.Claim(now)
	if got := ids(begun.Add(telling.Notice{ID: "rotated", Type: notify.SecretRotated, At: now})); !slices.Equal(got, []string{"broken", "30", "rotated"}) {
		t.Errorf("after a delivery was begun the outbox has %q", got)
	}
	var many telling.Outbox
	for i := range 20 {
		many = many.Add(telling.Notice{ID: fmt.Sprint(i), Type: notify.LinkRecovered, At: now})
	}
	if got := ids(many); len(got) != 12 || got[0] != "8" {
		t.Errorf("of 20 notices there are %q", got)
	}
}

// TestOutboxDelivery: claim, settle, and what a claim that lapsed may still say.
func TestOutboxDelivery(t *testing.T) {
	a, b := notify.Target{Channel: "webhook", ID: "a"}, notify.Target{Channel: "webhook", ID: "b"}
	o := telling.Outbox{}.Add(telling.Notice{ID: "n", Type: notify.LinkBroken, At: now})
	if !o.Unaddressed() || !o.Due().Equal(now.Truncate(time.Microsecond)) {
		t.Errorf("a new notice: unaddressed %t, due %v", o.Unaddressed(), o.Due())
	}
	if left := o.Stored().Address(nil); len(left) != 0 {
		t.Errorf("a notice without receivers stays: %v", left)
	}
	o = o.Address([]telling.Delivery{{Target: a, Next: now}, {Target: b, Next: now.Add(time.Hour)}})
	first := o.Claim(now)
	if len(first) != 1 || first[0].Delivery.Target != a || o.Due().Sub(now).Round(time.Second) != 2*time.Minute {
		t.Fatalf("claimed %+v, due %v", first, o.Due())
	}
	if again := o.Claim(now.Add(time.Minute)); len(again) != 0 {
		t.Errorf("a claimed delivery was claimed again: %+v", again)
	}
	second := o.Claim(now.Add(3 * time.Minute)) // the first claim has lapsed
	first[0].Result = notify.Result{Outcome: notify.Retry}
	if o = o.Settle(first, now.Add(3*time.Minute)); o[0].Deliveries[0].Claim != second[0].Delivery.Claim {
		t.Error("the failure of a run whose claim has lapsed counts")
	}
	first[0].Result = notify.Result{Outcome: notify.Delivered}
	if o = o.Settle(first, now.Add(3*time.Minute)); len(o[0].Deliveries) != 1 || o[0].Deliveries[0].Target != b {
		t.Errorf("a delivery by any run counts: %+v", o[0].Deliveries)
	}
	last := o.Claim(now.Add(time.Hour))
	last[0].Result = notify.Result{Outcome: notify.Gone}
	if o = o.Settle(last, now.Add(time.Hour)); len(o) != 0 || !o.Due().IsZero() {
		t.Errorf("a notice that every receiver has stays: %v", o)
	}
}

type mailer []notify.Digest

func (m *mailer) Digest(_ context.Context, d notify.Digest) notify.Result {
	*m = append(*m, d)
	return notify.Result{Outcome: notify.Delivered}
}

// TestMail: one mail for all links, without what a new secret has made untrue.
func TestMail(t *testing.T) {
	letter := func(slug, version string, contacts ...string) telling.Letter {
		return telling.Letter{
			About:    telling.About{Organization: "org", Slug: slug, Contacts: contacts, SecretVersion: "v2"},
			Attempts: []telling.Attempt{{Notice: telling.Notice{ID: slug, Type: notify.SecretExpiring, Version: version}}},
		}
	}
	var mails mailer
	s := telling.Sender{Mailer: &mails, Log: slog.New(slog.DiscardHandler)}
	if r, sent := s.Mail(t.Context(), []telling.Letter{letter("old", "v1", "a@x.example")}, now); sent || r.Outcome != notify.Delivered || len(mails) != 0 {
		t.Errorf("nothing is left to say: sent %t, %v, %v", sent, r, mails)
	}
	if _, sent := s.Mail(t.Context(), []telling.Letter{letter("one", "v2", "b@x.example", "a@x.example"), letter("old", "v1"), letter("two", "v2", "a@x.example")}, now); !sent || len(mails) != 1 {
		t.Fatalf("sent %t, %v", sent, mails)
	}
	if d := mails[0]; !slices.Equal(d.Contacts, []string{"a@x.example", "b@x.example"}) || len(d.Events) != 2 || d.Day != "2026-11-23" {
		t.Errorf("%+v", d)
	}
	s.Mailer = nil
	if r, sent := s.Mail(t.Context(), []telling.Letter{letter("one", "v2")}, now); sent || r.Outcome != notify.Gone {
		t.Errorf("without a mail server: sent %t, %v", sent, r)
	}
}

type noTargets struct{ notify.Channel }

func (noTargets) Targets(context.Context, string) ([]notify.Target, error) {
	return nil, errors.New("down")
}

func TestDeliveriesUnknown(t *testing.T) {
	s := telling.Sender{Channel: noTargets{}, Log: slog.New(slog.DiscardHandler)}
	if all, err := s.Deliveries(t.Context(), telling.About{Slug: "clinic"}, now); err == nil || all != nil || !strings.Contains(err.Error(), "clinic") {
		t.Errorf("%v, %v", all, err)
	}
}
