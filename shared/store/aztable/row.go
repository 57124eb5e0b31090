package aztable

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"fhirlink/shared/link"
)

// rememberedOps is how many writes a row remembers. A writer whose answer got lost finds its
// own among them although others have written since.
const rememberedOps = 8

// row is a link with what the driver keeps beside it. The zero row stands for none.
type row struct {
	link     link.Link
	createOp string      // random, of the insert
	opIDs    []string    // random, of the latest writes, newest first
	due      string      // RowKey of its entry in the index; "" if it has none
	etag     azcore.ETag // as read; "" on a row to be written
}

// newRow is a row to be inserted by the write op.
func newRow(l link.Link, op string) row {
	return row{link: l, createOp: op, opIDs: []string{op}}.scheduled()
}

// changed is the row that change makes of r, to be written by an op of its own.
func (r row) changed(change func(link.Link) (link.Link, error)) (row, error) {
	slug := r.link.Slug
	l, err := change(r.link.Stored())
	if err != nil {
		return row{}, err
	}
	if l.Slug != slug {
		return row{}, fmt.Errorf("an update of link %q cannot turn it into %q", slug, l.Slug)
	}
	opIDs := slices.Concat([]string{rand.Text()}, r.opIDs)
	return row{link: l, createOp: r.createOp, opIDs: opIDs[:min(len(opIDs), rememberedOps)]}.scheduled(), nil
}

// scheduled is r as it is stored, with the entry that its link is due to have.
func (r row) scheduled() row {
	r.link = r.link.Stored()
	if due := r.link.Due(); !due.IsZero() {
		r.due = dueKey(due, r.link.Slug)
	}
	return r
}

// saw tells whether a write of that id is among the latest.
func (r row) saw(op string) bool { return slices.Contains(r.opIDs, op) }

// after is r, which was read after a conflict in writing over before. If the row is still the
// same, then its entry in the index was missing: somebody has removed it by hand.
func (r row) after(before row) row {
	if r.etag == before.etag {
		r.due = ""
	}
	return r
}
