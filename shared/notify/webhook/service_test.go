package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/notify/webhook/webhooktest"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store"
)

const (
	contoso  = "11111111-1111-4111-8111-111111111111"
	fabrikam = "33333333-3333-4333-8333-333333333333"
	hook     = "https://hooks.sink.test/events?for=fhirlink"
)

// rig is a Service over stores in memory, with a clock that the tests set.
type rig struct {
	*webhook.Service
	store *webhooktest.Store
	vault *secrettest.Store
	log   *bytes.Buffer
	now   time.Time
}

func newRig(change ...func(*webhook.Deps)) *rig {
	r := &rig{store: webhooktest.New(), vault: secrettest.New(), log: &bytes.Buffer{}, now: time.Now().UTC().Truncate(time.Second)}
	d := webhook.Deps{
		Endpoints: r.store, Secrets: r.vault, Log: slog.New(slog.NewJSONHandler(r.log, nil)),
		Now: func() time.Time { return r.now },
	}
	for _, c := range change {
		c(&d)
	}
	r.Service = webhook.New(d)
	return r
}

func (r *rig) create(t *testing.T, organization string) (webhook.Endpoint, secret.Value) {
	t.Helper()
	e, key, err := r.Create(t.Context(), organization, webhook.NewEndpoint{URL: hook, Description: "ours"})
	if err != nil {
		t.Fatal(err)
	}
	return e, key
}

func wantCode(t *testing.T, what string, err error, want problem.Code) {
	t.Helper()
	var told *problem.Error
	if !errors.As(err, &told) || told.Code != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// named is a store that chooses names in another way.
type named struct{ *secrettest.Store }

func (named) NewName(kind string) string { return "chosen-for-" + kind }

func TestTheStoreNamesTheKeys(t *testing.T) {
	r := newRig(func(d *webhook.Deps) { d.Secrets = named{secrettest.New()} })
	if e, _ := r.create(t, contoso); e.SecretName != "chosen-for-webhook" {
		t.Errorf("the signing key is called %q", e.SecretName)
	}
}

func TestCreate(t *testing.T) {
	r := newRig()
	e, key := r.create(t, contoso)
	want := webhook.Endpoint{
		ID: e.ID, Organization: contoso, URL: hook, Description: "ours", SecretName: e.SecretName, Keys: e.Keys, CreatedAt: r.now,
	}
	if !reflect.DeepEqual(e, want) || len(e.Keys) != 1 || len(e.ID) < 26 || !e.Enabled() {
		t.Errorf("%+v", e)
	}
	kept, err := r.vault.Get(t.Context(), e.SecretName, e.Keys[0].Version)
	if err != nil || !kept.Equal(key) || !strings.HasPrefix(key.Reveal(), "whsec_") {
		t.Errorf("the vault keeps a different key than the one returned, %v", err)
	}
	got, err := r.Get(t.Context(), contoso, e.ID)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v", got, err)
	}
	if shown := fmt.Sprintf("%+v %#v", got, key); strings.Contains(shown, key.Reveal()) {
		t.Error("the key is printed")
	}
}

func TestCreateRefuses(t *testing.T) {
	r := newRig()
	_, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: "http://10.0.0.1", Description: "a\nb"})
	wantCode(t, "two mistakes", err, problem.InvalidFields)
	if told := problem.From(err); len(told.Fields) != 2 || told.Fields[0].Field != "url" || told.Fields[1].Field != "description" {
		t.Errorf("%+v", told.Fields)
	}
	if len(r.vault.Entries()) != 0 {
		t.Error("a key was made")
	}
}

func TestList(t *testing.T) {
	r := newRig()
	var want []string
	for range 3 {
		e, _ := r.create(t, contoso)
		want = append(want, e.ID)
		r.now = r.now.Add(time.Second)
	}
	r.create(t, fabrikam)
	if got := ids(t, r, contoso); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := ids(t, r, "22222222-2222-4222-8222-222222222222"); got != nil {
		t.Errorf("%v", got)
	}
}

func ids(t *testing.T, r *rig, organization string) (all []string) {
	t.Helper()
	list, err := r.List(t.Context(), organization)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		all = append(all, e.ID)
	}
	return all
}

