package scripttest

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Runner sends the requests of scripts to one server.
type Runner struct {
	URL        string                 // of the server, without a trailing slash
	Client     *http.Client           // nil: a client that follows no redirects
	Sites      map[string]Site        // other servers, and other addresses of that one, by address without a trailing slash
	Vars       map[string]string      // for {{name}}
	Callers    map[string]http.Header // headers by the caller's name, for As
	Conditions map[string]bool        // the conditions that hold
	States     map[string]func(bool)  // by state, for While: called with true before the request and with false after it
	Mask       Mask
	Now        func() time.Time // nil: time.Now
	Before     func(Exchange)   // called before each exchange, unless nil
}

// Site is where requests to an address are really sent.
type Site struct {
	URL    string       // without a trailing slash
	Client *http.Client // nil: the Runner's
}

// Answer is one answer as masked text.
type Answer struct{ Exchange, Text string }

// Run runs a script, and returns the answers of the server at URL. The values that the script keeps do not outlive it. Run stops at the first
// exchange that fails, because the later ones build on it. The error lists every failed check of
// that exchange.
func (r Runner) Run(ctx context.Context, s Script) ([]Answer, error) {
	r.Vars = maps.Clone(r.Vars)
	if r.Vars == nil {
		r.Vars = map[string]string{}
	}
	run := run{Runner: r, byName: map[string]string{}, browsers: map[string]browser{}}
	var answers []Answer
	for _, e := range s.Exchanges {
		if !r.applies(e.Conditions) {
			continue
		}
		if r.Before != nil {
			r.Before(e)
		}
		a, err := run.exchange(ctx, s.Name, e)
		if err != nil {
			return answers, err
		}
		if !a.elsewhere {
			answers = append(answers, Answer{e.Name, a.masked})
		}
	}
	return answers, nil
}

// Test runs a script as a subtest and returns the answers.
func (r Runner) Test(t *testing.T, s Script) (answers []Answer) {
	t.Helper()
	t.Run(s.Name, func(t *testing.T) {
		var err error
		if answers, err = r.Run(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	return answers
}

func (r Runner) applies(conditions []string) bool {
	for _, condition := range conditions {
		name, not := strings.CutPrefix(condition, "!")
		if r.Conditions[name] == not {
			return false
		}
	}
	return true
}

// run is a script in progress.
type run struct {
	Runner
	byName   map[string]string // masked answers
	browsers map[string]browser
}

func (r run) exchange(ctx context.Context, script string, e Exchange) (answer, error) {
	a, err := r.sendAll(ctx, e)
	if err != nil {
		return a, fmt.Errorf("%s:%d: %s: %w", script, e.Line, e.Name, err)
	}
	r.byName[e.Name] = a.masked
	if a.status != e.Status { // the checks assume the expected status
		return a, fmt.Errorf("%s:%d: %s: status %d, want %d\nthe answer was:\n%s", script, e.Line, e.Name, a.status, e.Status, a.masked)
	}
	var errs []error
	for _, c := range e.Checks {
		if !r.applies(c.Conditions) {
			continue
		}
		if err := r.check(c, a); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %s: %s: %w", script, c.Line, e.Name, c.Text, err))
		}
	}
	if errs != nil {
		errs = append(errs, fmt.Errorf("the answer was:\n%s", a.masked))
	}
	return a, errors.Join(errs...)
}

// sendAll sends a request as often as its exchange says, and returns the last answer.
func (r run) sendAll(ctx context.Context, e Exchange) (a answer, err error) {
	if e.While != "" {
		setState, known := r.States[e.While]
		if !known {
			return answer{}, fmt.Errorf("nobody knows how to make it so that %s", e.While)
		}
		setState(true)
		defer setState(false)
	}
	for n := range e.Times {
		if e.Times > 1 {
			r.Vars["n"] = strconv.Itoa(n + 1)
		}
		if a, err = r.send(ctx, e); err != nil || e.Until && a.status == e.Status {
			return a, err
		}
	}
	return a, nil
}

func (r run) send(ctx context.Context, e Exchange) (answer, error) {
	request, site, err := r.request(ctx, e)
	if err != nil {
		return answer{}, err
	}
	response, err := cmp.Or(site.Client, r.Client, noRedirects).Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	if e.Browser != "" {
		if err := r.browser(e.Browser).keep(site.URL, response); err != nil {
			return answer{}, err
		}
	}
	a := answer{status: response.StatusCode, header: response.Header, elsewhere: site.URL != r.URL}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return a, err
	}
	for name, values := range a.header {
		if strings.ContainsFunc(strings.Join(values, ""), func(r rune) bool { return r >= utf8.RuneSelf }) {
			return a, fmt.Errorf("the header %s is not ASCII, so some hosts would not pass the answer on: %q", name, values)
		}
	}
	if v, err := decode(a.body); err == nil {
		a.json = v
	}
	a.masked = r.Mask.apply(a)
	return a, nil
}

// noRedirects is the default client. It returns redirects instead of following them.
var noRedirects = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       2 * time.Minute,
}

