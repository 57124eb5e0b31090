package fhir

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// scanner walks a JSON document as a stream, in constant memory and without garbage for skipped
// values. The tokens of encoding/json take about thirty times as long. In skipped values only
// strings and brackets are checked.
type scanner struct{ *bufio.Reader }

// newScanner skips a byte order mark, which some servers send in breach of RFC 8259 §8.1.
func newScanner(r io.Reader) scanner {
	s := scanner{bufio.NewReaderSize(r, 16<<10)}
	if mark, err := s.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = s.Discard(len(mark)) // the peeked bytes are there
	}
	return s
}

var (
	errSyntax = errors.New("not JSON")
	errDeep   = errors.New("nested too deeply")
)

// maxDepth limits the nesting of a skipped value.
const maxDepth = 64

// object calls member for each member of the next value; member must consume the value. A value
// of another type is skipped.
func (s scanner) object(member func(key string) error) error {
	return s.nested('{', '}', func() error {
		c, err := s.next()
		if err != nil {
			return err
		}
		if c != '"' {
			return errSyntax
		}
		key, err := s.stringRest()
		if err != nil {
			return err
		}
		if c, err = s.next(); err != nil {
			return err
		}
		if c != ':' {
			return errSyntax
		}
		return member(key)
	})
}

// array calls element for each element of the next value, as object does for members.
func (s scanner) array(element func() error) error { return s.nested('[', ']', element) }

func (s scanner) nested(open, end byte, each func() error) error {
	c, err := s.next()
	if err != nil {
		return err
	}
	if c != open {
		return s.skipFrom(c)
	}
	if c, err = s.next(); err != nil || c == end {
		return err
	}
	if err := s.UnreadByte(); err != nil {
		return err
	}
	for {
		if err := each(); err != nil {
			return err
		}
		switch c, err := s.next(); {
		case err != nil:
			return err
		case c == end:
			return nil
		case c != ',':
			return errSyntax
		}
	}
}

// text reads the next value. It returns "" if the value is not a string or is too long.
func (s scanner) text() (string, error) {
	c, err := s.next()
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", s.skipFrom(c)
	}
	return s.stringRest()
}

// skip skips the next value.
func (s scanner) skip() error {
	c, err := s.next()
	if err != nil {
		return err
	}
	return s.skipFrom(c)
}

// skipFrom skips the rest of a value that begins with c.
func (s scanner) skipFrom(c byte) error {
	switch {
	case c == '"':
		return s.skipToEnd(skipState{quoted: true})
	case c == '{' || c == '[':
		return s.skipToEnd(skipState{open: [maxDepth]byte{c}, depth: 1})
	case isScalar(c):
		return s.skipScalar()
	}
	return errSyntax
}

func (s scanner) skipScalar() error {
	for {
		c, err := s.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil // a number may be the whole document
		}
		if err != nil {
			return err
		}
		if !isScalar(c) {
			return s.UnreadByte()
		}
	}
}

func isScalar(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// skipState is the state of skipping a string, an object or an array.
type skipState struct {
	open            [maxDepth]byte // the brackets
	depth           int
	quoted, escaped bool // inside a string; after its backslash
}

// skipToEnd skips the rest. It scans the whole buffer at once: one call per byte would dominate the
// time for a large document.
func (s scanner) skipToEnd(p skipState) error {
	for {
		if _, err := s.Peek(1); err != nil {
			return unexpectedEOF(err)
		}
		buffered, _ := s.Peek(s.Buffered()) // the buffered bytes are there
		n, done, err := p.advance(buffered)
		_, _ = s.Discard(n) // so are these
		if done || err != nil {
			return err
		}
	}
}

// advance skips n bytes of next: all of them, or up to the end of the value.
func (p *skipState) advance(next []byte) (n int, done bool, err error) {
	quoted, escaped := p.quoted, p.escaped
	for i, c := range next {
		switch {
		case quoted && c < ' ':
			err = errSyntax
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = c != '"', c == '\\'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			err = p.opened(c)
		case c == '}' || c == ']':
			err = p.closed(c)
		default:
			continue
		}
		if err != nil || !quoted && p.depth == 0 {
			return i + 1, true, err
		}
	}
	p.quoted, p.escaped = quoted, escaped
	return len(next), false, nil
}

func (p *skipState) opened(c byte) error {
	if p.depth == maxDepth {
		return errDeep
	}
	p.open[p.depth] = c
	p.depth++
	return nil
}

func (p *skipState) closed(c byte) error {
	p.depth--
	if p.open[p.depth] != c-2 { // in ASCII, { and [ are two before } and ]
		return errSyntax
	}
	return nil
}

// stringRest reads a string after its opening quote, and returns "" if it is too long.
func (s scanner) stringRest() (string, error) {
	var raw strings.Builder
	raw.WriteByte('"')
	for escaped := false; ; {
		c, err := s.read()
		switch {
		case err != nil:
			return "", err
		case c < ' ':
			return "", errSyntax
		}
		if raw.Len() <= maxText {
			raw.WriteByte(c)
		}
		if c == '"' && !escaped {
			break
		}
		escaped = c == '\\' && !escaped
	}
	if raw.Len() > maxText {
		return "", nil
	}
	var text string
	if json.Unmarshal([]byte(raw.String()), &text) != nil {
		return "", errSyntax
	}
	return text, nil
}

// next returns the next byte that is not white space.
func (s scanner) next() (byte, error) {
	for {
		c, err := s.read()
		if err != nil || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, err
		}
	}
}

func (s scanner) read() (byte, error) {
	c, err := s.ReadByte()
	if err != nil {
		err = unexpectedEOF(err)
	}
	return c, err
}

// unexpectedEOF turns io.EOF inside a document into io.ErrUnexpectedEOF.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
