package scripttest

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Script is one file of exchanges.
type Script struct {
	Name      string
	Exchanges []Exchange
}

// Exchange is one request and the required answer.
type Exchange struct {
	Name       string
	Line       int // first line of the exchange, from 1
	Conditions []string
	Method     string
	Target     string // path and query, or a variable that begins with an address of one of the Runner's sites
	As         string // the caller; "" for none
	Browser    string // whose cookies are sent and kept; "" for none
	Basic      string // user name and password, with a colon in between; "" for none
	Assertion  string // algorithm, client id, audience and, if it matters, jti of a client assertion; "" for none
	Times      int    // how often it is sent; with Until, the maximum
	Until      bool   // stop at the first answer with the status Status
	While      string // the state during the request; "" for none
	Header     []Field
	Body       string
	Status     int
	Checks     []Check
}

// Field is one line of a header.
type Field struct{ Name, Value string }

// Check is one line about an answer:
//
//	header NAME == TEXT          the header's value; several lines are joined by ", "
//	header NAME ~ REGEXP
//	header NAME lacks TEXT
//	header NAME absent
//	json PATH == JSON            a value at a.b[0].c or, in an array of objects, a[key=value].c
//	json PATH != JSON            another value
//	json PATH ~ REGEXP           in a string
//	json PATH has JSON           an element of an array, or a key of an object
//	json PATH lacks JSON
//	json PATH length N           of an array, object or string
//	json PATH keys a b c         an object with exactly these, in any order
//	json PATH members a b c      an object with at least these
//	json PATH absent
//	body == TEXT                 the whole body, without surrounding white space
//	body contains TEXT
//	body lacks TEXT
//	body empty
//	same as NAME                 the masked answer equals that of the exchange with this name
//	keep VARIABLE header NAME
//	keep VARIABLE json PATH
//	keep VARIABLE header NAME ~ REGEXP   what the first group matches; json PATH, too
//
// A string at a path may be a JSON Web Token: a.b(header) and a.b(claims) are its parts. Its signature is
// not checked.
type Check struct {
	Line       int
	Conditions []string
	Text       string
}

var (
	title   = regexp.MustCompile(`^-- (.+) --$`)
	status  = regexp.MustCompile(`^=> (\d{3})$`)
	request = regexp.MustCompile(`^([A-Z]+) (/\S*|\{\{\S+)$`)
)

// Parse parses a script. Errors give the line number.
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

// The states of the parser.
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
		return p.headersAndBody()
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
	if name == "" {
		return errors.New("the exchange has no name")
	}
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

// headersAndBody reads headers and body.
func (p *parser) headersAndBody() error {
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
	case "Browser":
		p.exchange().Browser = value
	case "Basic":
		p.exchange().Basic = value
	case "Assertion":
		p.exchange().Assertion = value
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

// conditionsOf splits the leading conditions from a text.
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
