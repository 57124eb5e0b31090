package manage

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
)

// perPage is how many links a page of the list shows.
const perPage = 100

// row is a link in the list.
type row struct {
	Slug, Description, URL string
	Status                 condition.Status
	SecretState            link.SecretState
	Badge                  view.Badge
	Problem                string // in English
	Dated                  bool
	Ends                   date.Date
	Left                   string
	Step                   view.Step
	HasStep                bool
	days                   int
}

type listBody struct {
	Total, Urgent, Found int
	Rows                 []row
	Timeline             template.HTML
	Query                query
	Statuses, Sorts      []choice
	Pages                []numbered
	Notice               *view.Notice
}

type query struct{ Search, Status, Sort string }

type choice struct {
	Value  string
	Word   view.English
	Count  int
	Chosen bool
}

type numbered struct {
	Number  int
	Href    string
	Current bool
}

// sorts are the orders of the list, the default first.
var sorts = []struct {
	value string
	word  view.English
	less  func(a, b row) int
}{
	{"ends", "Secret ends first", byEnd},
	{"name", "Description", func(a, b row) int {
		return cmp.Compare(strings.ToLower(a.Description), strings.ToLower(b.Description))
	}},
	{"slug", "Customized URL", func(a, b row) int { return cmp.Compare(a.Slug, b.Slug) }},
	{"status", "Status", func(a, b row) int { return cmp.Compare(a.Badge.Word, b.Badge.Word) }},
}

func byEnd(a, b row) int {
	if a.Dated != b.Dated {
		if a.Dated {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.days, b.days), cmp.Compare(a.Slug, b.Slug))
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request, v Visitor) error {
	all, err := h.rows(r.Context(), v, h.view.Words(r))
	if err != nil {
		return err
	}
	values := r.URL.Query()
	q := query{strings.TrimSpace(values.Get("q")), values.Get("status"), values.Get("sort")}
	body := listBody{Total: len(all), Query: q, Statuses: statuses(all, q.Status), Notice: h.said(r, values.Get("done"))}
	for _, one := range all {
		if one.HasStep && one.Step.Urgent {
			body.Urgent++
		}
	}
	body.Timeline = view.Timeline(h.view.Words(r), ends(all), date.Of(h.Now()))
	order := sorts[0]
	for _, s := range sorts {
		if s.value == q.Sort {
			order = s
		}
	}
	for _, s := range sorts {
		body.Sorts = append(body.Sorts, choice{Value: s.value, Word: s.word, Chosen: s.value == order.value})
	}
	found := slices.DeleteFunc(all, func(one row) bool { return !q.matches(one) })
	slices.SortStableFunc(found, order.less)
	body.Found = len(found)
	body.Rows, body.Pages = paged(found, values)
	return h.view.Write(w, r, view.Page{Template: "list", Heading: h.view.Words(r).Text("FHIR servers"), Nav: "FHIR servers", Account: account(v), Body: body})
}

func (q query) matches(one row) bool {
	text := strings.ToLower(one.Slug + "\n" + one.Description + "\n" + one.URL)
	return (q.Status == "" || string(one.Status) == q.Status) && strings.Contains(text, strings.ToLower(q.Search))
}

func statuses(all []row, chosen string) []choice {
	choices := []choice{{Word: "All", Count: len(all)}}
	for _, s := range []condition.Status{condition.Active, condition.PendingAccess, condition.Degraded, condition.Broken, condition.Expired} {
		c := choice{Value: string(s), Word: view.StatusBadge(s).Word, Chosen: string(s) == chosen}
		for _, one := range all {
			if one.Status == s {
				c.Count++
			}
		}
		choices = append(choices, c)
	}
	return choices
}

