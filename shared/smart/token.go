package smart

import "fmt"

// checkToken refuses characters that no scope may hold: anything but printable ASCII, and the
// double quote (RFC 6749 section 3.3). The backslash is allowed, because Firely Server escapes
// with it. Percent triples are refused if they decode to a separator or a forbidden character:
// Microsoft's FHIR server decodes the claim before it splits it.
func checkToken(s string) *Refusal {
	if s == "" {
		return refuse("empty_scope", "There is no scope here.", "Leave it out.")
	}
	for i := range len(s) {
		if ordinary[s[i]] {
			continue
		}
		if r := checkByte(s[i:]); r != nil {
			return r
		}
	}
	return nil
}

// ordinary holds the bytes that every scope may hold: printable ASCII without " and %.
var ordinary = func() (bytes [256]bool) {
	for c := '!'; c <= '~'; c++ {
		bytes[c] = c != '"' && c != '%'
	}
	return bytes
}()

// checkByte judges the first byte of s, which is not ordinary.
func checkByte(s string) *Refusal {
	switch c := s[0]; {
	case c <= ' ' || c == 0x7f:
		return refuse("illegal_character", fmt.Sprintf("It holds white space or a control character (0x%02X).", c),
			"Send each scope by itself, without white space or control characters.")
	case c > 0x7f:
		return refuse("illegal_character", "It holds a character outside ASCII, which no OAuth scope can hold.",
			"Use printable ASCII only; an identifier with other letters needs another search parameter.")
	case c == '"':
		return refuse("illegal_character", "It holds a double quote, which no OAuth scope can hold.", "Remove the double quote.")
	case smuggles(s):
		return refuse("percent_encoded", fmt.Sprintf("It holds %s, which a receiver that decodes percent triples would take for a separator or a forbidden character.", s[:3]),
			"Decode the scope list once before sending it, and send it once encoded.")
	}
	return nil
}

// smuggles reports whether s begins with a percent triple for white space, a control character, a
// byte outside ASCII, or a double quote.
func smuggles(s string) bool {
	c, ok := triple(s)
	return ok && (c <= ' ' || c >= 0x7f || c == '"')
}

// triple decodes the percent triple at the start of s.
func triple(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, ok1 := hexDigit(s[1])
	low, ok2 := hexDigit(s[2])
	return high<<4 | low, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// findTriple returns the first percent triple of s as written, or "" if there is none.
func findTriple(s string) string {
	for i := range len(s) {
		if s[i] == '%' {
			if _, ok := triple(s[i:]); ok {
				return s[i : i+3]
			}
		}
	}
	return ""
}
