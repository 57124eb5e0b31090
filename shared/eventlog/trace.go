package eventlog

import (
	"encoding/hex"
	"strings"
)

// Trace identifies the distributed trace of a piece of work, in the terms of W3C Trace Context
// (https://www.w3.org/TR/trace-context/). The zero Trace means none.
type Trace struct {
	ID     string // trace-id: 32 lower-case hex digits
	Parent string // parent-id of the caller: 16 lower-case hex digits; empty for the root
}

// NewTrace starts a trace from a correlation id. That is a UUID, which is as random as a trace-id
// must be.
func NewTrace(correlation string) Trace {
	return Trace{ID: strings.ReplaceAll(correlation, "-", "")}
}

// ParseTraceparent parses the header traceparent (§3.2). For versions after 00 it reads only the
// parts of version 00 (§4).
func ParseTraceparent(header string) (Trace, bool) {
	version, rest, _ := strings.Cut(header, "-")
	id, rest, _ := strings.Cut(rest, "-")
	parent, flags, ok := strings.Cut(rest, "-")
	if version != "00" {
		flags, _, _ = strings.Cut(flags, "-")
	}
	ok = ok && isHex(version, 2) && version != "ff" && isID(id, 32) && isID(parent, 16) && isHex(flags, 2)
	if !ok {
		return Trace{}, false
	}
	return Trace{ID: id, Parent: parent}, true
}

// ParseXRay parses AWS's header X-Amzn-Trace-Id, "Root=1-{8 hex}-{24 hex};Parent={16 hex};…". Its
// root is a trace-id in two parts.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func ParseXRay(header string) (Trace, bool) {
	var t Trace
	for field := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Root":
			seconds, random, _ := strings.Cut(strings.TrimPrefix(value, "1-"), "-")
			if strings.HasPrefix(value, "1-") && isHex(seconds, 8) && isHex(random, 24) {
				t.ID = seconds + random
			}
		case "Parent":
			if isID(value, 16) {
				t.Parent = value
			}
		}
	}
	if !isID(t.ID, 32) {
		return Trace{}, false
	}
	return t, true
}

// isID reports whether s is an id: that many hex digits, not all zero.
func isID(s string, digits int) bool {
	return isHex(s, digits) && strings.Trim(s, "0") != ""
}

func isHex(s string, digits int) bool {
	if len(s) != digits || s != strings.ToLower(s) {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}
