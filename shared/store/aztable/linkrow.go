package aztable

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
)

// linkRow is a link with the driver's own properties. The zero row means that there is no row.
type linkRow struct {
	link     link.Link
	createOp string      // random id of the insert
	opIDs    []string    // random ids of the latest writes, newest first
	due      string      // RowKey of its entry in the schedule; "" if it has none
	etag     azcore.ETag // as read; "" on a row to be written
}

// newLinkRow returns a row to be inserted by the write op.
func newLinkRow(l link.Link, op string) linkRow {
	return linkRow{link: l, createOp: op, opIDs: []string{op}}.scheduled()
}

// changed returns the row that change makes of r, with a new op id.
func (r linkRow) changed(change func(link.Link) (link.Link, error)) (linkRow, error) {
	slug := r.link.Slug
	l, err := change(r.link.Stored())
	if err != nil {
		return linkRow{}, err
	}
	if l.Slug != slug {
		return linkRow{}, fmt.Errorf("an update of link %q cannot turn it into %q", slug, l.Slug)
	}
	opIDs := slices.Concat([]string{rand.Text()}, r.opIDs)
	return linkRow{link: l, createOp: r.createOp, opIDs: opIDs[:min(len(opIDs), rememberedOps)]}.scheduled(), nil
}

// scheduled returns r as it is stored, with its entry in the schedule.
func (r linkRow) scheduled() linkRow {
	r.link = r.link.Stored()
	if due := r.link.Due(); !due.IsZero() {
		r.due = dueKey(due, r.link.Slug)
	}
	return r
}

// hasOp reports whether the write op is among the latest writes of the row.
func (r linkRow) hasOp(op string) bool { return slices.Contains(r.opIDs, op) }

// afterConflict returns r, which was read after a conflict in replacing before. If the row is
// unchanged, its entry in the schedule caused the conflict: the entry was deleted by hand.
func (r linkRow) afterConflict(before linkRow) linkRow {
	if r.etag == before.etag {
		r.due = ""
	}
	return r
}

// linkColumns lists the properties of r's link, as Storage Explorer shows them. The slug is in
// the RowKey. An empty value has no property.
func linkColumns(r *linkRow) []column {
	l := &r.link
	return []column{
		{"CreateOp", &r.createOp},
		{"OpIDs", jsonText{&r.opIDs}},
		{"DueRow", &r.due},

		{"ID", &l.ID},
		{"Organization", &l.Organization},
		{"Phase", (*string)(&l.Phase)},
		{"App", &l.App},
		{"Of", (*string)(&l.Of)},
		{"Description", &l.Description},
		{"FHIRServerURL", &l.FHIRServerURL},
		{"ClientID", &l.ClientID},
		{"TenantID", &l.TenantID},
		{"Audience", &l.Audience},
		{"Listed", &l.Listed},
		{"Health", (*string)(&l.Health)},
		{"Failing", &l.Failing},
		{"Attempts", &l.Attempts},
		{"PendingSince", &l.PendingSince},
		{"Problem", jsonText{&l.Problem}},
		{"SecretName", &l.Secret.Name},
		{"SecretVersion", &l.Secret.Version},
		{"SecretPrevious", &l.Secret.Previous},
		{"SecretKind", (*string)(&l.Secret.Kind)},
		{"SecretPreviousKind", (*string)(&l.Secret.PreviousKind)},
		{"SecretExpiresOn", &l.Secret.ExpiresOn},
		{"SecretExpired", &l.Secret.Expired},
		{"SecretSource", (*string)(&l.Secret.Source)},
		{"SecretKeyID", &l.Secret.KeyID},
		{"SecretSince", &l.Secret.Since},
		{"SecretPreviousUntil", &l.Secret.PreviousUntil},
		{"SecretFellBackAt", &l.Secret.FellBackAt},
		{"Contacts", jsonText{&l.Contacts}},
		{"Change", jsonText{&l.Change}},
		{"Discard", jsonText{&l.Discard}},
		{"Enrolled", &l.Enrolled},
		{"NoticedOn", &l.NoticedOn},
		{"NoticeAt", &l.NoticeAt},
		{"Told", (*string)(&l.ToldCondition)},
		{"Notices", jsonText{&l.Notices}},
		{"Untold", jsonText{&l.PendingEvents}},
		{"Failures", &l.Failures},
		{"NotBefore", &l.NotBefore},
		{"Revision", &l.Revision},
		{"ReservedUntil", &l.ReservedUntil},
		{"CreatedAt", &l.CreatedAt},
		{"UpdatedAt", &l.UpdatedAt},
		{"VerifiedAt", &l.VerifiedAt},
		{"PhaseSince", &l.PhaseSince},
		{"NextVerify", &l.NextVerify},
	}
}

// entity encodes r's link for Table Storage.
func (r linkRow) entity() ([]byte, error) {
	data, err := encode(partitionOf(r.link.Slug), linkKey(r.link.Slug), linkColumns(&r))
	if err != nil {
		return nil, fmt.Errorf("link %s cannot be stored: %w", r.link.Slug, err)
	}
	return data, nil
}

// decodeLink reads the properties that entity writes.
func decodeLink(slug link.Slug, data []byte, etag azcore.ETag) (linkRow, error) {
	r := linkRow{link: link.Link{Slug: slug}, etag: etag}
	var e aztables.EDMEntity
	err := json.Unmarshal(data, &e)
	if err == nil {
		err = decodeColumns(e, linkColumns(&r))
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return linkRow{}, fmt.Errorf("row %s in partition %s of the links' table cannot be read, repair it there: %w", linkKey(slug), partitionOf(slug), err)
	}
	r.link = r.link.Stored()
	return r, nil
}

// check verifies what this driver relies on. If DueRow contained another slug, a change would
// delete another link's row.
func (r linkRow) check() error {
	if r.createOp == "" || len(r.opIDs) == 0 {
		return errors.New("property CreateOp or OpIDs is missing")
	}
	if r.due == "" {
		return nil
	}
	if slug, err := dueSlug(r.due); err != nil || slug != r.link.Slug {
		return fmt.Errorf("property DueRow is %.80q, which is no row of this link", r.due)
	}
	return nil
}
