package seal_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
)

const (
	name = "fhirlink-seal"
	home = "https://links.contoso.com"
)

type session struct {
	Tenant string   `json:"t"`
	Roles  []string `json:"r,omitempty"`
}

// fixture is a deployment of one instance with a clock.
type fixture struct {
	*seal.Sealer
	store *secrettest.Store
	now   time.Time
	log   *strings.Builder
}

func newFixture(store *secrettest.Store) *fixture {
	f := &fixture{store: store, now: time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC), log: &strings.Builder{}}
	now := func() time.Time { return f.now }
	f.Sealer = &seal.Sealer{Keys: seal.NewKeys(name, store, now, f.logger()), PublicURL: home, Now: now}
	return f
}

func (f *fixture) seal(t testing.TB, use string) string {
	t.Helper()
	sealed, err := seal.Seal(t.Context(), f.Sealer, use, f.now.Add(time.Hour), session{"contoso.", []string{"<a&b>"}})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (f *fixture) open(ctx context.Context, use, sealed string) error {
	_, _, err := seal.Open[session](ctx, f.Sealer, use, sealed)
	return err
}

// add adds a version to the store, as an operator does.
func add(t *testing.T, store *secrettest.Store, text string) string {
	t.Helper()
	version, err := store.Put(t.Context(), name, secret.New(text), secret.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func keyText(fill byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(string(rune(fill)), 32)))
}

func TestRoundTrip(t *testing.T) {
	f := newFixture(secrettest.New())
	a, b := f.seal(t, "session"), f.seal(t, "session")
	if a == b {
		t.Error("two values have the same text")
	}
	for _, sealed := range []string{a, b} {
		got, until, err := seal.Open[session](t.Context(), f.Sealer, "session", sealed)
		if err != nil || got.Tenant != "contoso." || got.Roles[0] != "<a&b>" || !until.Equal(f.now.Add(time.Hour)) {
			t.Errorf("%+v until %v, %v", got, until, err)
		}
	}
	if plain := len(`{"t":"contoso.","r":["<a&b>"]}`) + 49; len(a) != base64.RawURLEncoding.EncodedLen(plain) {
		t.Errorf("%d bytes", len(a))
	}
	if versions := f.store.Enabled(name); len(versions) != 1 {
		t.Errorf("versions %q", versions)
	}
}

// Each byte counts: the text with one character replaced, cut or added is not opened, nor are other
// uses, deployments and programs.
func TestNothingElseOpens(t *testing.T) {
	f := newFixture(secrettest.New())
	good := f.seal(t, "session")
	if len(good)%4 == 0 {
		t.Fatal("the last character has no bits to spare, so this test misses them")
	}
	refused := func(what, use, sealed string) {
		if err := f.open(t.Context(), use, sealed); !errors.Is(err, seal.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range good {
		for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=\n\r ") {
			if good[i] != c {
				refused(fmt.Sprintf("character %d is %q", i, c), "session", good[:i]+string(c)+good[i+1:])
			}
		}
		refused(fmt.Sprintf("cut at %d", i), "session", good[:i])
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d", bit, i), "session", base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 1 << bit
		}
	}
	for what, sealed := range map[string]string{
		"added": good + "A", "padded": good + "=", "in a new line": good + "\n", "with a space": " " + good,
		"standard base64": base64.RawStdEncoding.EncodeToString(append(raw, 0xff, 0xff, 0xff)), "empty": "",
		"long": strings.Repeat("A", seal.MaxBytes+4),
	} {
		refused(what, "session", sealed)
	}
	refused("another use", "sign-in", good)
	refused("no use", "", good)
	f.PublicURL = "https://staging.contoso.com"
	refused("another deployment with the same keys", "session", good)
	f.PublicURL = home
	if err := f.open(t.Context(), "session", good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, _, err := seal.Open[[]int](t.Context(), f.Sealer, "session", good); !errors.Is(err, seal.ErrInvalid) {
		t.Errorf("another type: %v", err)
	}
	refused("a stranger's", "session", stranger(t))
	refused("a stranger's whose key has the same id", "session", newFixture(secrettest.New()).seal(t, "session"))
}

func TestEnds(t *testing.T) {
	f := newFixture(secrettest.New())
	sealed := f.seal(t, "session")
	f.now = f.now.Add(time.Hour - time.Second)
	if err := f.open(t.Context(), "session", sealed); err != nil {
		t.Error(err)
	}
	f.now = f.now.Add(time.Second)
	got, _, err := seal.Open[session](t.Context(), f.Sealer, "session", sealed)
	if !errors.Is(err, seal.ErrEnded) || got.Tenant != "contoso." {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestValueThatIsNotJSON(t *testing.T) {
	f := newFixture(secrettest.New())
	if _, err := seal.Seal(t.Context(), f.Sealer, "session", f.now, func() {}); err == nil {
		t.Error("a function was sealed")
	}
	if len(f.store.Entries()) != 0 {
		t.Error("a key was made for it")
	}
}

func FuzzOpen(f *testing.F) {
	x := newFixture(secrettest.New())
	good := x.seal(f, "session")
	f.Add(good)
	f.Add(good[:len(good)-1] + "A")
	f.Add(strings.Repeat("A", 100))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, sealed string) {
		if err := x.open(t.Context(), "session", sealed); err == nil && sealed != good {
			t.Errorf("%q was opened", sealed)
		} else if err != nil && !errors.Is(err, seal.ErrInvalid) {
			t.Errorf("%q: %v", sealed, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	f := newFixture(secrettest.New())
	b.ReportAllocs()
	for b.Loop() {
		f.seal(b, "session")
	}
}

func BenchmarkOpen(b *testing.B) {
	f := newFixture(secrettest.New())
	sealed := f.seal(b, "session")
	b.ReportAllocs()
	for b.Loop() {
		if err := f.open(b.Context(), "session", sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func (f *fixture) logger() *slog.Logger { return slog.New(slog.NewTextHandler(f.log, nil)) }
