package beforetest

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/expiry"
)

// The organizations in the data.
const (
	Clinic = sandbox.TenantID
	Other  = "77777777-7777-4777-8777-777777777777"
)

const (
	organizationHeader = "X-Local-Organization"
	sinkPath           = "/sandbox/notifications"
)

//go:embed testdata/*.json testdata/*.gz
var files embed.FS

// File returns a file of the data.
func File(t *testing.T, name string) []byte {
	t.Helper()
	data, err := files.ReadFile("testdata/" + name)
	must(t, err)
	return data
}

// Answers returns what is recorded in a file of the data.
func Answers(t *testing.T, name string) (r Recorded) {
	t.Helper()
	must(t, json.Unmarshal(File(t, name), &r))
	for i := range r.Answers {
		r.Answers[i].Body = asBefore(r.Answers[i].Body)
	}
	return r
}

// Program is a program that runs over the data.
type Program struct {
	URL   string
	Sweep func(context.Context) (expiry.Result, error)

	// Enabled counts the enabled versions of secrets; nil: they are not counted.
	Enabled func() int
}

// Recorded is what the earlier version answered about its data.
type Recorded struct {
	At      time.Time `json:"at"` // the time of the data
	Answers []Answer  `json:"answers"`
	Tokens  []Token   `json:"tokens"`

	// What the earlier version did when it ran this check over its own data.
	Told    []string `json:"told"`
	Enabled int      `json:"enabled"`
}

// Answer is an answer to a GET request.
type Answer struct {
	Organization string `json:"organization"`
	Path         string `json:"path"`
	Status       int    `json:"status"`
	Body         any    `json:"body"` // of an error its code
}

// Token is what became of a request for a token.
type Token struct {
	Organization string `json:"organization"`
	Slug         string `json:"slug"`
	Status       int    `json:"status"`
	Trail        string `json:"trail"` // what the trail says about all token requests for the link
}

// Check runs programs over the data, one after the other. open starts one with its clock at the
// given time, and ends the one before.
func Check(t *testing.T, r Recorded, open func(*testing.T, time.Time) Program) {
	t.Helper()
	told, enabled := run(t, r, open)
	if enabled != r.Enabled {
		t.Errorf("%d versions of secrets are enabled, and the earlier program left %d", enabled, r.Enabled)
	}
	want := slices.DeleteFunc(slices.Clone(r.Told), func(line string) bool {
		return line == "clinic-norole webhook fhirlink.link.broken 1" // the earlier program gave up after 30 minutes, not 14 days
	})
	if len(want) != len(r.Told)-1 || !slices.Equal(told, want) {
		t.Errorf("people were told\n%s\nand the earlier program told them\n%s", strings.Join(told, "\n"), strings.Join(r.Told, "\n"))
	}
}

// run is Check without the comparisons with the earlier version.
func run(t *testing.T, r Recorded, open func(*testing.T, time.Time) Program) (told []string, enabled int) {
	t.Helper()
	c := &checker{t: t}
	start := func(after time.Duration) { c.Program = open(t, r.At.Add(after)) }

	start(0)
	c.answers(r.Answers)
	c.fresh() // within a minute of its time
	c.tokens(r.Tokens)
	c.patches(r.Answers)
	c.secrets("clinic-active", "clinic-rotated", "clinic-dateless", "clinic-broken")
	c.webhooks()
	c.slug(http.StatusConflict, Other, "clinic-deleted", "clinic-unlisted", "clinic-deleting", "clinic-again", "clinic-bare", "clinic-put", "clinic-abandoned")
	c.slug(http.StatusCreated, Clinic, "clinic-deleted", "clinic-abandoned-twice")

	start(20 * time.Minute) // unfinished work is now old enough to be finished
	c.sweep()
	c.finished()
	start(24 * time.Hour) // the digests are due
	c.sweep()
	told = c.told()
	if c.Enabled != nil {
		enabled = c.Enabled()
	}
	c.unhook()
	c.secrets("clinic-busy", "clinic-certificate", "clinic-begun", "clinic-committed", "clinic-yielded", "clinic-discard")

	start(9 * 24 * time.Hour) // previous secrets are disabled
	c.sweep()
	for _, slug := range []string{"clinic-old", "clinic-active", "clinic-rotated", "clinic-fallback", "clinic-certificate"} {
		c.event(slug, "retire_previous")
	}
	start(200 * 24 * time.Hour) // reserved slugs are free again
	c.sweep()
	if again, err := c.Sweep(t.Context()); err != nil || again.Due > 0 {
		t.Errorf("a second sweep finds work: %v, %v", again, err)
	}
	c.slug(http.StatusCreated, Other, "clinic-unlisted", "clinic-deleting")
	start(500 * 24 * time.Hour) // events are kept for 400 days
	c.forgets(r.At.Add(100 * 24 * time.Hour))
	c.deletes()
	return told, enabled
}

