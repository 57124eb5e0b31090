package mail

import (
	"crypto/tls"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"

	"fhirlink/shared/secret"
)

// Without encryption, nothing is sent to a server that is not on loopback: neither the message
// nor the password.
func TestNothingInTheClear(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	commands := make(chan string, 10)
	go func() {
		defer close(commands)
		text := textproto.NewConn(there)
		defer func() { _ = text.Close() }()
		_ = text.PrintfLine("220 hello")
		for {
			command, err := text.ReadLine()
			if err != nil {
				return
			}
			commands <- command
			_ = text.PrintfLine("250-smtp.contoso.com\r\n250 AUTH LOGIN PLAIN")
		}
	}()
	s := Server{Host: "smtp.contoso.com", Username: "user", Password: secret.New("canary")}
	client, err := smtp.NewClient(here, s.Host)
	if err != nil {
		t.Fatal(err)
	}
	failed := s.begin(client, "contoso.com", &tls.Config{ServerName: s.Host})
	if failed == nil || !strings.Contains(failed.Reason, "STARTTLS") {
		t.Errorf("%+v", failed)
	}
	if _, _, err := (&login{s}).Start(&smtp.ServerInfo{Name: s.Host}); err == nil {
		t.Error("LOGIN begins in the clear")
	}
	_ = client.Close()
	for command := range commands {
		if command != "EHLO contoso.com" {
			t.Errorf("the server received %q", command)
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.8.8": true, "::1": true, "smtp.contoso.com": false, "10.0.0.1": false, "localhost.contoso.com": false, "": false,
	} {
		if loopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
