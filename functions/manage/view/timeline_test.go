package view

import (
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/ending"
)

var english = Words{Language: "en"}

// TestTimeline: well-formed, every state with a shape of its own, the soonest first, and the same bytes
// for the same links.
func TestTimeline(t *testing.T) {
	today := date.Of(time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC))
	if Timeline(english, nil, today) != "" {
		t.Error("there is a drawing of nothing")
	}
	var ends []End
	for i := range 40 {
		e := End{Name: fmt.Sprintf("clinic-%d <b>&", i), On: today.AddDays(900 - i*25), State: link.SecretOK}
		switch days := e.On.DaysFrom(today); {
		case days < 0:
			e.State = link.SecretExpired
		case days <= ending.ExpiringDays:
			e.State = link.SecretExpiring
		}
		ends = append(ends, e)
	}
	ends = append(ends, End{Name: "undated", State: link.SecretUnknown})
	svg := string(Timeline(english, ends, today))
	for range 20 {
		if again := string(Timeline(english, ends, today)); again != svg {
			t.Fatal("it is drawn differently twice")
		}
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	for _, want := range []string{`role="img"`, "<title ", "<desc ", ">today<", `class="past"`, `class="near"`, `class="expired"`, `class="expiring"`, "29 more", "1 without a date", "clinic-39 &lt;b&gt;&amp;"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is not in %s", want, svg)
		}
	}
	if strings.Contains(svg, "undated") || strings.Index(svg, "clinic-39") > strings.Index(svg, "clinic-38") {
		t.Error("the soonest are not first")
	}
	if columns := strings.Count(svg, `<rect class="ok"`); columns < 15 || columns > 25 {
		t.Errorf("%d months", columns)
	}
	few := string(Timeline(english, []End{{Name: "a", On: today.AddDays(1), State: link.SecretExpiring}, {Name: "b", State: link.SecretUnknown}, {Name: "c", On: today.AddDays(-4000), State: link.SecretExpired}}, today))
	for _, want := range []string{"no date known", `class="unknown"`, "30 Nov 2026"} {
		if !strings.Contains(few, want) {
			t.Errorf("%s is not in %s", want, few)
		}
	}
	if strings.Contains(few, "more") {
		t.Error("there are no more")
	}
	for _, x := range regexp.MustCompile(`x[12]?="(-?[\d.]+)"`).FindAllStringSubmatch(svg+few, -1) {
		var at float64
		if _, err := fmt.Sscan(x[1], &at); err != nil || at < 0 || at > 960 {
			t.Errorf("something is at %s", x[0])
		}
	}
}
