package trail

import "slices"

// maxPending bounds the events that wait on a row.
const maxPending = 8

// Pending are events that wait on a link's row until they are in the trail, the oldest first. Its
// methods leave the list as it is.
type Pending []Event

// Add is the list with one more event.
func (p Pending) Add(e Event) Pending {
	p = append(slices.Clone(p), e)
	return p[max(0, len(p)-maxPending):]
}

// Without is the list without the events that are in the trail now.
func (p Pending) Without(entered Pending) Pending {
	return slices.DeleteFunc(slices.Clone(p), func(e Event) bool {
		return slices.ContainsFunc(entered, func(o Event) bool { return o.ID == e.ID })
	})
}

// Stored is the list as a row keeps it; nil when it is empty.
func (p Pending) Stored() (all Pending) {
	for _, e := range p {
		all = append(all, e.Stored())
	}
	return all
}
