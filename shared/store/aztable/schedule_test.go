package aztable

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/link"
	"fhirlink/shared/store"
)

// queries records the queries of Due, and lets a test answer in place of the service.
type queries struct {
	mu       sync.Mutex
	made     []*http.Request
	at, most int // current number of requests, and the greatest number so far
	answer   func(*http.Request) *http.Response
}

func (q *queries) RoundTrip(r *http.Request) (*http.Response, error) {
	q.mu.Lock()
	q.made = append(q.made, r)
	q.at++
	q.most = max(q.most, q.at)
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.at--
		q.mu.Unlock()
	}()
	if q.answer != nil {
		if response := q.answer(r); response != nil {
			return response, nil
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

func respond(r *http.Request, status int, header http.Header, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Header: header, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

func collect(t *testing.T, s *Store, now time.Time) (slugs []link.Slug, err error) {
	t.Helper()
	err = s.Due(t.Context(), now, func(slug link.Slug) bool { slugs = append(slugs, slug); return true })
	return slugs, err
}

var dueFilter = regexp.MustCompile(`^PartitionKey eq '(s[0-3][0-9a-f])' and RowKey ge 'X_' and RowKey lt 'X_1795435200123457'$`)

func TestDueRequests(t *testing.T) {
	tb := newTable(t)
	for i := range 20 {
		l := clinic()
		l.Slug = link.Slug(fmt.Sprint("clinic-", i))
		if i%2 == 1 {
			l.NextVerify = noon.Add(time.Microsecond)
		}
		must(t, tb.store(http.DefaultTransport).Insert(t.Context(), l))
	}
	q := &queries{}
	slugs, err := collect(t, tb.store(q), noon)
	if err != nil || len(slugs) != 10 {
		t.Errorf("Due = %v, %v, want 10 slugs", slugs, err)
	}
	asked := map[string]bool{}
	for _, r := range q.made {
		m := dueFilter.FindStringSubmatch(r.URL.Query().Get("$filter"))
		if m == nil || r.Method != http.MethodGet || r.URL.Query().Get("$select") != "RowKey" {
			t.Fatalf("Due sent %s %s", r.Method, r.URL)
		}
		asked[m[1]] = true
	}
	if len(q.made) != shards || len(asked) != shards {
		t.Errorf("Due made %d queries of %d shards, want %d", len(q.made), len(asked), shards)
	}
	if q.most > parallel {
		t.Errorf("%d queries ran at a time, want at most %d", q.most, parallel)
	}
}

// TestDuePages has more due links in one shard than one page holds.
func TestDuePages(t *testing.T) {
	const many = 1001
	tb := newTable(t)
	s := tb.store(http.DefaultTransport)
	must(t, s.Ensure(t.Context()))
	var actions []aztables.TransactionAction
	for i := range many {
		e := newEntity("s07", dueKey(noon.Add(time.Duration(i)*time.Second), link.Slug(fmt.Sprint("clinic-", i))))
		entity, err := json.Marshal(e)
		must(t, err)
		actions = append(actions, aztables.TransactionAction{ActionType: aztables.TransactionTypeAdd, Entity: entity})
		if len(actions) == maxActions || i == many-1 {
			must(t, s.submit(t.Context(), actions))
			actions = nil
		}
	}
	q := &queries{}
	slugs, err := collect(t, tb.store(q), noon.AddDate(1, 0, 0))
	if err != nil || len(slugs) != many || len(q.made) != shards+1 {
		t.Errorf("Due yields %d slugs in %d queries, %v, want %d in %d", len(slugs), len(q.made), err, many, shards+1)
	}
	for i, slug := range slugs {
		if slug != link.Slug(fmt.Sprint("clinic-", i)) {
			t.Fatalf("slug %d is %q", i, slug)
		}
	}
	q = &queries{}
	err = tb.store(q).Due(t.Context(), noon.AddDate(1, 0, 0), func(link.Slug) bool { return false })
	if err != nil || len(q.made) != shards {
		t.Errorf("a Due that stops at once makes %d queries, %v, want %d", len(q.made), err, shards)
	}
}

// TestDueEmptyPage: Table Storage may answer with a continuation and no rows.
func TestDueEmptyPage(t *testing.T) {
	tb := newTable(t)
	must(t, tb.store(http.DefaultTransport).Insert(t.Context(), clinic()))
	q := &queries{answer: func(r *http.Request) *http.Response {
		query := r.URL.Query()
		if query.Get("NextRowKey") == "on" {
			query.Del("NextPartitionKey") // the service does not know this continuation
			query.Del("NextRowKey")
			r.URL.RawQuery = query.Encode()
			return nil
		}
		if !strings.Contains(query.Get("$filter"), "'"+partitionOf("clinic")+"'") {
			return nil
		}
		return respond(r, http.StatusOK, http.Header{
			"X-Ms-Continuation-Nextpartitionkey": {"go"}, "X-Ms-Continuation-Nextrowkey": {"on"},
		}, `{"value":[]}`)
	}}
	slugs, err := collect(t, tb.store(q), noon)
	if err != nil || len(slugs) != 1 || len(q.made) != shards+1 {
		t.Errorf("Due = %v in %d queries, %v", slugs, len(q.made), err)
	}
}

// TestDueWithoutOneShard: if one partition fails, the timer misses only the links in it.
func TestDueWithoutOneShard(t *testing.T) {
	tb := newTable(t)
	for _, slug := range []link.Slug{"clinic", "abc", "z99"} {
		l := clinic()
		l.Slug = slug
		must(t, tb.store(http.DefaultTransport).Insert(t.Context(), l))
	}
	q := &queries{answer: func(r *http.Request) *http.Response {
		if strings.Contains(r.URL.Query().Get("$filter"), "'"+partitionOf("abc")+"'") {
			return respond(r, http.StatusServiceUnavailable, http.Header{"X-Ms-Error-Code": {"ServerBusy"}}, "")
		}
		return nil
	}}
	slugs, err := collect(t, tb.store(q), noon)
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "1 of 64 shards") || len(slugs) != 2 {
		t.Errorf("Due = %v, %v, want 2 slugs and ErrUnavailable", slugs, err)
	}
	if n := len(q.made); n != shards+int(ClientOptions().Retry.MaxRetries) {
		t.Errorf("Due made %d requests", n)
	}
}

func TestDueForeignRow(t *testing.T) {
	tb := newTable(t)
	s := tb.store(http.DefaultTransport)
	insertClinic(t, s)
	entity, err := json.Marshal(newEntity("s00", "X_0-by-hand"))
	must(t, err)
	_, err = s.client.AddEntity(t.Context(), entity, nil)
	must(t, err)
	if slugs, err := collect(t, s, noon); err == nil || !strings.Contains(err.Error(), "by-hand") || len(slugs) != 1 {
		t.Errorf("Due = %v, %v, want the link and an error that names the odd row", slugs, err)
	}
}

// TestRegisterRequests counts the requests of a registration to the table, without those to Key
// Vault.
func TestRegisterRequests(t *testing.T) {
	tb, w := newTable(t), &wire{}
	must(t, tb.store(http.DefaultTransport).Ensure(t.Context()))
	s := tb.store(w)
	_, err := s.Enroll(t.Context(), organization, "clinic")
	must(t, err)
	must(t, s.Insert(t.Context(), clinic()))
	_, err = s.Update(t.Context(), "clinic", raise)
	must(t, err)
	if len(w.requests) != 4 {
		t.Errorf("enroll, insert and activate made the requests %v, want 4", w.requests)
	}
}

// TestTransaction: link and index change together, and only if the row is still as it was read.
func TestTransaction(t *testing.T) {
	tb := newTable(t)
	insertClinic(t, tb.store(http.DefaultTransport))
	var batch []byte
	q := &queries{answer: func(r *http.Request) *http.Response {
		if r.Method == http.MethodPost {
			batch, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(batch))
		}
		return nil
	}}
	_, err := tb.store(q).Update(t.Context(), "clinic", raise)
	must(t, err)
	actions := regexp.MustCompile(`(?m)^(PUT|POST|DELETE|PATCH|MERGE) .*'([LX]_[^']*)'`).FindAllSubmatch(batch, -1)
	var got []string
	for _, a := range actions {
		got = append(got, string(a[1])+" "+string(a[2]))
	}
	want := []string{"PUT L_clinic", "DELETE X_1795435200123456_clinic", "PUT X_1795438800123456_clinic"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("an update that moves the due time sends %v, want %v", got, want)
	}
	if !regexp.MustCompile(`(?mi)^If-Match: W/`).Match(batch) {
		t.Errorf("the update has no If-Match with the row's tag:\n%s", batch)
	}
}

// The shards are read in goroutines, where a panic would end the process.
func TestDueSurvivesAPanic(t *testing.T) {
	c := &cursor{pager: runtime.NewPager(runtime.PagingHandler[aztables.ListEntitiesResponse]{
		More: func(aztables.ListEntitiesResponse) bool { return true },
		Fetcher: func(context.Context, *aztables.ListEntitiesResponse) (aztables.ListEntitiesResponse, error) {
			panic("canary")
		},
	})}
	c.fill(t.Context())
	if c.err == nil || strings.Contains(c.err.Error(), "canary") || len(c.keys) > 0 {
		t.Errorf("%v, %q", c.err, c.keys)
	}
}
