package link_test

import (
	"context"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/problem"
)

// leaving makes the client go away after the first operation of that name on the stores.
func (d *desk) leaving(t *testing.T, op string) context.Context {
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	d.links.Fault = func(name string, _ link.Slug, before bool) error {
		if name == op && !before {
			leave()
		}
		return nil
	}
	return ctx
}

// TestClientLeaves: a client that goes away stops nothing that has begun to be stored.
func TestClientLeaves(t *testing.T) {
	for _, op := range []string{"Insert", "Enroll", "Update"} {
		d := newDesk()
		if _, err := d.Register(d.leaving(t, op), orgA, registration(slug)); err != nil {
			t.Errorf("register, gone after %s: %v", op, err)
		}
		if l, err := d.Get(t.Context(), orgA, slug); err != nil || l.Phase != link.Live {
			t.Errorf("register, gone after %s: %+v, %v", op, l.Phase, err)
		}
	}
	d := newDesk()
	d.register(t, orgA, slug)
	if _, err := d.SetSecret(d.leaving(t, "Update"), orgA, slug, "*", intake.NewSecret{ClientSecret: registration(slug).ClientSecret}); err != nil {
		t.Errorf("a new secret: %v", err)
	}
	d.links.Fault = nil
	if l, err := d.Get(t.Context(), orgA, slug); err != nil || l.Change != nil || l.Secret.Previous == "" {
		t.Errorf("a new secret: %+v, %v", l.Secret, err)
	}
}

// TestReportIsOfTheLastVerification: a report that was kept although a later verification has changed
// the link is not shown as the last one.
func TestReportIsOfTheLastVerification(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	first, err := d.Report(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(time.Minute)
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	late := lastreport.Report{LinkID: first.LinkID, At: first.At, By: lastreport.Verify, Report: first.Report}
	if err := d.links.PutReport(t.Context(), slug, late); err != nil { // a request that took longer
		t.Fatal(err)
	}
	_, err = d.Report(t.Context(), orgA, slug)
	wantCode(t, err, problem.ReportNotFound)
}
