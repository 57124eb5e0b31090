package aztable

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
)

// TestWithdrawWhileEnrolled: the entry is written again after its receipt is read and before its
// removal. It must stay.
func TestWithdrawWhileEnrolled(t *testing.T) {
	tb := newTable(t)
	clean := tb.store(http.DefaultTransport)
	receipt, err := clean.Enroll(t.Context(), organization, "clinic")
	must(t, err)
	w := &wire{fault: func(_ int, r *http.Request) fault {
		if r.Method == http.MethodDelete {
			enrollClinic(t, clean)
		}
		return none
	}}
	must(t, tb.store(w).Withdraw(t.Context(), organization, "clinic", receipt))
	listed(t, clean, "clinic")
	if len(w.requests) != 3 {
		t.Errorf("Withdraw made the requests %v, want GET, DELETE, GET", w.requests)
	}
}

// TestSlugsPages asks for more slugs than one answer of Table Storage contains.
func TestSlugsPages(t *testing.T) {
	const many = maxPage + 5
	tb := newTable(t)
	s := tb.store(http.DefaultTransport)
	must(t, s.Ensure(t.Context()))
	var actions []aztables.TransactionAction
	for i := range many {
		entity, err := json.Marshal(newEntity(rosterPartition(organization), fmt.Sprintf("clinic-%04d", i)))
		must(t, err)
		actions = append(actions, aztables.TransactionAction{ActionType: aztables.TransactionTypeAdd, Entity: entity})
		if len(actions) == maxActions || i == many-1 {
			must(t, s.submit(t.Context(), actions))
			actions = nil
		}
	}
	for limit, requests := range map[int]int{200: 1, maxPage: 1, maxPage + 2: 2, 2 * maxPage: 2} {
		w := &wire{}
		slugs, err := tb.store(w).Slugs(t.Context(), organization, "", limit)
		want := min(limit, many)
		if err != nil || len(slugs) != want || slugs[want-1] != link.Slug(fmt.Sprintf("clinic-%04d", want-1)) {
			t.Errorf("the first %d are %d, %v", limit, len(slugs), err)
		}
		if len(w.requests) != requests {
			t.Errorf("the first %d took %d requests, want %d", limit, len(w.requests), requests)
		}
	}
}