// paged returns one page of the rows, and the links to all pages if there are several.
func paged(found []row, values url.Values) (rows []row, pages []numbered) {
	count := (len(found) + perPage - 1) / perPage
	number, err := strconv.Atoi(values.Get("page"))
	if err != nil || number < 1 || number > count {
		number = 1
	}
	for n := 1; n <= count && count > 1; n++ {
		to := url.Values{}
		for _, name := range []string{"q", "status", "sort"} {
			if values.Get(name) != "" {
				to.Set(name, values.Get(name))
			}
		}
		to.Set("page", strconv.Itoa(n))
		pages = append(pages, numbered{n, "/api/manage/?" + to.Encode(), n == number})
	}
	from := min((number-1)*perPage, len(found))
	return found[from:min(from+perPage, len(found))], pages
}

// rows reads all links of the visitor's organization.
func (h *Handler) rows(ctx context.Context, v Visitor, words view.Words) (all []row, err error) {
	const most = 200
	for from := ""; ; {
		links, next, err := h.Links.List(ctx, v.Caller.Organization, link.Filter{}, most, from)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			all = append(all, h.row(l, words))
		}
		if from = next; from == "" {
			return all, nil
		}
	}
}

func (h *Handler) row(l link.Link, words view.Words) row {
	now := h.Now()
	one := row{
		Slug: string(l.Slug), Description: l.Description, URL: l.FHIRServerURL, Status: l.Status(now), SecretState: l.SecretState(now),
		Dated: !l.Secret.ExpiresOn.IsZero(), Ends: l.Secret.ExpiresOn,
	}
	one.Badge = view.StatusBadge(one.Status)
	if one.Dated {
		one.days = l.Secret.DaysLeft(now)
	}
	one.Left = left(words, l, now)
	if reason := l.Reason(now); reason != nil {
		one.Problem = reason.Message
	}
	one.Step, one.HasStep = step(l, now)
	return one
}

func step(l link.Link, now time.Time) (view.Step, bool) {
	dated := !l.Secret.ExpiresOn.IsZero()
	days := 0
	if dated {
		days = l.Secret.DaysLeft(now)
	}
	return view.NextStep(l.Status(now), l.SecretState(now), days, dated, !l.Secret.FellBackAt.IsZero(), hasCertificate(l))
}

func hasCertificate(l link.Link) bool { return l.Secret.Kind == credential.KindCertificate }

// left says in words how near a secret's end is.
func left(words view.Words, l link.Link, now time.Time) string {
	days, known := l.Secret.KnownDaysLeft(now)
	switch {
	case !l.Secret.FellBackAt.IsZero():
		return words.Text("The previous one stands in")
	case l.Secret.Expired:
		return words.Text("Microsoft Entra says that it has ended")
	case !known:
		return words.Text("No date known")
	case days < 0:
		return words.Count(-days, "{n} day ago", "{n} days ago")
	case days == 0:
		return words.Text("Ends today")
	}
	return words.Count(days, "{n} day left", "{n} days left")
}

func ends(all []row) []view.End {
	list := make([]view.End, len(all))
	for i, one := range all {
		list[i] = view.End{Name: one.Slug, On: one.Ends, State: one.SecretState}
	}
	return list
}

// csv answers with the list as a file. A cell that a spreadsheet would read as a formula begins with '.
func (h *Handler) csv(w http.ResponseWriter, r *http.Request, v Visitor) error {
	all, err := h.rows(r.Context(), v, h.view.Words(r))
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, byEnd)
	var text strings.Builder
	out := csv.NewWriter(&text)
	out.UseCRLF = true
	lines := [][]string{{"slug", "description", "fhirServerUrl", "status", "secretExpiresOn", "daysLeft", "problem"}}
	for _, one := range all {
		ends, days := "", ""
		if one.Dated {
			ends, days = one.Ends.String(), strconv.Itoa(one.days)
		}
		lines = append(lines, []string{one.Slug, one.Description, one.URL, string(one.Status), ends, days, one.Problem})
	}
	for _, line := range lines {
		for i, cell := range line {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				line[i] = "'" + cell
			}
		}
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="servers.csv"`)
	view.Send(w, r, http.StatusOK, "text/csv; charset=utf-8", []byte(text.String()))
	return nil
}
