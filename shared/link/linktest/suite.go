package linktest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/telling"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify"
	"fhirlink/shared/store"
)

// Run holds a driver to the contract of [link.Stores]. newStores returns empty ones; it is
// called once for each subtest.
func Run(t *testing.T, newStores func(*testing.T) link.Stores) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, link.Stores)
	}{
		{"returns every field", returnsEveryField},
		{"returns odd values", returnsOddValues},
		{"shares no memory", sharesNoMemory},
		{"knows no other slug", knowsNoOtherSlug},
		{"inserts a slug once", insertsOnce},
		{"one of many inserts wins", oneInsertWins},
		{"updates", updates},
		{"walks through the phases", walksPhases},
		{"update keeps the row when change fails", updateKeepsOnError},
		{"update outlives a panic", updateOutlivesPanic},
		{"update keeps the slug", updateKeepsSlug},
		{"update runs again on a conflict", updateRunsAgain},
		{"update sees a removal", updateSeesRemoval},
		{"update sees a new row", updateSeesNewRow},
		{"loses no update", losesNoUpdate},
		{"removes", removes},
		{"remove judges the latest row", removeJudgesLatest},
		{"removes at once", removesAtOnce},
		{"due up to now, in order", dueInOrder},
		{"due to the microsecond", dueToTheMicrosecond},
		{"due stops", dueStops},
		{"due follows every write", dueFollowsWrites},
		{"due while the rows change", dueWhileChanging},
		{"due lists many", dueListsMany},
		{"roster gives receipts", rosterGivesReceipts},
		{"roster withdraws by receipt", rosterWithdraws},
		{"roster pages", rosterPages},
		{"roster keeps organizations apart", rosterKeepsApart},
		{"roster and rows are apart", rosterAndRows},
		{"trail keeps events", trailKeeps},
		{"trail keeps the first of an ID", trailKeepsFirst},
		{"trail pages", trailPages},
		{"trail keeps links apart", trailKeepsApart},
		{"trail ends", trailEnds},
		{"trail ends bit by bit", trailEndsBitByBit},
		{"trail ends however long", trailEndsHoweverLong},
		{"keeps the last report", keepsLastReport},
		{"keeps a large report", keepsLargeReport},
		{"report and row are apart", reportAndRow},
		{"ends with the context", endsWithContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newStores(t)) })
	}
}

const (
	contoso  = "11111111-1111-4111-8111-111111111111"
	fabrikam = "33333333-3333-4333-8333-333333333333"
)

// noon is an instant with nanoseconds, in a zone that is not UTC.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.FixedZone("", -5*60*60))

// full returns a link in which no field is zero; TestFull holds it to that.
func full() link.Link {
	date := date.Of(noon)
	return link.Link{
		Slug: "good-health-clinic", ID: "id-1", Organization: contoso, Phase: link.Live, App: "growth-chart", Of: "another-clinic",
		Description: "Good Health Clinic", FHIRServerURL: "https://ws-clinic.fhir.azurehealthcareapis.com",
		ClientID: "22222222-2222-4222-8222-222222222222", TenantID: fabrikam,
		Audience: "https://ws-clinic.fhir.azurehealthcareapis.com", Listed: true,
		Condition: condition.Condition{Health: condition.Degraded, Failing: "metadata", Attempts: 3, NextVerify: noon.Add(7 * time.Hour), PendingSince: noon.Add(-4 * time.Hour), Problem: &condition.Problem{
			Check: "metadata", Code: "fhir_5xx", Message: "Was geschah 🏥", Fix: `<what> "to" do`, Command: "az x", Since: noon.Add(-5 * time.Hour),
		}},
		Secret: link.Secret{
			Name: "contoso/link-a", Version: "v2", Previous: "v1", ExpiresOn: date.AddDays(159), Expired: true,
			Source: ending.ByGraph, KeyID: "key-1", Since: noon.Add(-1 * time.Hour), PreviousUntil: noon.Add(8 * time.Hour),
			FellBackAt: noon.Add(-2 * time.Hour), Kind: credential.KindClientSecret, PreviousKind: credential.KindCertificate,
		},
		Contacts: []string{"it@clinic.example", "ops@clinic.example"},
		NoticeAt: noon.Add(9 * time.Hour), ToldCondition: notify.LinkBroken, Notices: telling.Outbox{notice(), {ID: "msg_2", Type: notify.SecretRotated, At: noon}},
		PendingEvents: []trail.Event{event("1")}, Failures: 2, NotBefore: noon.Add(-3 * time.Hour),
		Change:  &link.Change{ID: "change-1", Since: noon.Add(1 * time.Hour), Unfinished: true},
		Discard: []string{"contoso/link-b", "link-c"}, Enrolled: true, NoticedOn: date, Revision: 7,
		ReservedUntil: noon.Add(2 * time.Hour), CreatedAt: noon.Add(3 * time.Hour),
		UpdatedAt: noon.Add(4 * time.Hour), VerifiedAt: noon.Add(5 * time.Hour),
		PhaseSince: noon.Add(6 * time.Hour),
	}
}