type checker struct {
	Program
	t *testing.T
}

// fresh checks that work which began seconds before is left alone.
func (c *checker) fresh() {
	c.t.Helper()
	c.slug(http.StatusConflict, Clinic, "clinic-fresh")
	body := fmt.Sprintf(`{"clientSecret":%q}`, sandbox.Secret)
	c.want(http.StatusPreconditionFailed, Clinic, "PUT", "/api/links/clinic-busy/secret", body, "If-Match", "*")
}

// forgets checks that the trails have lost all events from before a time, and no others.
func (c *checker) forgets(before time.Time) {
	c.t.Helper()
	result, err := c.Sweep(c.t.Context())
	if err != nil || result.Trimmed < 20 {
		c.t.Errorf("the sweep removed %d events, %v", result.Trimmed, err)
	}
	old, young := 0, 0
	for _, organization := range []string{Clinic, Other} {
		for slug := range c.Get(c.t, organization, All).links() {
			for _, e := range c.Get(c.t, organization, "/api/links/"+slug+"/events?limit=200").Body.(map[string]any)["events"].([]any) {
				at, err := time.Parse(time.RFC3339, e.(map[string]any)["at"].(string))
				must(c.t, err)
				if at.Before(before) {
					old++
				} else {
					young++
				}
			}
		}
	}
	if old > 0 || young == 0 {
		c.t.Errorf("the trails have %d events from before %v, and %d later ones", old, before, young)
	}
}

// answers compares the program's answers with the recorded ones.
func (c *checker) answers(recorded []Answer) {
	c.t.Helper()
	for _, want := range recorded {
		got := c.Get(c.t, want.Organization, want.Path)
		if !reflect.DeepEqual(got, want) {
			c.t.Errorf("GET %s of %s was\n%s\nand is\n%s", want.Path, want.Organization, text(want), text(got))
		}
		for slug, l := range want.links() {
			if got := c.Get(c.t, want.Organization, "/api/links/"+slug); !reflect.DeepEqual(got.Body, any(l)) {
				c.t.Errorf("%s was\n%s\nand is\n%s", slug, text(l), text(got))
			}
		}
	}
}

// All is the path of a list of all links of an organization.
const All = "/api/links?limit=200"

// links are those in an answer to All.
func (a Answer) links() map[string]map[string]any {
	all := map[string]map[string]any{}
	if a.Path != All {
		return all
	}
	for _, l := range a.Body.(map[string]any)["links"].([]any) {
		l := l.(map[string]any)
		all[l["slug"].(string)] = l
	}
	return all
}

// Get asks as an organization.
func (p Program) Get(t *testing.T, organization, path string) Answer {
	t.Helper()
	status, body := p.call(t, organization, "GET", path, "")
	a := Answer{Organization: organization, Path: path, Status: status}
	must(t, json.Unmarshal(body, &a.Body))
	if status != http.StatusOK {
		a.Body = a.Body.(map[string]any)["code"] // the rest is words
	}
	a.Body = asBefore(a.Body)
	return a
}

// asBefore is an answer as the earlier program wrote it: times without zeros at the end of their
// fraction, null for what is left out now, and without what is new. The days until an end that Entra
// has refuted are left out: they were counted then.
func asBefore(body any) any {
	switch v := body.(type) {
	case []any:
		for i := range v {
			v[i] = asBefore(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = asBefore(v[key])
		}
		for _, added := range []string{"problem", "recheckAt", "firstAt", "lastDelivery"} {
			delete(v, added)
		}
		if v["source"] == "observed" {
			delete(v, "daysLeft")
		}
		if contacts, is := v["contacts"]; is && contacts == nil {
			delete(v, "contacts")
		}
		for mark, key := range map[string]string{"fhirServerUrl": "verifiedAt", "disabledAt": "overlapEndsAt"} {
			if _, is := v[mark]; is && v[key] == nil {
				v[key] = nil
			}
		}
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at.Format(time.RFC3339Nano)
		}
	}
	return body
}

