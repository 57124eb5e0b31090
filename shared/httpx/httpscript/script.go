// Package httpscript runs plain-text scripts of HTTP requests and what their answers must be,
// so that one corpus holds every program to the same contract and can be read without Go.
//
//	# Lines that begin with # are for the reader.
//
//	-- a healthy server is linked --
//	POST /api/register
//	As: manager
//	Content-Type: application/json
//
//	{"slug":"clinic-a","fhirServerUrl":"{{clinic}}"}
//
//	=> 201
//	header Location == /api/links/clinic-a
//	json status == "active"
//	json report.checks[id=token].code ~ ^ok$
//	keep tag header ETag
//
//	-- [sign-in] nobody may look at it without a token --
//	GET /api/links/clinic-a
//
//	=> 401
//
// An exchange begins with its name between dashes. A word in brackets before the name is a
// condition: the exchange is left out where it does not hold ([!word]: where it holds). The
// request follows as it is sent: a line with method and target, headers, an empty line, the
// body; its end is the line with the status that is wanted. After that every line is a check
// (see [Check]) or keeps a value for later. A check may have a condition, too.
//
// {{name}} stands for a variable, {{today}}, {{today+30}} and {{today-1}} for UTC dates,
// {{70000*x}} for a text 70000 times. The header As is not sent: it puts the headers in of a
// caller that the [Runner] knows. Nor is Times: 20, which sends the request twenty times, with
// {{n}} for 1 to 20; the checks are about the last answer. Tries: 400 stops at the first answer
// with the status that is wanted. While: the vault is down makes that so, as the [Runner] knows
// how, until the answer is there. Transfer-Encoding: chunked sends the body without a length.
package httpscript

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Script is one file.
type Script struct {
	Name      string
	Exchanges []Exchange
}

// Exchange is one request with what its answer must be.
type Exchange struct {
	Name       string
	Line       int // where it begins, from 1
	Conditions []string
	Method     string
	Target     string // path and query
	As         string // the caller; "" is nobody in particular
	Times      int    // how often it is sent; at most so often with Until
	Until      bool   // no more is sent once the status is Status
	While      string // what is so meanwhile; "" is nothing in particular
	Header     []Field
	Body       string
	Status     int
	Checks     []Check
}

// Field is one line of a header.
type Field struct{ Name, Value string }

// Check is one line about an answer:
//
//	header NAME == TEXT          the header's one value; several lines are joined by ", "
//	header NAME ~ REGEXP
//	header NAME absent
//	json PATH == JSON            a value at a.b[0].c or, in an array of objects, a[key=value].c
//	json PATH ~ REGEXP           in a string
//	json PATH has JSON           an element of an array, or a key of an object
//	json PATH lacks JSON
//	json PATH length N           of an array, object or string
//	json PATH keys a b c         an object with exactly these, in any order
//	json PATH members a b c      an object with at least these
//	json PATH absent
//	body == TEXT                 all of it, without white space around
//	body contains TEXT
//	body lacks TEXT
//	body empty
//	same as NAME                 masked, the answer is that of the exchange of that name
//	keep VARIABLE header NAME
//	keep VARIABLE json PATH
type Check struct {
	Line       int
	Conditions []string
	Text       string
}

var (
	title   = regexp.MustCompile(`^-- (.+) --$`)
	status  = regexp.MustCompile(`^=> (\d{3})$`)
	request = regexp.MustCompile(`^([A-Z]+) (/\S*)$`)
)

// Parse reads a script. Errors name the line.
func Parse(name, text string) (Script, error) {
	p := parser{script: Script{Name: name}, lines: bufio.NewScanner(strings.NewReader(text))}
	p.lines.Buffer(nil, 1<<20)
	for p.next() {
		if err := p.line(); err != nil {
			return Script{}, fmt.Errorf("%s:%d: %w", name, p.n, err)
		}
	}
	if err := p.lines.Err(); err != nil {
		return Script{}, fmt.Errorf("%s: %w", name, err)
	}
	if p.in != checks && p.in != prelude {
		return Script{}, fmt.Errorf("%s:%d: the exchange has no line like => 200", name, p.n)
	}
	return p.script, nil
}

