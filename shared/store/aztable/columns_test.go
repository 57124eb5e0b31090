package aztable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
)

// filled returns a row with a distinct value in every field of its link, including fields that
// are added later.
func filled(t *testing.T) linkRow {
	t.Helper()
	var l link.Link
	n := 0
	fill(t, reflect.ValueOf(&l).Elem(), &n)
	l.Slug, l.Phase = "good-health-clinic", link.Live
	return linkRow{link: l, createOp: "CREATE", opIDs: []string{"LATEST", "CREATE"}}.scheduled()
}

func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon.Add(time.Duration(*n) * time.Hour)))
		return
	case date.Date:
		v.Set(reflect.ValueOf(date.Of(noon).AddDays(*n)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("value %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1<<40 + int64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("no value is known for a %s", v.Type())
	}
}

func TestEntity(t *testing.T) {
	want := filled(t)
	data, err := want.entity()
	if err != nil {
		t.Fatal(err)
	}
	want.etag = "tag"
	got, err := decodeLink("good-health-clinic", data, "tag")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("decode =\n%+v, %v, want\n%+v", got, err, want)
	}
}

// TestFormat checks that the driver reads rows from earlier versions.
func TestFormat(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "row.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeLink("good-health-clinic", data, "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.entity()
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := errors.Join(json.Unmarshal(data, &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %#v, is written again as %#v", name, value, got[name])
		}
	}
}

func TestEmptyLink(t *testing.T) {
	r := newLinkRow(link.Link{Slug: "clinic", Phase: link.Live}, "OP")
	data, err := r.entity()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeLink("clinic", data, "")
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("decode = %+v, %v, want %+v", got, err, r)
	}
	for _, name := range []string{"Change", "Discard", "CreatedAt", "SecretExpiresOn", "Description"} {
		if bytes.Contains(data, []byte(name)) {
			t.Errorf("an empty %s has a property in %s", name, data)
		}
	}
}

// TestDateTime: for another zone, the SDK would write the clock time with a Z.
func TestDateTime(t *testing.T) {
	v, err := dateTime(noon.In(time.FixedZone("", 3*60*60)))
	if err != nil {
		t.Fatal(err)
	}
	if data, err := json.Marshal(v); err != nil || string(data) != `"2026-11-23T12:00:00.123456Z"` {
		t.Errorf("a time of another zone is written as %s, %v", data, err)
	}
}

func TestTooMuch(t *testing.T) {
	for name, change := range map[string]func(*link.Link){
		"text":        func(l *link.Link) { l.Description = strings.Repeat("x", maxText+1) },
		"UTF-16 text": func(l *link.Link) { l.Description = strings.Repeat("\U0001F3E5", maxText/2+1) },
		"list":        func(l *link.Link) { l.Discard = []string{strings.Repeat("x", maxText)} },
		"early time":  func(l *link.Link) { l.CreatedAt = time.Date(1600, 12, 31, 0, 0, 0, 0, time.UTC) },
		"late time":   func(l *link.Link) { l.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		l := clinic()
		change(&l)
		_, err := newLinkRow(l, "OP").entity()
		if err == nil || !strings.Contains(err.Error(), "clinic") {
			t.Errorf("%s: entity = %v, want an error that names the link", name, err)
		}
	}
	l := clinic()
	l.Description = strings.Repeat("\U0001F3E5", maxText/2)
	if _, err := newLinkRow(l, "OP").entity(); err != nil {
		t.Errorf("text of exactly the limit: %v", err)
	}
}

// TestTooLargeRow: each text is within its limit, but their sum is not.
func TestTooLargeRow(t *testing.T) {
	r := newLinkRow(clinic(), strings.Repeat("x", maxText))
	r.opIDs = []string{strings.Repeat("x", maxText-10)}
	long := 0
	for _, c := range linkColumns(&r) {
		if p, ok := c.value.(*string); ok && c.name != "DueRow" && long < 14 {
			*p = strings.Repeat("x", maxText)
			long++
		}
	}
	if _, err := r.entity(); err != nil {
		t.Errorf("15 texts of the greatest length: %v", err)
	}
	r.link.Discard = []string{strings.Repeat("x", maxText-10)}
	r.link.Change = &link.Change{ID: strings.Repeat("x", maxText-60)}
	if _, err := r.entity(); err == nil || !strings.Contains(err.Error(), "clinic") {
		t.Errorf("17 texts of the greatest length: %v, want an error that names the link", err)
	}
}

func TestCorruptRow(t *testing.T) {
	sound, err := newLinkRow(clinic(), "OP").entity()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]any){
		"no CreateOp":       func(e map[string]any) { delete(e, "CreateOp") },
		"no OpIDs":          func(e map[string]any) { delete(e, "OpIDs") },
		"OpIDs not JSON":    func(e map[string]any) { e["OpIDs"] = "OP" },
		"OpIDs empty":       func(e map[string]any) { e["OpIDs"] = "[]" },
		"number for text":   func(e map[string]any) { e["Description"] = 7 },
		"text for number":   func(e map[string]any) { e["Revision"] = "7"; delete(e, "Revision@odata.type") },
		"Int32 for Int64":   func(e map[string]any) { e["Revision"] = 7; delete(e, "Revision@odata.type") },
		"no number":         func(e map[string]any) { e["Revision"] = "seven" },
		"text for bool":     func(e map[string]any) { e["Listed"] = "true" },
		"text for time":     func(e map[string]any) { delete(e, "NextVerify@odata.type") },
		"no time":           func(e map[string]any) { e["NextVerify"] = "soon" },
		"no date":           func(e map[string]any) { e["SecretExpiresOn"] = "soon" },
		"Change not JSON":   func(e map[string]any) { e["Change"] = "{" },
		"DueRow of another": func(e map[string]any) { e["DueRow"] = "X_1795435200123456_other" },
		"DueRow of a link":  func(e map[string]any) { e["DueRow"] = "L_clinic" },
	} {
		var e map[string]any
		if err := json.Unmarshal(sound, &e); err != nil {
			t.Fatal(err)
		}
		change(e)
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := decodeLink("clinic", data, ""); err == nil || !strings.Contains(err.Error(), "L_clinic") || r.link.ID != "" {
			t.Errorf("%s: decode = %+v, %v, want an error that names the row", name, r, err)
		}
	}
	if _, err := decodeLink("clinic", []byte("<html>"), ""); err == nil {
		t.Error("decode reads HTML")
	}
}

// FuzzDecode: no content of the table makes decodeLink panic, and a row that it accepts is
// written back unchanged.
func FuzzDecode(f *testing.F) {
	sound, err := newLinkRow(clinic(), "OP").entity()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add([]byte(`{"PartitionKey":"s00","RowKey":"L_clinic","CreateOp":"a","OpIDs":"[\"a\"]","Change":"null","Discard":"[]"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeLink("clinic", data, azcore.ETag("tag"))
		if err != nil {
			return
		}
		r.link = r.link.Stored()
		again, err := r.entity()
		if err != nil {
			return // longer than what Table Storage would have accepted
		}
		if got, err := decodeLink("clinic", again, "tag"); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("decode =\n%+v, %v, want\n%+v", got, err, r)
		}
	})
}
