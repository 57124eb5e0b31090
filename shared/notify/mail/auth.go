package mail

import (
	"errors"
	"net/smtp"
	"slices"
	"strings"
)

// auth is PLAIN (RFC 4616) where the server offers it, else LOGIN, which is all that some
// servers of Microsoft have.
func (s Server) auth(client *smtp.Client) smtp.Auth {
	_, offered := client.Extension("AUTH")
	if slices.Contains(strings.Fields(strings.ToUpper(offered)), "PLAIN") {
		return smtp.PlainAuth("", s.Username, s.Password.Reveal(), s.Host)
	}
	return &login{s}
}

// login is AUTH LOGIN: the server asks for the user name, then for the password, in words
// that nobody has standardized.
type login struct{ server Server }

func (l *login) Start(info *smtp.ServerInfo) (string, []byte, error) {
	if !info.TLS && !loopback(info.Name) {
		return "", nil, errors.New("the connection is not encrypted")
	}
	return "LOGIN", nil, nil
}

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