func TestChange(t *testing.T) {
	r := newRig()
	e, _ := r.create(t, contoso)
	text, address, no, yes := "new", "https://Other.test/", false, true
	got, err := r.Change(t.Context(), contoso, e.ID, webhook.Patch{URL: &address, Description: &text, Enabled: &no})
	if err != nil || got.URL != "https://other.test/" || got.Description != "new" || got.Enabled() || !got.DisabledAt.Equal(r.now) || got.DisabledReason == "" {
		t.Errorf("%+v, %v", got, err)
	}
	first := r.now
	r.now = r.now.Add(time.Hour)
	if got, err = r.Change(t.Context(), contoso, e.ID, webhook.Patch{Enabled: &no}); err != nil || !got.DisabledAt.Equal(first) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = r.Change(t.Context(), contoso, e.ID, webhook.Patch{Enabled: &yes})
	if err != nil || !got.Enabled() || got.DisabledReason != "" || got.Description != "new" {
		t.Errorf("%+v, %v", got, err)
	}
	bad := "http://other.test"
	_, err = r.Change(t.Context(), contoso, e.ID, webhook.Patch{URL: &bad, Enabled: &no})
	wantCode(t, "http", err, problem.InvalidFields)
	if again, err := r.Get(t.Context(), contoso, e.ID); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("a refused change took effect: %+v, %v", again, err)
	}
}

func TestRemove(t *testing.T) {
	r := newRig()
	e, _ := r.create(t, contoso)
	if err := r.Remove(t.Context(), contoso, e.ID); err != nil {
		t.Fatal(err)
	}
	if live, err := r.List(t.Context(), contoso); err != nil || len(live) != 0 || len(r.vault.Names()) != 0 {
		t.Errorf("%+v, %v, %v", live, r.vault.Names(), err)
	}
	for range 40 { // as often as a host may deliver the request
		if err := r.Remove(t.Context(), contoso, e.ID); err != nil {
			t.Errorf("again: %v", err)
		}
		r.now = r.now.Add(time.Second)
	}
	wantCode(t, "by others", r.Remove(t.Context(), fabrikam, e.ID), problem.WebhookNotFound)
	r.now = r.now.Add(20 * time.Second)
	wantCode(t, "after a minute", r.Remove(t.Context(), contoso, e.ID), problem.WebhookNotFound)
	r.now = r.now.Add(14 * time.Minute)
	if _, err := r.List(t.Context(), contoso); err != nil {
		t.Error(err)
	}
	if rows, err := r.store.List(t.Context(), contoso); err != nil || len(rows) != 0 {
		t.Errorf("the row is left: %+v, %v", rows, err)
	}
}

// An endpoint of another organization is treated as if it did not exist.
func TestNotYoursIsNotThere(t *testing.T) {
	r := newRig()
	e, _ := r.create(t, contoso)
	before, secrets := e, r.vault.Entries()
	no := false
	for name, do := range map[string]func(id string) error{
		"Get": func(id string) error { _, err := r.Get(t.Context(), fabrikam, id); return err },
		"Change": func(id string) error {
			_, err := r.Change(t.Context(), fabrikam, id, webhook.Patch{Enabled: &no})
			return err
		},
		"Remove": func(id string) error { return r.Remove(t.Context(), fabrikam, id) },
		"Rotate": func(id string) error { _, _, err := r.Rotate(t.Context(), fabrikam, id); return err },
		"Test":   func(id string) error { _, _, err := r.Test(t.Context(), fabrikam, id); return err },
	} {
		theirs, absent := do(e.ID), do("absent")
		wantCode(t, name, theirs, problem.WebhookNotFound)
		wantCode(t, name, absent, problem.WebhookNotFound)
		if a, b := strings.ReplaceAll(theirs.Error(), e.ID, "absent"), absent.Error(); a != b {
			t.Errorf("%s: %s\n%s", name, a, b)
		}
	}
	if after, err := r.Get(t.Context(), contoso, e.ID); err != nil || !reflect.DeepEqual(before, after) || !reflect.DeepEqual(secrets, r.vault.Entries()) {
		t.Errorf("it was changed: %+v, %v", after, err)
	}
}