func text(v any) string {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (c *checker) tokens(recorded []Token) {
	c.t.Helper()
	for _, want := range recorded {
		if got := c.Token(c.t, want.Organization, want.Slug); got != want {
			c.t.Errorf("a token was %+v and is %+v", want, got)
		}
	}
}

// Token asks for a token.
func (p Program) Token(t *testing.T, organization, slug string) Token {
	t.Helper()
	status, body := p.call(t, organization, "POST", "/api/token", `{"slug":"`+slug+`"}`)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	must(t, json.Unmarshal(body, &answer))
	if (status == http.StatusOK) != (answer.AccessToken != "") {
		t.Errorf("a token for %s: %d %s", slug, status, body)
	}
	var trail []string
	for _, e := range p.Get(t, organization, "/api/links/"+slug+"/events?limit=200").Body.(map[string]any)["events"].([]any) {
		if e := e.(map[string]any); e["action"] == "token" {
			trail = append(trail, e["outcome"].(string))
		}
	}
	slices.Sort(trail)
	return Token{organization, slug, status, strings.Join(trail, " ")}
}

// patches changes every link as somebody does who has read it from the earlier program.
func (c *checker) patches(recorded []Answer) {
	c.t.Helper()
	n := 0
	for _, a := range recorded {
		for slug, before := range a.links() {
			n++
			before = maps.Clone(before)
			path, etag := "/api/links/"+slug, before["etag"].(string)
			c.want(http.StatusOK, a.Organization, "PATCH", path, `{"description":"As of now"}`, "If-Match", etag)
			c.want(http.StatusPreconditionFailed, a.Organization, "PATCH", path, `{"description":"Too late"}`, "If-Match", etag)
			before["description"] = "As of now"
			got := c.Get(c.t, a.Organization, path).Body.(map[string]any)
			for _, field := range []string{"updatedAt", "etag", "status", "secret"} { // asking for a token may tell of the last two
				delete(before, field)
				delete(got, field)
			}
			if !reflect.DeepEqual(got, before) {
				c.t.Errorf("%s after a change:\n%s", slug, text(got))
			}
		}
	}
	if n < 10 {
		c.t.Errorf("only %d links were changed", n)
	}
}

// secrets gives links a new secret.
func (c *checker) secrets(slugs ...string) {
	c.t.Helper()
	for _, slug := range slugs {
		body := fmt.Sprintf(`{"clientSecret":%q}`, sandbox.Secret)
		answer := c.want(http.StatusOK, Clinic, "PUT", "/api/links/"+slug+"/secret", body, "If-Match", "*")
		if answer["status"] != "active" {
			c.t.Errorf("%s with a new secret: %v", slug, answer)
		}
		if got := c.Token(c.t, Clinic, slug); got.Status != http.StatusOK {
			c.t.Errorf("%s with a new secret: %+v", slug, got)
		}
	}
}

// webhooks tries the endpoints, whose keys the earlier program has made.
func (c *checker) webhooks() {
	c.t.Helper()
	list := c.want(http.StatusOK, Clinic, "GET", "/api/webhooks", "")["webhooks"].([]any)
	var outcomes []string
	for _, e := range list {
		path := "/api/webhooks/" + e.(map[string]any)["id"].(string)
		outcomes = append(outcomes, c.want(http.StatusOK, Clinic, "POST", path+"/test", "")["outcome"].(string))
		c.want(http.StatusOK, Clinic, "PATCH", path, `{"description":"As of now"}`)
	}
	if slices.Sort(outcomes); fmt.Sprint(outcomes) != "[delivered delivered retry]" {
		c.t.Errorf("events for the webhooks were %q", outcomes)
	}
}

// unhook removes the unreachable endpoint, so that no delivery waits for it.
func (c *checker) unhook() {
	c.t.Helper()
	for _, e := range c.want(http.StatusOK, Clinic, "GET", "/api/webhooks", "")["webhooks"].([]any) {
		if e := e.(map[string]any); e["url"] == "https://nowhere.sandbox.test/" {
			c.want(http.StatusNoContent, Clinic, "DELETE", "/api/webhooks/"+e["id"].(string), "")
		}
	}
}

// slug registers slugs, which may be somebody else's.
func (c *checker) slug(status int, organization string, slugs ...string) {
	c.t.Helper()
	for _, slug := range slugs {
		c.want(status, organization, "POST", "/api/register", Registration(slug, "clinic"))
	}
}

// Registration is the body of a request that links a server of the sandbox.
func Registration(slug, scenario string, more ...string) string {
	return fmt.Sprintf(`{"slug":%q,"description":"Good Health Clinic","fhirServerUrl":"https://%s.fhir.sandbox.test/metadata","clientId":%q,"clientSecret":%q%s}`,
		slug, scenario, sandbox.ClientID, sandbox.Secret, strings.Join(more, ""))
}

func (c *checker) sweep() {
	c.t.Helper()
	result, err := c.Sweep(c.t.Context())
	if err != nil || result.Due == 0 || result.Done != result.Due || result.Failed+result.Left > 0 || result.Skipped != "" {
		c.t.Errorf("%v, %v", result, err)
	}
}

// finished looks at what the earlier program has left half done.
func (c *checker) finished() {
	c.t.Helper()
	c.slug(http.StatusCreated, Other, "clinic-bare", "clinic-put", "clinic-fresh", "clinic-abandoned") // they were on no list of theirs
	c.slug(http.StatusConflict, Other, "clinic-deleting", "clinic-again", "clinic-unlisted")
	c.slug(http.StatusCreated, Clinic, "clinic-again")
	c.event("clinic-deleting", "delete")
	c.event("clinic-untold", "register")
	c.event("clinic-committed", "change_secret")
	c.event("clinic-old", "retire_previous")
	for _, slug := range []string{"clinic-begun", "clinic-committed", "clinic-yielded", "clinic-discard"} {
		if got := c.Token(c.t, Clinic, slug); got.Status != http.StatusOK {
			c.t.Errorf("%s when its change was finished: %+v", slug, got)
		}
	}
}

// event makes sure that the trail of a link has an action that succeeded.
func (c *checker) event(slug, action string) {
	c.t.Helper()
	events := c.want(http.StatusOK, Clinic, "GET", "/api/links/"+slug+"/events?limit=200", "")["events"].([]any)
	for _, e := range events {
		if e := e.(map[string]any); e["action"] == action && e["outcome"] == "ok" {
			return
		}
	}
	c.t.Errorf("the trail of %s has no %s:\n%s", slug, action, text(events))
}

// told is what arrived at the sandbox's receiver, and how.
func (c *checker) told() (all []string) {
	c.t.Helper()
	for _, n := range c.want(http.StatusOK, Clinic, "GET", sinkPath, "")["notifications"].([]any) {
		n := n.(map[string]any)
		all = append(all, fmt.Sprintf("%v %v %v %v", n["slug"], n["via"], n["type"], n["received"]))
	}
	slices.Sort(all)
	return all
}

// deletes removes every link; what was done with it stays readable.
func (c *checker) deletes() {
	c.t.Helper()
	for _, organization := range []string{Clinic, Other} {
		links := c.want(http.StatusOK, organization, "GET", All, "")["links"].([]any)
		for _, l := range links {
			slug := l.(map[string]any)["slug"].(string)
			c.want(http.StatusNoContent, organization, "DELETE", "/api/links/"+slug, "", "If-Match", "*")
			events := c.want(http.StatusOK, organization, "GET", "/api/links/"+slug+"/events", "")["events"].([]any)
			if events[0].(map[string]any)["action"] != "delete" {
				c.t.Errorf("the trail of %s does not begin with its deletion", slug)
			}
		}
		if left := c.want(http.StatusOK, organization, "GET", "/api/links", "")["links"].([]any); len(left) > 0 || len(links) == 0 {
			c.t.Errorf("of %d links of %s there are still %v", len(links), organization, left)
		}
	}
}

// CheckSecrets looks at the names of the secrets that are there after Check: no link is left, and
// so only the keys of three webhooks are.
func CheckSecrets(t *testing.T, names []string) {
	t.Helper()
	if len(names) != 3 || !strings.HasPrefix(names[0], "webhook-") || !slices.IsSorted(names) {
		t.Errorf("of links that are gone there are still secrets among %q", names)
	}
}

// want sends a request, asserts the status, and returns what was answered.
func (c *checker) want(status int, organization, method, path, body string, headers ...string) (answer map[string]any) {
	c.t.Helper()
	got, data := c.call(c.t, organization, method, path, body, headers...)
	if got != status {
		c.t.Fatalf("%s %s of %s with %s: %d, want %d: %s", method, path, organization, body, got, status, data)
	}
	if len(data) > 0 {
		must(c.t, json.Unmarshal(data, &answer))
	}
	return answer
}

func (p Program) call(t *testing.T, organization, method, path, body string, headers ...string) (status int, answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, strings.NewReader(body))
	must(t, err)
	r.Header.Set(organizationHeader, organization)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	must(t, err)
	if bytes.Contains(answer, []byte(sandbox.Secret)) {
		t.Errorf("%s %s answers with the client secret", method, path)
	}
	return response.StatusCode, answer
}
