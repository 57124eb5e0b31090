package mail

import (
	"errors"
	"net/smtp"
	"slices"
	"strings"
)

// auth returns PLAIN (RFC 4616) if the server offers it, or else LOGIN, the only mechanism of
// some of Microsoft's servers.
func (s Server) auth(client *smtp.Client) smtp.Auth {
	_, offered := client.Extension("AUTH")
	if slices.Contains(strings.Fields(strings.ToUpper(offered)), "PLAIN") {
		return smtp.PlainAuth("", s.Username, s.Password.Reveal(), s.Host)
	}
	return &login{s}
}

// login is AUTH LOGIN: the server asks for the user name and then for the password, in words that
// no standard defines.
type login struct{ server Server }

// Start implements [smtp.Auth].
func (l *login) Start(info *smtp.ServerInfo) (string, []byte, error) {
	if !info.TLS && !loopback(info.Name) {
		return "", nil, errors.New("the connection is not encrypted")
	}
	return "LOGIN", nil, nil
}

// Next implements [smtp.Auth].
func (l *login) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch question := strings.ToLower(string(challenge)); {
	case strings.HasPrefix(question, "user"):
		return []byte(l.server.Username), nil
	case strings.HasPrefix(question, "pass"):
		return []byte(l.server.Password.Reveal()), nil
	}
	return nil, errors.New("the mail server asks for something unknown")
}