func TestLimit(t *testing.T) {
	r := newRig()
	for range webhook.MaxEndpoints {
		r.create(t, contoso)
	}
	_, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: hook})
	wantCode(t, "one too many", err, problem.TooManyWebhooks)
	r.create(t, fabrikam)
	if err := r.Remove(t.Context(), contoso, ids(t, r, contoso)[0]); err != nil {
		t.Fatal(err)
	}
	r.create(t, contoso)
}

// Concurrent creations never exceed the limit, and a refused one leaves nothing behind.
func TestLimitUnderARace(t *testing.T) {
	r := newRig()
	var group sync.WaitGroup
	for range 4 * webhook.MaxEndpoints {
		group.Go(func() {
			_, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: hook})
			if err != nil && problem.CodeOf(err) != problem.TooManyWebhooks {
				t.Error(err)
			}
		})
	}
	group.Wait()
	rows, err := r.store.List(t.Context(), contoso)
	if err != nil || len(rows) > webhook.MaxEndpoints || len(rows) != len(r.vault.Names()) {
		t.Errorf("%d rows, %d keys, %v", len(rows), len(r.vault.Names()), err)
	}
}

func TestRotate(t *testing.T) {
	r := newRig()
	e, first := r.create(t, contoso)
	start := r.now
	r.now = r.now.Add(time.Hour)
	e, second, err := r.Rotate(t.Context(), contoso, e.ID)
	if err != nil || len(e.Keys) != 2 || first.Equal(second) {
		t.Fatalf("%+v, %v", e, err)
	}
	if kept, err := r.vault.Get(t.Context(), e.SecretName, e.Keys[0].Version); err != nil || !kept.Equal(second) {
		t.Errorf("the newest key is not the one returned, %v", err)
	}
	if end := start.Add(25 * time.Hour); !e.Keys[1].Until.Equal(end) || !e.OverlapEnds(r.now).Equal(end) || !e.OverlapEnds(end).IsZero() {
		t.Errorf("%+v", e.Keys)
	}
	for range 5 {
		if e, _, err = r.Rotate(t.Context(), contoso, e.ID); err != nil || len(e.Keys) > 4 {
			t.Fatalf("%d keys, %v", len(e.Keys), err)
		}
	}
	if first := e.Keys[0]; !first.Until.IsZero() || e.Keys[3].Until.IsZero() {
		t.Errorf("%+v", e.Keys)
	}
}

// After two concurrent rotations, both new keys sign, and so does the first key.
func TestRotateTwiceAtOnce(t *testing.T) {
	r := newRig()
	e, first := r.create(t, contoso)
	told := []secret.Value{first, {}, {}}
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() {
			_, key, err := r.Rotate(t.Context(), contoso, e.ID)
			if err != nil {
				t.Error(err)
			}
			told[i+1] = key
		})
	}
	group.Wait()
	e, err := r.Get(t.Context(), contoso, e.ID)
	if err != nil || len(e.Keys) != 3 {
		t.Fatalf("%+v, %v", e, err)
	}
	for i, want := range told {
		found := false
		for _, k := range e.Keys {
			if got, err := r.vault.Get(t.Context(), e.SecretName, k.Version); err == nil && got.Equal(want) {
				found = true
			}
		}
		if !found {
			t.Errorf("key %d does not sign", i)
		}
	}
}

