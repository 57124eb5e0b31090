package linktest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

func enroll(t *testing.T, s link.Stores, organization string, slugs ...link.Slug) (receipt string) {
	t.Helper()
	for _, slug := range slugs {
		var err error
		if receipt, err = s.Enroll(t.Context(), organization, slug); err != nil || receipt == "" {
			t.Fatalf("Enroll %q = %q, %v", slug, receipt, err)
		}
	}
	return receipt
}

// hasReceipt fails the test unless the entry's latest receipt is want.
func hasReceipt(t *testing.T, s link.Stores, organization string, slug link.Slug, want string) {
	t.Helper()
	if got, err := s.Receipt(t.Context(), organization, slug); got != want || err != nil {
		t.Errorf("Receipt of %q = %q, %v, want %q", slug, got, err, want)
	}
}

func withdraw(t *testing.T, s link.Stores, organization string, slug link.Slug, receipt string) {
	t.Helper()
	if err := s.Withdraw(t.Context(), organization, slug, receipt); err != nil {
		t.Fatalf("Withdraw %q: %v", slug, err)
	}
}

// enrolled fails the test unless the organization's roster is exactly want.
func enrolled(t *testing.T, s link.Stores, organization string, want ...link.Slug) {
	t.Helper()
	if got, err := s.Slugs(t.Context(), organization, "", 1000); !slices.Equal(got, want) || err != nil {
		t.Errorf("Slugs = %v, %v, want %v", got, err, want)
	}
}

func rosterGivesReceipts(t *testing.T, s link.Stores) {
	enrolled(t, s, contoso)
	hasReceipt(t, s, contoso, "clinic", "")
	first := enroll(t, s, contoso, "clinic")
	hasReceipt(t, s, contoso, "clinic", first)
	second := enroll(t, s, contoso, "clinic")
	hasReceipt(t, s, contoso, "clinic", second)
	if first == second {
		t.Errorf("two writings have the receipt %q", first)
	}
	enrolled(t, s, contoso, "clinic")
}

func rosterWithdraws(t *testing.T, s link.Stores) {
	withdraw(t, s, contoso, "clinic", "")
	withdraw(t, s, contoso, "clinic", "none")
	stale := enroll(t, s, contoso, "clinic", "other")
	stale = enroll(t, s, contoso, "clinic") + stale[:0]
	latest := enroll(t, s, contoso, "clinic")
	for _, receipt := range []string{"", stale, "none"} {
		withdraw(t, s, contoso, "clinic", receipt)
		enrolled(t, s, contoso, "clinic", "other")
	}
	withdraw(t, s, contoso, "clinic", latest)
	enrolled(t, s, contoso, "other")
	hasReceipt(t, s, contoso, "clinic", "")
	withdraw(t, s, contoso, "clinic", latest)
	if again := enroll(t, s, contoso, "clinic"); again == latest || again == stale {
		t.Errorf("a new entry has the receipt %q of an old one", again)
	}
	withdraw(t, s, contoso, "clinic", latest)
	enrolled(t, s, contoso, "clinic", "other")
}

func rosterPages(t *testing.T, s link.Stores) {
	all := []link.Slug{"0-clinic", "9", "a", "a-b", "a-z", "a0", "ab", "b"} // '-' < digits < letters
	for _, i := range []int{3, 0, 7, 5, 1, 6, 2, 4} {
		enroll(t, s, contoso, all[i])
	}
	enrolled(t, s, contoso, all...)
	for limit := range 10 {
		if got, err := s.Slugs(t.Context(), contoso, "", limit); !slices.Equal(got, all[:min(limit, len(all))]) || err != nil {
			t.Errorf("the first %d are %v, %v", limit, got, err)
		}
	}
	for i, after := range all {
		got, err := s.Slugs(t.Context(), contoso, after, 3)
		if want := all[i+1 : min(i+4, len(all))]; !slices.Equal(got, want) || err != nil {
			t.Errorf("the 3 after %q are %v, %v, want %v", after, got, err, want)
		}
	}
	for after, want := range map[link.Slug]link.Slug{"a-": "a-b", "aa": "ab", "!": "0-clinic", "a'": "a-b", "a\x00": "a-b"} {
		got, err := s.Slugs(t.Context(), contoso, after, 1)
		if !slices.Equal(got, []link.Slug{want}) || err != nil {
			t.Errorf("the one after %q is %v, %v, want %q", after, got, err, want)
		}
	}
	if got, err := s.Slugs(t.Context(), contoso, "zzz", 5); len(got) > 0 || err != nil {
		t.Errorf("after the last are %v, %v", got, err)
	}
}

func rosterKeepsApart(t *testing.T, s link.Stores) {
	organizations := []string{contoso, fabrikam, "org", "org-1", "org-10", contoso[:len(contoso)-1]}
	receipts := map[string]string{}
	for i, o := range organizations {
		receipts[o] = enroll(t, s, o, link.Slug(fmt.Sprint("own-", i)), "same")
	}
	withdraw(t, s, fabrikam, "same", receipts[contoso])
	for i, o := range organizations {
		enrolled(t, s, o, link.Slug(fmt.Sprint("own-", i)), "same")
		hasReceipt(t, s, o, "same", receipts[o])
	}
	withdraw(t, s, contoso, "same", receipts[contoso])
	enrolled(t, s, contoso, "own-0")
	enrolled(t, s, fabrikam, "own-1", "same")
	enrolled(t, s, "nobody")
}

func rosterAndRows(t *testing.T, s link.Stores) {
	receipt := enroll(t, s, contoso, "clinic")
	absent(t, s, "clinic")
	isDue(t, s, noon)
	insert(t, s, slim("clinic"), slim("unlisted"))
	remove(t, s, "clinic")
	enrolled(t, s, contoso, "clinic")
	insert(t, s, slim("clinic"))
	withdraw(t, s, contoso, "clinic", receipt)
	if _, err := s.Get(t.Context(), "clinic"); errors.Is(err, store.ErrNotFound) {
		t.Error("Withdraw removed the row")
	}
}