// notice returns a notice in which no field is zero.
func notice() telling.Notice {
	return telling.Notice{
		ID: "msg_1", Type: notify.SecretExpiring, At: noon.Add(10 * time.Hour), Version: "v2", Status: string(condition.Active), State: string(link.SecretExpiring),
		ExpiresOn: date.Of(noon).AddDays(30), Threshold: 30, Code: "code", Message: "Was geschah 🏥", Fix: `<what> "to" do`,
		Deliveries: []telling.Delivery{
			{Target: notify.Target{Channel: "webhook", ID: "wh-1"}, Next: noon.Add(11 * time.Hour), Claim: "claim", Attempts: 4},
			{Target: notify.Target{Channel: "mail", ID: "contacts"}, Next: noon.Add(12 * time.Hour)},
		},
	}
}

// event returns an event in which no field is zero.
func event(id string) trail.Event {
	return trail.Event{
		ID: id, At: noon, Organization: contoso, Slug: "good-health-clinic", App: "growth-chart", LinkID: "id-1", Action: trail.SecretChanged, Outcome: "ok",
		By: trail.Actor{Organization: fabrikam, ObjectID: "oid", AppID: "azp", App: true},
	}
}

// slim returns a live link that is never due.
func slim(slug link.Slug) link.Link {
	return link.Link{Slug: slug, ID: "id-" + string(slug), Organization: contoso, Phase: link.Live}
}

// dueAt returns a link that is due at an instant.
func dueAt(t *testing.T, slug link.Slug, at time.Time) link.Link {
	t.Helper()
	l := slim(slug)
	l.NextVerify = at
	if !l.Due().Equal(at) {
		t.Fatalf("a live link with NextVerify %v and nothing else is due at %v", at, l.Due())
	}
	return l
}

func insert(t *testing.T, s link.Stores, links ...link.Link) {
	t.Helper()
	for _, l := range links {
		if err := s.Insert(t.Context(), l); err != nil {
			t.Fatalf("Insert %q: %v", l.Slug, err)
		}
	}
}

// update must succeed.
func update(t *testing.T, s link.Stores, slug link.Slug, change func(*link.Link)) link.Link {
	t.Helper()
	l, err := s.Update(t.Context(), slug, func(l link.Link) (link.Link, error) {
		change(&l)
		return l, nil
	})
	if err != nil {
		t.Fatalf("Update %q: %v", slug, err)
	}
	return l
}

func remove(t *testing.T, s link.Stores, slug link.Slug) {
	t.Helper()
	if gone, err := s.Remove(t.Context(), slug, always); !gone || err != nil {
		t.Fatalf("Remove %q = %v, %v", slug, gone, err)
	}
}

func always(link.Link) bool { return true }

// same fails the test unless got is want as a store keeps it.
func same(t *testing.T, what string, got, want link.Link) {
	t.Helper()
	if want := want.Stored(); !reflect.DeepEqual(got, want) {
		t.Errorf("%s =\n%+v (change %+v), want\n%+v (change %+v)", what, got, got.Change, want, want.Change)
	}
}

// holds fails the test unless the store has the row as want says.
func holds(t *testing.T, s link.Stores, want link.Link) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Slug)
	if err != nil {
		t.Fatalf("Get %q: %v", want.Slug, err)
	}
	same(t, "Get", got, want)
}

func absent(t *testing.T, s link.Stores, slug link.Slug) {
	t.Helper()
	if l, err := s.Get(t.Context(), slug); !errors.Is(err, store.ErrNotFound) || l.Slug != "" {
		t.Errorf("Get %q = %+v, %v, want ErrNotFound", slug, l, err)
	}
}

// due returns the slugs that are due, in the order given.
func due(t *testing.T, s link.Stores, now time.Time) (slugs []link.Slug) {
	t.Helper()
	err := s.Due(t.Context(), now, func(slug link.Slug) bool {
		slugs = append(slugs, slug)
		return true
	})
	if err != nil {
		t.Fatalf("Due: %v", err)
	}
	return slugs
}

func endsWithContext(t *testing.T, s link.Stores) {
	insert(t, s, dueAt(t, "kept", noon))
	if _, err := s.Enroll(t.Context(), contoso, "kept"); err != nil {
		t.Fatal(err)
	}
	receipt, err := s.Receipt(t.Context(), contoso, "kept")
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := s.Get(over, "kept"); return err },
		"Insert": func() error { return s.Insert(over, slim("new")) },
		"Update": func() error {
			_, err := s.Update(over, "kept", func(link.Link) (link.Link, error) { return slim("kept"), nil })
			return err
		},
		"Remove":       func() error { _, err := s.Remove(over, "kept", always); return err },
		"Due":          func() error { return s.Due(over, noon, func(link.Slug) bool { return true }) },
		"Enroll":       func() error { _, err := s.Enroll(over, contoso, "new"); return err },
		"Receipt":      func() error { _, err := s.Receipt(over, contoso, "kept"); return err },
		"Withdraw":     func() error { return s.Withdraw(over, contoso, "kept", receipt) },
		"Slugs":        func() error { _, err := s.Slugs(over, contoso, "", 10); return err },
		"Append":       func() error { return s.Append(over, event("new")) },
		"Events":       func() error { _, err := s.Events(over, contoso, "kept", "", 10); return err },
		"PutReport":    func() error { return s.PutReport(over, "new", lastReport()) },
		"LastReport":   func() error { _, err := s.LastReport(over, "kept"); return err },
		"RemoveReport": func() error { return s.RemoveReport(over, "kept") },
		"Expire":       func() error { _, err := s.Expire(over, noon, "", plenty); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s with a cancelled context = %v, want ErrUnavailable and context.Canceled", name, err)
		}
	}
	holds(t, s, dueAt(t, "kept", noon))
	absent(t, s, "new")
	enrolled(t, s, contoso, "kept")
}