// Versions that no longer sign are disabled in the vault, except those that another call may have
// stored a moment ago.
func TestRotateDisablesOldVersions(t *testing.T) {
	r := newRig()
	e, _ := r.create(t, contoso)
	orphan, err := r.vault.Put(t.Context(), e.SecretName, secret.New("orphan"), secret.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for range 3 {
		old = append(old, e.Keys[0].Version)
		if e, _, err = r.Rotate(t.Context(), contoso, e.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.vault.Enabled(e.SecretName)); n != 5 {
		t.Errorf("%d versions are enabled", n)
	}
	r.now = r.now.Add(48 * time.Hour)
	last := e.Keys[0].Version
	if e, _, err = r.Rotate(t.Context(), contoso, e.ID); err != nil {
		t.Fatal(err)
	}
	enabled := r.vault.Enabled(e.SecretName)
	if want := []string{last, e.Keys[0].Version}; !reflect.DeepEqual(enabled, want) {
		t.Errorf("enabled: %v, want %v; %v and %s should not be", enabled, want, old, orphan)
	}
}

// When a store fails, the error says what to do and may be shown to callers.
func TestUnavailable(t *testing.T) {
	r := newRig()
	e, _ := r.create(t, contoso)
	no := false
	operations := map[string]func() error{
		"Create": func() error { _, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: hook}); return err },
		"Change": func() error { _, err := r.Change(t.Context(), contoso, e.ID, webhook.Patch{Enabled: &no}); return err },
		"Remove": func() error { return r.Remove(t.Context(), contoso, e.ID) },
		"Rotate": func() error { _, _, err := r.Rotate(t.Context(), contoso, e.ID); return err },
		"Get":    func() error { _, err := r.Get(t.Context(), contoso, e.ID); return err },
		"List":   func() error { _, err := r.List(t.Context(), contoso); return err },
		"Test":   func() error { _, _, err := r.Test(t.Context(), contoso, e.ID); return err },
	}
	r.store.Fault = func(string, bool) error { return fmt.Errorf("%w: canary", store.ErrUnavailable) }
	for name, do := range operations {
		err := do()
		wantCode(t, name, err, problem.UpstreamUnavailable)
		if strings.Contains(problem.From(err).Detail, "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.store.Fault = nil
	r.vault.Fault = func(string, string, bool) error { return secret.ErrUnavailable }
	for _, name := range []string{"Create", "Rotate"} {
		wantCode(t, name, operations[name](), problem.UpstreamUnavailable)
	}
}

// TestCrash stops the program before and after every write of every operation. Fifteen minutes
// later every existing endpoint works, and the rest is gone with its keys.
func TestCrash(t *testing.T) {
	operations := map[string]func(ctx context.Context, r *rig, id string) error{
		"Create": func(ctx context.Context, r *rig, _ string) error {
			_, _, err := r.Create(ctx, contoso, webhook.NewEndpoint{URL: hook})
			return err
		},
		"Remove": func(ctx context.Context, r *rig, id string) error { return r.Remove(ctx, contoso, id) },
		"Rotate": func(ctx context.Context, r *rig, id string) error {
			_, _, err := r.Rotate(ctx, contoso, id)
			return err
		},
	}
	for name, do := range operations {
		for step := range 40 {
			done := false
			t.Run(fmt.Sprintf("%s, step %d", name, step), func(t *testing.T) {
				r := newRig()
				e, first := r.create(t, contoso)
				crashed := r.crashAt(step)
				err := do(t.Context(), r, e.ID)
				done = !*crashed
				r.store.Fault, r.vault.Fault = nil, nil
				r.now = r.now.Add(15 * time.Minute)
				live, listErr := r.List(t.Context(), contoso)
				if listErr != nil {
					t.Fatal(listErr)
				}
				r.checkWhole(t, live)
				switch {
				case name == "Create" && err == nil && len(live) != 2, name == "Remove" && err == nil && len(live) != 0:
					t.Errorf("%d endpoints", len(live))
				case name == "Rotate":
					r.checkSigns(t, live[0], first)
				}
			})
			if done {
				break
			}
		}
	}
}

// crashAt lets the given number of steps happen and none after them. Every operation has one step
// before it and one after it.
func (r *rig) crashAt(step int) (crashed *bool) {
	crashed = new(bool)
	n := 0
	next := func() bool {
		*crashed = *crashed || n == step
		n++
		return *crashed
	}
	r.store.Fault = func(string, bool) error {
		if next() {
			return store.ErrUnavailable
		}
		return nil
	}
	r.vault.Fault = func(string, string, bool) error {
		if next() {
			return secret.ErrUnavailable
		}
		return nil
	}
	return crashed
}

// checkWhole fails the test unless the rows are the live endpoints, each has all its keys, and
// there are no other keys.
func (r *rig) checkWhole(t *testing.T, live []webhook.Endpoint) {
	t.Helper()
	rows, err := r.store.List(t.Context(), contoso)
	if err != nil || len(rows) != len(live) || len(r.vault.Names()) != len(live) {
		t.Errorf("%d rows, %d secrets, %d live endpoints, %v", len(rows), len(r.vault.Names()), len(live), err)
	}
	for _, e := range live {
		for _, k := range e.Keys {
			if _, err := r.vault.Get(t.Context(), e.SecretName, k.Version); err != nil {
				t.Errorf("%+v: key %+v: %v", e, k, err)
			}
		}
	}
}

func (r *rig) checkSigns(t *testing.T, e webhook.Endpoint, want secret.Value) {
	t.Helper()
	for _, k := range e.Keys {
		if got, err := r.vault.Get(t.Context(), e.SecretName, k.Version); err == nil && got.Equal(want) {
			return
		}
	}
	t.Error("the key that was returned first does not sign")
}

// If another call removes the row before the last step of Create, Create fails and leaves nothing
// behind.
func TestCreateTooLate(t *testing.T) {
	for _, before := range []bool{true, false} {
		r := newRig()
		r.vault.Fault = func(op, _ string, now bool) error {
			if op != "Put" || now != before {
				return nil
			}
			r.vault.Fault = nil
			r.now = r.now.Add(15 * time.Minute)
			if live := ids(t, r, contoso); live != nil {
				t.Errorf("it is listed: %v", live)
			}
			return nil
		}
		_, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: hook})
		// In memory a deleted name is blocked even if it never existed; Key Vault accepts it.
		if problem.CodeOf(err) != problem.UpstreamUnavailable && !errors.Is(err, secret.ErrNameUsed) {
			t.Errorf("removed before the key was stored: %v, %v", before, err)
		}
		r.checkWhole(t, nil)
	}
}

