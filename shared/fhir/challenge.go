package fhir

import (
	"net/http"
	"strings"
)

// Challenge is one challenge of a WWW-Authenticate header (RFC 9110 §11.6.1). Parameter names
// are in lower case.
type Challenge struct {
	Scheme string
	Params map[string]string
}

// Limits on what is read from the headers of one answer.
const (
	maxChallengeBytes = 8 << 10
	maxChallenges     = 16
	maxParams         = 32
)

// ParseChallenges reads all challenges of an answer. It is lenient, because servers send unquoted
// values, missing commas and unterminated strings. It skips what it does not understand.
func ParseChallenges(h http.Header) []Challenge {
	var all []Challenge
	for _, value := range h.Values("WWW-Authenticate") {
		s := challengeScanner{rest: value[:min(len(value), maxChallengeBytes)]}
		all = append(all, s.challenges(maxChallenges-len(all))...)
	}
	return all
}

// bearer returns the most informative Bearer challenge: Microsoft's names its authority.
func bearer(all []Challenge) (best Challenge, ok bool) {
	for _, c := range all {
		if !strings.EqualFold(c.Scheme, "Bearer") {
			continue
		}
		if !ok || best.Params["authorization_uri"] == "" {
			best, ok = c, true
		}
	}
	return best, ok
}

type challengeScanner struct{ rest string }

// challenges reads "name = value" as a parameter of the preceding challenge, and any other word
// as the scheme of a new one.
func (s *challengeScanner) challenges(limit int) []Challenge {
	var out []Challenge
	for {
		s.skip(" \t,")
		if s.rest == "" {
			return out
		}
		name := s.token()
		s.skip(" \t")
		switch {
		case name == "":
			s.rest = s.rest[1:] // no token can begin here
		case strings.HasPrefix(s.rest, "="):
			s.rest = s.rest[1:]
			value := s.value()
			if len(out) > 0 {
				out[len(out)-1].set(name, value)
			}
		case len(out) >= limit:
			return out
		default:
			out = append(out, Challenge{Scheme: name, Params: map[string]string{}})
		}
	}
}

// set keeps the first value of a name: a later one may be forged by text that the server echoes.
func (c Challenge) set(name, value string) {
	name = strings.ToLower(name)
	if _, known := c.Params[name]; !known && len(c.Params) < maxParams {
		c.Params[name] = value
	}
}

func (s *challengeScanner) skip(set string) { s.rest = strings.TrimLeft(s.rest, set) }

func (s *challengeScanner) token() string {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !isTokenCharacter(r) })
	return s.take(end)
}

func (s *challengeScanner) value() string {
	s.skip(" \t")
	if strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	return s.take(strings.IndexAny(s.rest, " \t,"))
}

func (s *challengeScanner) take(end int) string {
	if end < 0 {
		end = len(s.rest)
	}
	word := s.rest[:end]
	s.rest = s.rest[end:]
	return word
}

func (s *challengeScanner) quoted() string {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(s.rest):
			i++
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}

// isTokenCharacter is tchar of RFC 9110 §5.6.2.
func isTokenCharacter(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
