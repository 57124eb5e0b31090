package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"fhirlink/shared/secret"
)

const canary = "canary~8Q.+/=42"

// outer holds the value in as many nested places as code may have.
type outer struct {
	Name     string
	Exported secret.Value
	hidden   secret.Value
	pointer  *secret.Value
	inner    struct{ deep []secret.Value }
	byName   map[string]secret.Value
	any      any
}

func holder() outer {
	v := secret.New(canary)
	o := outer{Name: "visible", Exported: v, hidden: v, pointer: &v, byName: map[string]secret.Value{"k": v}, any: v}
	o.inner.deep = []secret.Value{v}
	return o
}

// leaks reports whether text contains the canary in any form that a log could contain.
func leaks(text string) bool {
	reversed := []byte(canary)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	for _, form := range []string{
		canary, string(reversed), url.QueryEscape(canary), base64.StdEncoding.EncodeToString([]byte(canary)),
		fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%q", canary), fmt.Sprint([]byte(canary)),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestNothingPrints(t *testing.T) {
	v, o := secret.New(canary), holder()
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %p %c %U %e %b %o %10s %-5v %.3s % x %#x %T") {
		for what, operand := range map[string]any{
			"value": v, "pointer": &v, "slice": []secret.Value{v}, "array": [1]secret.Value{v},
			"map": map[string]secret.Value{"k": v}, "key": map[secret.Value]int{v: 1},
			"struct": o, "pointer to struct": &o, "slice of structs": []outer{o}, "any": []any{v, o},
		} {
			if got := fmt.Sprintf(verb, operand); leaks(got) {
				t.Errorf("%s of a %s prints %q", verb, what, got)
			}
		}
	}
	if got := fmt.Sprintf("%v %s %x", v, v, v); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("got %q", got)
	}
	if err := fmt.Errorf("it failed: %w %v", errors.New("x"), v); leaks(err.Error()) {
		t.Error(err)
	}
}

func TestNothingEncodes(t *testing.T) {
	v := secret.New(canary)
	for what, operand := range map[string]any{
		"value": v, "pointer": &v, "map": map[string]secret.Value{"k": v}, "key": map[secret.Value]int{v: 1},
		"struct": struct{ V secret.Value }{v}, "unexported": holder(), "any": []any{v},
	} {
		data, err := json.Marshal(operand)
		if err != nil || leaks(string(data)) {
			t.Errorf("JSON of a %s: %s (%v)", what, data, err)
		}
	}
	if data, _ := json.Marshal(v); string(data) != `"[redacted]"` {
		t.Errorf("JSON = %s", data)
	}
}

func TestNothingLogs(t *testing.T) {
	v, o := secret.New(canary), holder()
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).With("with", v).Info("message", "value", v, "pointer", &v, "struct", o, "all", []any{v, o},
			slog.Group("group", "deep", v), "string", fmt.Sprint(v))
	}
	if leaks(out.String()) {
		t.Error(out.String())
	}
	if got := strings.Count(out.String(), "[redacted]"); got < 8 {
		t.Errorf("%d times [redacted] in %s", got, out.String())
	}
}

// TestHidden: a struct that embeds Hidden prints nothing of itself, wherever it stands, and JSON has all of it.
func TestHidden(t *testing.T) {
	type held struct {
		secret.Hidden

		Text string
	}
	h := held{Text: canary}
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t") {
		for what, operand := range map[string]any{"value": h, "pointer": &h, "slice": []held{h}, "map": map[string]held{"k": h}, "inside": struct{ H held }{h}} {
			if got := fmt.Sprintf(verb, operand); leaks(got) {
				t.Errorf("%s of a %s prints %q", verb, what, got)
			}
		}
	}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("message", "value", h, "pointer", &h)
	}
	if leaks(out.String()) {
		t.Error(out.String())
	}
	if data, err := json.Marshal(h); err != nil || string(data) != `{"Text":"`+canary+`"}` {
		t.Errorf("JSON: %s, %v", data, err)
	}
}

func TestReveal(t *testing.T) {
	if got := secret.New(canary).Reveal(); got != canary {
		t.Errorf("Reveal = %q", got)
	}
	if got := (secret.Value{}).Reveal(); got != "" {
		t.Errorf("Reveal of the zero Value = %q", got)
	}
	if !secret.New("").IsZero() || !(secret.Value{}).IsZero() || secret.New(" ").IsZero() {
		t.Error("IsZero is true of the empty text only")
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"", "", true}, {"x", "x", true}, {"x", "y", false}, {"x", "", false}, {"x", "xx", false}} {
		if got := secret.New(c.a).Equal(secret.New(c.b)); got != c.want {
			t.Errorf("Equal(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestUnmarshal(t *testing.T) {
	var body struct{ ClientSecret secret.Value }
	if err := json.Unmarshal([]byte(`{"clientSecret":"`+canary+`"}`), &body); err != nil || body.ClientSecret.Reveal() != canary {
		t.Errorf("read %q (%v)", body.ClientSecret.Reveal(), err)
	}
	if err := json.Unmarshal([]byte(`{"clientSecret":""}`), &body); err != nil || !body.ClientSecret.IsZero() {
		t.Errorf("an empty text reads as %q (%v)", body.ClientSecret.Reveal(), err)
	}
	if err := json.Unmarshal([]byte(`{"clientSecret":42}`), &body); err == nil || leaks(err.Error()) {
		t.Errorf("a number reads without error (%v)", err)
	}
}

func TestSplitName(t *testing.T) {
	longest := strings.Repeat("v", secret.MaxVault) + "/" + strings.Repeat("n", 127)
	for _, c := range []struct {
		name, vault, local string
		good               bool
	}{
		{"a", "", "a", true},
		{"link-0aZ9", "", "link-0aZ9", true},
		{"-", "", "-", true},
		{strings.Repeat("n", 127), "", strings.Repeat("n", 127), true},
		{"contoso/link-0aZ9", "contoso", "link-0aZ9", true},
		{"127-0-0-1/a", "127-0-0-1", "a", true},
		{longest, longest[:24], longest[25:], true},
		{name: ""},
		{name: strings.Repeat("n", 128)},
		{name: "a_b"},
		{name: "a.b"},
		{name: "ä"},
		{name: "a\x00"},
		{name: "a "},
		{name: "/a"},
		{name: "a/"},
		{name: "a/b/c"},
		{name: "A/b"},
		{name: "-a/b"},
		{name: "a-/b"},
		{name: "a--a/b"},
		{name: "a.b/c"},
		{name: "a\n/b"},
		{name: "v" + longest},
		{name: longest + "n"},
	} {
		vault, local, err := secret.SplitName(c.name)
		if vault != c.vault || local != c.local || (err == nil) != c.good {
			t.Errorf("SplitName(%.40q) = %q, %q, %v", c.name, vault, local, err)
		}
		if (secret.CheckName(c.name) == nil) != c.good {
			t.Errorf("CheckName(%.40q) = %v", c.name, secret.CheckName(c.name))
		}
	}
}

func TestNewName(t *testing.T) {
	a, b := secret.NewName("link"), secret.NewName("link")
	if a == b || len(a) != len("link-")+26 || !strings.HasPrefix(a, "link-") || strings.ToLower(a) != a {
		t.Errorf("NewName = %q, then %q", a, b)
	}
}