// The parts of a script.
const (
	prelude = iota // before the first exchange
	start          // the request line comes next
	headers
	body
	checks
)

type parser struct {
	script Script
	lines  *bufio.Scanner
	n      int
	text   string
	in     int
	body   []string
}

func (p *parser) next() bool {
	ok := p.lines.Scan()
	if ok {
		p.n++
		p.text = strings.TrimSuffix(p.lines.Text(), "\r")
	}
	return ok
}

func (p *parser) line() error {
	if p.in == body || p.in == headers {
		return p.sent()
	}
	text := strings.TrimSpace(p.text)
	if text == "" || strings.HasPrefix(text, "#") {
		return nil
	}
	if m := title.FindStringSubmatch(text); m != nil && p.in != start {
		return p.begin(m[1])
	}
	switch p.in {
	case start:
		return p.request(text)
	case checks:
		return p.check(text)
	}
	return fmt.Errorf("%q stands before the first exchange, which begins with -- its name --", text)
}

func (p *parser) begin(name string) error {
	conditions, name := conditionsOf(name)
	for _, e := range p.script.Exchanges {
		if e.Name == name {
			return fmt.Errorf("there are two exchanges %q", name)
		}
	}
	p.script.Exchanges = append(p.script.Exchanges, Exchange{Name: name, Line: p.n, Conditions: conditions, Times: 1})
	p.in = start
	return nil
}

func (p *parser) exchange() *Exchange { return &p.script.Exchanges[len(p.script.Exchanges)-1] }

func (p *parser) request(text string) error {
	m := request.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is no request line such as GET /api/health", text)
	}
	p.exchange().Method, p.exchange().Target = m[1], m[2]
	p.in, p.body = headers, nil
	return nil
}

// sent reads headers and body.
func (p *parser) sent() error {
	if m := status.FindStringSubmatch(p.text); m != nil {
		p.exchange().Status, _ = strconv.Atoi(m[1]) // three digits
		p.exchange().Body = strings.TrimRight(strings.Join(p.body, "\n"), "\n")
		p.in = checks
		return nil
	}
	switch {
	case p.in == body:
		p.body = append(p.body, p.text)
	case p.text == "":
		p.in = body
	default:
		return p.header()
	}
	return nil
}

func (p *parser) header() error {
	name, value, ok := strings.Cut(p.text, ":")
	if !ok || strings.TrimSpace(name) != name || name == "" {
		return fmt.Errorf("%q is no header line, no empty line before a body, and no line like => 200", p.text)
	}
	value = strings.TrimSpace(value)
	switch http.CanonicalHeaderKey(name) {
	case "As":
		p.exchange().As = value
	case "While":
		p.exchange().While = value
	case "Times", "Tries":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of times", value)
		}
		p.exchange().Times, p.exchange().Until = n, strings.EqualFold(name, "Tries")
	default:
		p.exchange().Header = append(p.exchange().Header, Field{name, value})
	}
	return nil
}

func (p *parser) check(text string) error {
	conditions, text := conditionsOf(text)
	c := Check{p.n, conditions, text}
	if _, err := c.parse(); err != nil {
		return err
	}
	p.exchange().Checks = append(p.exchange().Checks, c)
	return nil
}

var condition = regexp.MustCompile(`^\[(!?[a-z-]+)\] +`)

// conditionsOf takes the conditions off the front of a text.
func conditionsOf(text string) (conditions []string, rest string) {
	for {
		m := condition.FindStringSubmatch(text)
		if m == nil {
			return conditions, text
		}
		conditions = append(conditions, m[1])
		text = text[len(m[0]):]
	}
}