// Another call takes the last free place after Create has checked the limit.
func TestLimitTakenMeanwhile(t *testing.T) {
	r := newRig()
	for range webhook.MaxEndpoints - 1 {
		r.create(t, contoso)
	}
	r.store.Fault = func(op string, before bool) error {
		if op == "List" && !before {
			r.store.Fault = nil
			r.create(t, contoso)
		}
		return nil
	}
	_, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: hook})
	wantCode(t, "the last place is taken", err, problem.TooManyWebhooks)
	live, err := r.List(t.Context(), contoso)
	if err != nil || len(live) != webhook.MaxEndpoints {
		t.Errorf("%d endpoints, %v", len(live), err)
	}
	r.checkWhole(t, live)
}

// A row that looks incomplete but has been completed since is not removed.
func TestFinishedAfterAll(t *testing.T) {
	r := newRig()
	e := webhook.Endpoint{ID: "slow", Organization: contoso, URL: hook, SecretName: "webhook-slow", CreatedAt: r.now}
	if err := r.store.Insert(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	version, err := r.vault.Put(t.Context(), e.SecretName, secret.New("key"), secret.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(15 * time.Minute)
	r.store.Fault = func(op string, before bool) error {
		if op == "List" && !before {
			r.store.Fault = nil
			_, err := r.store.Update(t.Context(), contoso, e.ID, func(row webhook.Endpoint) (webhook.Endpoint, error) {
				row.Keys = []webhook.Key{{Version: version}}
				return row, nil
			})
			return err
		}
		return nil
	}
	ids(t, r, contoso)
	live, err := r.List(t.Context(), contoso)
	if err != nil || len(live) != 1 {
		t.Errorf("%+v, %v", live, err)
	}
	r.checkWhole(t, live)
}

// A row that is being removed never becomes live.
func TestCreateWhileClearedAway(t *testing.T) {
	r := newRig()
	r.vault.Fault = func(op, _ string, before bool) error {
		if op != "Put" || before {
			return nil
		}
		rows, err := r.store.List(t.Context(), contoso)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v, %v", rows, err)
		}
		_, err = r.store.Update(t.Context(), contoso, rows[0].ID, func(row webhook.Endpoint) (webhook.Endpoint, error) {
			row.RemovedAt = r.now
			return row, nil
		})
		return err
	}
	_, _, err := r.Create(t.Context(), contoso, webhook.NewEndpoint{URL: hook})
	wantCode(t, "cleared away", err, problem.UpstreamUnavailable)
	r.checkWhole(t, nil)
}
