package mail_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// received is a message that the mail server accepted.
type received struct {
	User   string
	Secure bool // whether it came over TLS
	From   string
	To     []string
	Data   string
}

// receiver is a mail server on loopback: npm's smtp-server under `.ci/receivers go test`,
// otherwise the server of these tests with the same users and addresses. See
// .ci/mail-receiver.js.
type receiver struct {
	host  string
	port  int
	roots *x509.CertPool
	mails <-chan received
}

// settings are those of npm's smtp-server.
type settings struct {
	Certificate  string   `json:"cert"`
	Key          string   `json:"key"`
	Secure       bool     `json:"secure"` // TLS from the start
	HideSTARTTLS bool     `json:"hideSTARTTLS"`
	AuthMethods  []string `json:"authMethods"`
	AuthOptional bool     `json:"authOptional"`
	certificate  tls.Certificate
}

// newReceiver starts a mail server that ends with the test. Its certificate is valid for
// localhost.
func newReceiver(t *testing.T, s settings) receiver {
	t.Helper()
	r := receiver{host: "localhost", roots: x509.NewCertPool()}
	s.certify(t, r.roots)
	if s.AuthMethods == nil {
		s.AuthMethods = []string{"PLAIN", "LOGIN"}
	}
	if folder := os.Getenv("RECEIVERS"); folder != "" {
		r.port, r.mails = startScript(t, filepath.Join(folder, "mail-receiver.js"), s)
		t.Log("the mail server is smtp-server")
		return r
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	mails := make(chan received, 10)
	go s.serve(l, mails)
	r.port, r.mails = l.Addr().(*net.TCPAddr).Port, mails
	return r
}

// next returns the next message. It fails the test when there is none.
func (r receiver) next(t *testing.T) received {
	t.Helper()
	select {
	case m := <-r.mails:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no mail came")
		return received{}
	}
}

func (s *settings) certify(t *testing.T, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	s.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	s.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	roots.AppendCertsFromPEM([]byte(s.Certificate))
}

// startScript runs the script until the test ends.
func startScript(t *testing.T, script string, s settings) (port int, mails <-chan received) {
	t.Helper()
	options, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", script, string(options))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, taken, done := bufio.NewReader(stdout), make(chan received, 10), make(chan struct{})
	first, err := lines.ReadString('\n')
	if err == nil {
		port, err = strconv.Atoi(strings.TrimSpace(first))
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, &stderr)
	}
	go func() {
		defer close(done)
		for d := json.NewDecoder(lines); ; {
			var m received
			if d.Decode(&m) != nil {
				return // the script has ended
			}
			taken <- m
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close() // this ends the script
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, &stderr)
		}
	})
	return port, taken
}

// serve accepts mail until the listener is closed.
func (s settings) serve(l net.Listener, mails chan<- received) {
	if s.Secure {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go (&session{settings: s, conn: conn, text: textproto.NewConn(conn), mails: mails, mail: received{Secure: s.Secure}}).run()
	}
}

// session is one connection to the mail server of these tests.
type session struct {
	settings
	conn  net.Conn
	text  *textproto.Conn
	mails chan<- received
	mail  received
}

func (s *session) run() {
	defer func() { _ = s.conn.Close() }()
	_ = s.text.PrintfLine("220 canary")
	for {
		command, err := s.text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(command, " ")
		if _ = s.text.PrintfLine("%s", s.answer(strings.ToUpper(verb), rest)); verb == "QUIT" {
			return
		}
		if verb == "STARTTLS" {
			s.conn = tls.Server(s.conn, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
			s.text, s.mail.Secure = textproto.NewConn(s.conn), true
		}
	}
}

func (s *session) answer(verb, rest string) string {
	switch verb {
	case "EHLO":
		extensions := "250-localhost\r\n250-AUTH " + strings.Join(s.AuthMethods, " ")
		if !s.mail.Secure && !s.HideSTARTTLS {
			extensions += "\r\n250-STARTTLS"
		}
		return extensions + "\r\n250 8BITMIME"
	case "AUTH":
		return s.authenticate(rest)
	case "MAIL":
		if s.mail.User == "" && !s.AuthOptional {
			return "530 canary"
		}
		s.mail.From = address(rest)
	case "RCPT":
		return s.recipient(address(rest))
	case "DATA":
		return s.data()
	case "STARTTLS":
		return "220 go ahead"
	case "QUIT":
		return "221 bye"
	}
	return "250 fine"
}

// address returns the address in FROM:<…> or TO:<…>.
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	found, _, _ := strings.Cut(rest, ">")
	return found
}

func (s *session) authenticate(rest string) string {
	method, initial, _ := strings.Cut(rest, " ")
	decode := func(text string) string {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	ask := func(question string) string {
		_ = s.text.PrintfLine("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
		answer, _ := s.text.ReadLine() // a missing line is an empty password
		return decode(answer)
	}
	given := ""
	switch method {
	case "PLAIN":
		given = decode(initial)
	case "LOGIN":
		given = "\x00" + ask("Username:") + "\x00" + ask("Password:")
	}
	if given != "\x00user\x00password" {
		return "535 canary"
	}
	s.mail.User = "user"
	return "235 fine"
}

func (s *session) recipient(address string) string {
	switch local, _, _ := strings.Cut(address, "@"); local {
	case "unknown":
		return "550 canary"
	case "busy":
		return "450 canary"
	}
	s.mail.To = append(s.mail.To, address)
	return "250 fine"
}

func (s *session) data() string {
	if len(s.mail.To) == 0 {
		return "503 canary"
	}
	_ = s.text.PrintfLine("354 go on")
	data, err := io.ReadAll(s.text.DotReader())
	if err != nil {
		return "451 canary"
	}
	if strings.Contains(fmt.Sprint(s.mail.To), "spam@") {
		return "554 canary"
	}
	s.mail.Data = strings.ReplaceAll(string(data), "\n", "\r\n") // DotReader has removed the \r
	s.mails <- s.mail
	return "250 taken"
}
