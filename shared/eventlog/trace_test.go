package eventlog_test

import (
	"strings"
	"testing"

	"fhirlink/shared/eventlog"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

// W3C Trace Context §3.2.2, and §4 for future versions.
func TestParseTraceparent(t *testing.T) {
	for header, good := range map[string]bool{
		"00-" + traceID + "-" + parentID + "-01":                              true,
		"00-" + traceID + "-" + parentID + "-00":                              true,
		"cc-" + traceID + "-" + parentID + "-01":                              true,
		"cc-" + traceID + "-" + parentID + "-01-what-the-future-will-be-like": true,
		"":                               false,
		"00":                             false,
		"00-" + traceID + "-" + parentID: false,
		"00-" + traceID + "-" + parentID + "-01-":                     false,
		"00-" + traceID + "-" + parentID + "-01-x":                    false,
		"00-" + traceID + "-" + parentID + "-1":                       false,
		"00-" + traceID + "-" + parentID + "-0x":                      false,
		"ff-" + traceID + "-" + parentID + "-01":                      false,
		"0-" + traceID + "-" + parentID + "-01":                       false,
		"cc-" + traceID + "-" + parentID + "-01x":                     false,
		"00-" + strings.ToUpper(traceID) + "-" + parentID + "-01":     false,
		"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01":      false,
		"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01":       false,
		"00-" + traceID[1:] + "-" + parentID + "-01":                  false,
		"00-" + traceID + "0-" + parentID + "-01":                     false,
		"00-" + strings.Repeat("g", 32) + "-" + parentID + "-01":      false,
		"00-" + traceID + "-" + parentID + "-01, 00-" + traceID + "-": false,
	} {
		got, ok := eventlog.ParseTraceparent(header)
		want := eventlog.Trace{}
		if good {
			want = eventlog.Trace{ID: traceID, Parent: parentID}
		}
		if ok != good || got != want {
			t.Errorf("%q: %+v, %v", header, got, ok)
		}
	}
}

func TestParseXRay(t *testing.T) {
	for header, want := range map[string]eventlog.Trace{
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1":       {ID: "5759e988bd862e3fe1be46a994272793", Parent: "53995c3f42cd8ad8"},
		"Root=1-5759e988-bd862e3fe1be46a994272793":                                         {ID: "5759e988bd862e3fe1be46a994272793"},
		"Self=1-x; Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:a87bd80c:0;Parent=x": {ID: "5759e988bd862e3fe1be46a994272793"},
		"":                                       {},
		"Root=":                                  {},
		"Root=5759e988-bd862e3fe1be46a994272793": {},
		"Root=2-5759e988-bd862e3fe1be46a994272793": {},
		"Root=1-5759e98-bd862e3fe1be46a9942727933": {},
		"Root=1-00000000-000000000000000000000000": {},
		"Parent=53995c3f42cd8ad8":                  {},
	} {
		got, ok := eventlog.ParseXRay(header)
		if ok != (want.ID != "") || got != want {
			t.Errorf("%q: %+v, %v", header, got, ok)
		}
	}
}

// FuzzTrace: a trace from any header holds only valid ids.
func FuzzTrace(f *testing.F) {
	f.Add("00-" + traceID + "-" + parentID + "-01")
	f.Add("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
	f.Fuzz(func(t *testing.T, header string) {
		for _, parse := range []func(string) (eventlog.Trace, bool){eventlog.ParseTraceparent, eventlog.ParseXRay} {
			got, ok := parse(header)
			if !ok {
				continue
			}
			if len(got.ID) != 32 || strings.Trim(got.ID, "0123456789abcdef") != "" || len(got.Parent) != 0 && len(got.Parent) != 16 {
				t.Errorf("%q: %+v", header, got)
			}
		}
	})
}