func (r run) request(ctx context.Context, e Exchange) (*http.Request, Site, error) {
	var fill filler
	target, body, basic := fill.text(r.Runner, e.Target), fill.text(r.Runner, e.Body), fill.text(r.Runner, e.Basic)
	if e.Assertion != "" {
		more, err := assertionForm(fill.text(r.Runner, e.Assertion), r.now())
		if err != nil {
			return nil, Site{}, err
		}
		body += more
	}
	if fill.err != nil {
		return nil, Site{}, fill.err
	}
	site, target, err := r.site(target)
	if err != nil {
		return nil, site, err
	}
	request, err := http.NewRequestWithContext(ctx, e.Method, site.URL+target, strings.NewReader(body))
	if err != nil {
		return nil, site, err
	}
	caller, known := r.Callers[e.As]
	if !known && e.As != "" {
		return nil, site, fmt.Errorf("there is no caller %q", e.As)
	}
	maps.Copy(request.Header, caller)
	for _, f := range e.Header {
		value := fill.text(r.Runner, f.Value)
		switch http.CanonicalHeaderKey(f.Name) {
		case "Transfer-Encoding":
			request.ContentLength = -1
			request.Body = io.NopCloser(strings.NewReader(body)) // hides the length from net/http
		case "Host":
			request.Host = value
		default:
			request.Header.Add(f.Name, value)
		}
	}
	if e.Basic != "" {
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(basic)))
	}
	if e.Browser != "" {
		r.browser(e.Browser).send(site.URL, request)
	}
	return request, site, fill.err
}

// site returns where a request is sent, and with which target. Scripts follow redirects to known servers
// only.
func (r run) site(target string) (Site, string, error) {
	if strings.HasPrefix(target, "/") {
		return Site{URL: r.URL}, target, nil
	}
	for address, site := range r.Sites {
		if rest, ok := strings.CutPrefix(target, address); ok && strings.HasPrefix(rest, "/") {
			return site, rest, nil
		}
	}
	return Site{}, "", fmt.Errorf("%q is the address of no server that is known here", target)
}

func (r run) browser(name string) browser {
	if r.browsers[name] == nil {
		r.browsers[name] = browser{}
	}
	return r.browsers[name]
}

func (r run) check(c Check, a answer) error {
	p, err := c.parse()
	if err != nil {
		return err
	}
	var fill filler
	p.at, p.value = fill.text(r.Runner, p.at), fill.text(r.Runner, p.value)
	if fill.err != nil {
		return fill.err
	}
	switch p.subject {
	case "keep":
		return r.keep(p, a)
	case "same":
		return r.same(p.value, a)
	}
	return p.holds(a)
}

func (r run) keep(p parsedCheck, a answer) error {
	of, expression, part := strings.Cut(p.value, " ~ ")
	text := a.header.Get(of)
	if p.operator == "json" {
		v, ok := find(a.json, of)
		if !ok {
			return fmt.Errorf("%s is absent", of)
		}
		if text, ok = v.(string); !ok {
			text = encode(v)
		}
	}
	if part {
		pattern, err := regexp.Compile(expression)
		if err != nil {
			return err
		}
		m := pattern.FindStringSubmatch(text)
		if len(m) < 2 {
			return fmt.Errorf("%s is %q, in which no group matches", of, text)
		}
		text = m[1]
	}
	r.Vars[p.at] = text
	return nil
}

func (r run) same(name string, a answer) error {
	other, ok := r.byName[name]
	switch {
	case !ok:
		return fmt.Errorf("there was no exchange %q before", name)
	case other != a.masked:
		return fmt.Errorf("the other answer was:\n%s", other)
	}
	return nil
}

// filler fills in variables and keeps the first error.
type filler struct{ err error }

var (
	placeholder = regexp.MustCompile(`\{\{([^{}]+)\}\}`)
	day         = regexp.MustCompile(`^today(?:([+-])(\d{1,5}))?$`)
	repeated    = regexp.MustCompile(`^(\d{1,7})\*(.+)$`)
)

func (f *filler) text(r Runner, text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-2]
		if m := day.FindStringSubmatch(name); m != nil {
			days, _ := strconv.Atoi(m[1] + m[2]) // "" is 0
			return r.now().UTC().AddDate(0, 0, days).Format(time.DateOnly)
		}
		if m := repeated.FindStringSubmatch(name); m != nil {
			times, _ := strconv.Atoi(m[1]) // digits
			return strings.Repeat(m[2], times)
		}
		if algorithm, ok := strings.CutPrefix(name, "jwk "); ok {
			return publicJWK(algorithm)
		}
		value, ok := r.Vars[name]
		if !ok && f.err == nil {
			f.err = fmt.Errorf("there is no variable %q", name)
		}
		return value
	})
}

func (r Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
