package linktest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/store"
	"fhirlink/shared/store/celltest"
)

// Stores implements [link.Stores] in memory.
type Stores struct {
	// Fault, unless nil, runs before and after each operation; an error it returns becomes
	// the operation's. Before means that nothing took place. After means that the operation is
	// done and its answer got lost. op is the method's name. slug is empty for Due and Slugs,
	// which are about many, and for Cell and Swap, which are about none.
	Fault func(op string, slug link.Slug, before bool) error

	mu       sync.Mutex
	writes   int64 // counts every write; the receipts and the rows' versions come from it
	rows     map[link.Slug]row
	receipts map[entry]string
	trail    map[entry]map[string]trail.Event
	reports  map[string]lastreport.Report
	cells    *celltest.Cells
}

type row struct {
	link    link.Link
	version int64
}

type entry struct {
	organization string
	slug         link.Slug
}

var _ link.Stores = (*Stores)(nil)

// New returns empty stores.
func New() *Stores {
	return &Stores{
		rows: map[link.Slug]row{}, receipts: map[entry]string{},
		trail: map[entry]map[string]trail.Event{}, reports: map[string]lastreport.Report{}, cells: celltest.New(),
	}
}

// Get implements [link.Store].
func (s *Stores) Get(ctx context.Context, slug link.Slug) (l link.Link, err error) {
	err = s.operate(ctx, "Get", slug, func() error {
		found, err := s.read(slug)
		l = found.link
		return err
	})
	if err != nil {
		return link.Link{}, err
	}
	return l, nil
}

// Insert implements [link.Store].
func (s *Stores) Insert(ctx context.Context, l link.Link) error {
	return s.operate(ctx, "Insert", l.Slug, func() error {
		if !s.swap(l.Slug, 0, &l) {
			return fmt.Errorf("%w: link %s", store.ErrExists, l.Slug)
		}
		return nil
	})
}

// Update implements [link.Store]. The stores are not locked while change runs.
func (s *Stores) Update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (l link.Link, err error) {
	err = s.operate(ctx, "Update", slug, func() error {
		l, err = s.update(ctx, slug, change)
		return err
	})
	if err != nil {
		return link.Link{}, err
	}
	return l, nil
}

func (s *Stores) update(ctx context.Context, slug link.Slug, change func(link.Link) (link.Link, error)) (link.Link, error) {
	for range attempts {
		found, err := s.read(slug)
		if err != nil {
			return link.Link{}, err
		}
		next, err := change(found.link)
		switch {
		case err != nil:
			return link.Link{}, err
		case next.Slug != slug:
			return link.Link{}, fmt.Errorf("an update of link %q cannot turn it into %q", slug, next.Slug)
		case ctx.Err() != nil:
			return link.Link{}, ended(ctx)
		case s.swap(slug, found.version, &next):
			return next.Stored(), nil
		}
	}
	return link.Link{}, busy(slug)
}

// Remove implements [link.Store]. The stores are not locked while still runs.
func (s *Stores) Remove(ctx context.Context, slug link.Slug, still func(link.Link) bool) (gone bool, err error) {
	err = s.operate(ctx, "Remove", slug, func() error {
		gone, err = s.remove(slug, still)
		return err
	})
	return gone && err == nil, err
}

func (s *Stores) remove(slug link.Slug, still func(link.Link) bool) (gone bool, err error) {
	for range attempts {
		found, err := s.read(slug)
		if err != nil {
			return true, nil // the one error of read is ErrNotFound
		}
		if !still(found.link) {
			return false, nil
		}
		if s.swap(slug, found.version, nil) {
			return true, nil
		}
	}
	return false, busy(slug)
}

// Due implements [link.Schedule], in order of time.
func (s *Stores) Due(ctx context.Context, now time.Time, yield func(link.Slug) bool) error {
	return s.operate(ctx, "Due", "", func() error {
		for _, l := range s.dueBy(now) {
			if !yield(l.Slug) {
				break
			}
		}
		return nil
	})
}

func (s *Stores) dueBy(now time.Time) []link.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []link.Link
	for _, r := range s.rows {
		if t := r.link.Due(); !t.IsZero() && !t.After(now) {
			due = append(due, r.link)
		}
	}
	slices.SortFunc(due, func(a, b link.Link) int {
		return cmp.Or(a.Due().Compare(b.Due()), cmp.Compare(a.Slug, b.Slug))
	})
	return due
}

// Enroll implements [link.Roster].
func (s *Stores) Enroll(ctx context.Context, organization string, slug link.Slug) (receipt string, err error) {
	err = s.operate(ctx, "Enroll", slug, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writes++
		receipt = fmt.Sprintf("receipt-%d", s.writes)
		s.receipts[entry{organization, slug}] = receipt
		return nil
	})
	if err != nil {
		return "", err
	}
	return receipt, nil
}

// Receipt implements [link.Roster].
func (s *Stores) Receipt(ctx context.Context, organization string, slug link.Slug) (receipt string, err error) {
	err = s.operate(ctx, "Receipt", slug, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		receipt = s.receipts[entry{organization, slug}]
		return nil
	})
	if err != nil {
		return "", err
	}
	return receipt, nil
}

// Withdraw implements [link.Roster].
func (s *Stores) Withdraw(ctx context.Context, organization string, slug link.Slug, receipt string) error {
	return s.operate(ctx, "Withdraw", slug, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e := (entry{organization, slug}); s.receipts[e] == receipt {
			delete(s.receipts, e)
		}
		return nil
	})
}

// Slugs implements [link.Roster].
func (s *Stores) Slugs(ctx context.Context, organization string, after link.Slug, limit int) (slugs []link.Slug, err error) {
	err = s.operate(ctx, "Slugs", "", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for e := range s.receipts {
			if e.organization == organization && e.slug > after {
				slugs = append(slugs, e.slug)
			}
		}
		slices.Sort(slugs)
		slugs = slugs[:min(max(limit, 0), len(slugs))]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slugs, nil
}

// attempts bounds how often a change is tried again because others wrote meanwhile.
const attempts = 100

// operate runs do between the two calls of Fault, unless ctx has ended.
func (s *Stores) operate(ctx context.Context, op string, slug link.Slug, do func() error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if err := s.fault(op, slug, true); err != nil {
		return err
	}
	err := do()
	if lost := s.fault(op, slug, false); lost != nil {
		return lost
	}
	return err
}

func (s *Stores) fault(op string, slug link.Slug, before bool) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op, slug, before)
}

func (s *Stores) read(slug link.Slug) (row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.rows[slug]
	if !ok {
		return row{}, fmt.Errorf("%w: link %s", store.ErrNotFound, slug)
	}
	found.link = found.link.Stored()
	return found, nil
}

// swap puts next in the place of the row of that version and reports whether it did. Version 0
// stands for no row, and so does a nil next.
func (s *Stores) swap(slug link.Slug, version int64, next *link.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows[slug].version != version {
		return false
	}
	if next == nil {
		delete(s.rows, slug)
		return true
	}
	s.writes++
	s.rows[slug] = row{next.Stored(), s.writes}
	return true
}

func ended(ctx context.Context) error {
	return fmt.Errorf("%w: the request was over before: %w", store.ErrUnavailable, ctx.Err())
}

func busy(slug link.Slug) error {
	return fmt.Errorf("%w: link %s was changed by others %d times in a row", store.ErrUnavailable, slug, attempts)
}
