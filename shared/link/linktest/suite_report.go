package linktest

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"fhirlink/shared/link"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/problem"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// lastReport returns a report in which no field is zero.
func lastReport() lastreport.Report {
	return lastreport.Report{LinkID: "id-1", At: noon, By: lastreport.Verify, Report: verification.Report{
		Status: verification.Fail, Access: verification.NoAccess, TenantID: fabrikam, Audience: "https://x.example", ObjectID: "oid",
		Checks: []verification.Check{{
			ID: "read", Title: "Right to read", Status: verification.Fail, Code: "fhir_403_rbac", Message: "Was geschah 🏥", Fix: `<what> "to" do`, Command: "az x", DurationMS: 7,
			Evidence: &verification.Evidence{Method: "GET", URL: "https://x.example/Patient", HTTPStatus: 403, CorrelationID: "c", TraceID: "t"},
			Errors:   []problem.Field{{Field: "slug", Code: "c", Message: "m", Fix: "f"}},
		}},
	}}
}

func putReport(t *testing.T, s link.Stores, slug string, r lastreport.Report) {
	t.Helper()
	if err := s.PutReport(t.Context(), slug, r); err != nil {
		t.Fatalf("PutReport: %v", err)
	}
}

func reported(t *testing.T, s link.Stores, slug string, want lastreport.Report) {
	t.Helper()
	if got, err := s.LastReport(t.Context(), slug); err != nil || !reflect.DeepEqual(got, want.Stored()) {
		t.Errorf("LastReport of %s =\n%+v, %v, want\n%+v", slug, got, err, want.Stored())
	}
}

func unreported(t *testing.T, s link.Stores, slug string) {
	t.Helper()
	if got, err := s.LastReport(t.Context(), slug); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("LastReport of %s = %+v, %v, want ErrNotFound", slug, got, err)
	}
}

func keepsLastReport(t *testing.T, s link.Stores) {
	unreported(t, s, "clinic")
	if err := s.RemoveReport(t.Context(), "clinic"); err != nil {
		t.Errorf("RemoveReport of none: %v", err)
	}
	first, second := lastReport(), lastReport()
	second.By, second.Report.Checks = lastreport.Service, nil
	putReport(t, s, "clinic", first)
	putReport(t, s, "clinic-2", first)
	reported(t, s, "clinic", first)
	putReport(t, s, "clinic", second)
	reported(t, s, "clinic", second)
	for range 2 {
		if err := s.RemoveReport(t.Context(), "clinic"); err != nil {
			t.Errorf("RemoveReport: %v", err)
		}
		unreported(t, s, "clinic")
	}
	reported(t, s, "clinic-2", first)
}

// keepsLargeReport: whatever a server answered, the report is kept, and the row takes 16 KiB at most.
func keepsLargeReport(t *testing.T, s link.Stores) {
	large := lastReport()
	for range 7 {
		c := large.Report.Checks[0]
		c.Message, c.Fix = strings.Repeat("🏥", 9000), strings.Repeat(`<"`, 9000)
		large.Report.Checks = append(large.Report.Checks, c)
	}
	putReport(t, s, "clinic", large)
	reported(t, s, "clinic", large)
	got, err := s.LastReport(t.Context(), "clinic")
	data, e := json.Marshal(got)
	if err != nil || e != nil || len(data) > 16<<10 || len(got.Report.Checks) != 8 {
		t.Errorf("the row has %d bytes and %d checks, %v %v", len(data), len(got.Report.Checks), err, e)
	}
}

// reportAndRow: a report is apart from the link's row, the schedule, and the trail.
func reportAndRow(t *testing.T, s link.Stores) {
	insert(t, s, dueAt(t, "clinic", noon))
	putReport(t, s, "clinic", lastReport())
	holds(t, s, dueAt(t, "clinic", noon))
	isDue(t, s, noon, "clinic")
	remove(t, s, "clinic")
	reported(t, s, "clinic", lastReport())
	if err := s.RemoveReport(t.Context(), "clinic"); err != nil {
		t.Error(err)
	}
	insert(t, s, slim("clinic"))
	holds(t, s, slim("clinic"))
}
