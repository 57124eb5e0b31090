package fhir

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// scanner walks a JSON document as a stream, in constant memory and without garbage for what
// is passed over; the tokens of encoding/json take some thirty times as long. Of values that
// are passed over, strings and brackets are checked, and no more.
type scanner struct{ *bufio.Reader }

// newScanner skips a byte order mark, which some servers send against RFC 8259 §8.1.
func newScanner(r io.Reader) scanner {
	s := scanner{bufio.NewReaderSize(r, 16<<10)}
	if mark, err := s.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = s.Discard(len(mark)) // what was peeked is there
	}
	return s
}

var (
	errSyntax = errors.New("not JSON")
	errDeep   = errors.New("nested too deeply")
)

// Bounds of what is walked.
const (
	maxDepth = 64
	maxText  = 2048 // bytes of a string that is kept
)

// object visits the members of the next value, which member must consume; a value of
// another type is passed over.
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

// array visits the elements of the next value, as object does.
func (s scanner) array(element func() error) error { return s.nested('[', ']', element) }

func (s scanner) nested(open, end byte, each func() error) error {
	c, err := s.next()
	if err != nil {
		return err
	}
	if c != open {
		return s.remainder(c)
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

// text reads the next value if it is a string of reasonable length; else it is "".
func (s scanner) text() (string, error) {
	c, err := s.next()
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", s.remainder(c)
	}
	return s.stringRest()
}

// skip passes over the next value.
func (s scanner) skip() error {
	c, err := s.next()
	if err != nil {
		return err
	}
	return s.remainder(c)
}

// remainder passes over the rest of a value that begins with c.
func (s scanner) remainder(c byte) error {
	switch {
	case c == '"':
		return s.skipString()
	case c == '{' || c == '[':
		return s.skipNested(c)
	case isScalar(c):
		return s.skipScalar()
	}
	return errSyntax
}

func (s scanner) skipNested(open byte) error {
	stack := make([]byte, 1, maxDepth)
	stack[0] = open
	for len(stack) > 0 {
		c, err := s.read()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			if err := s.skipString(); err != nil {
				return err
			}
		case '{', '[':
			if len(stack) == maxDepth {
				return errDeep
			}
			stack = append(stack, c)
		case '}', ']':
			if stack[len(stack)-1] != c-2 { // in ASCII, { and [ stand two before } and ]
				return errSyntax
			}
			stack = stack[:len(stack)-1]
		}
	}
	return nil
}

func (s scanner) skipScalar() error {
	for {
		c, err := s.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil // a number may be all of a document
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

// skipString passes over a string behind its first quote.
func (s scanner) skipString() error { return s.walkString(func(byte) {}) }

// stringRest reads a string behind its first quote; "" if it is too long.
func (s scanner) stringRest() (string, error) {
	var raw strings.Builder
	raw.WriteByte('"')
	err := s.walkString(func(c byte) {
		if raw.Len() <= maxText {
			raw.WriteByte(c)
		}
	})
	if err != nil || raw.Len() > maxText {
		return "", err
	}
	raw.WriteByte('"')
	var text string
	if json.Unmarshal([]byte(raw.String()), &text) != nil {
		return "", errSyntax
	}
	return text, nil
}

// walkString visits the bytes of a string up to its last quote, escapes as they stand.
func (s scanner) walkString(visit func(byte)) error {
	for escaped := false; ; {
		c, err := s.read()
		switch {
		case err != nil:
			return err
		case c == '"' && !escaped:
			return nil
		case c < ' ':
			return errSyntax
		}
		visit(c)
		escaped = c == '\\' && !escaped
	}
}

// next is the next byte that is no white space.
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
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return c, err
}
