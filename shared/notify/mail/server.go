package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/secret"
)

const (
	// DefaultPort is where mail is submitted with STARTTLS (RFC 6409 §3.1).
	DefaultPort = 587
	// implicitTLSPort is where it is submitted over TLS from the start (RFC 8314 §3.3).
	implicitTLSPort = 465

	// timeout is how long one attempt may take.
	timeout = 30 * time.Second
)

// Server is a mail server that takes our mail. Username and Password are empty for one that
// asks for neither.
type Server struct {
	Host     string
	Port     int // 0: DefaultPort
	Username string
	Password secret.Value
	From     string         // as ParseAddress takes it
	RootCAs  *x509.CertPool // nil: the system's
}

var _ notify.Mailer = Server{}

// ParseAddress reads an address that mail can be sent to or from, e.g. "it@contoso.com", or
// with a name in front, "Contoso <it@contoso.com>". The part before @ and the domain must be
// ASCII.
func ParseAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || len(a.Address) > 254 || strings.ContainsFunc(a.Address, foreign) || strings.ContainsFunc(a.Name, foreignName) {
		return nil, errors.New("is not an e-mail address such as it@contoso.com")
	}
	return a, nil
}

// foreign is true of what an address never needs and a mail server might misread.
func foreign(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),:;<>[\\]", r) }

func foreignName(r rune) bool { return r < ' ' || r == 0x7f }

// Digest is notify.Mailer's.
func (s Server) Digest(ctx context.Context, d notify.Digest) notify.Result {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	from, err := ParseAddress(s.From)
	if err != nil {
		return retry("the sender's address is not valid")
	}
	to := addresses(d.Contacts)
	if len(to) == 0 || len(d.Events) == 0 {
		return gone("there is no contact with a valid e-mail address, or nothing to tell")
	}
	client, failed := s.connect(ctx, domain(from.Address))
	if failed != nil {
		return *failed
	}
	defer func() { _ = client.Close() }() // after QUIT there is nothing left to close
	return send(client, from.Address, to, message(*from, d, time.Now()), len(d.Contacts))
}

// addresses are those that mail can be sent to, each once.
func addresses(contacts []string) (all []string) {
	seen := map[string]bool{}
	for _, text := range contacts {
		if a, err := ParseAddress(text); err == nil && !seen[a.Address] {
			seen[a.Address] = true
			all = append(all, a.Address)
		}
	}
	return all
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// connect opens a connection that is encrypted and signed in.
func (s Server) connect(ctx context.Context, hello string) (*smtp.Client, *notify.Result) {
	port := s.Port
	if port == 0 {
		port = DefaultPort
	}
	dialled, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, failure("could not be reached", err)
	}
	context.AfterFunc(ctx, func() { _ = dialled.Close() }) // which ends whatever is under way
	conn, config := dialled, &tls.Config{ServerName: s.Host, RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12}
	if port == implicitTLSPort {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, s.Host)
	if err != nil {
		return nil, failure("did not greet", err)
	}
	if failed := s.begin(client, hello, config); failed != nil {
		_ = client.Close() // why it failed is known already
		return nil, failed
	}
	return client, nil
}

func (s Server) begin(client *smtp.Client, hello string, config *tls.Config) *notify.Result {
	if err := client.Hello(hello); err != nil {
		return failure("refused the greeting", err)
	}
	if _, encrypted := client.TLSConnectionState(); !encrypted {
		if offered, _ := client.Extension("STARTTLS"); offered {
			if err := client.StartTLS(config); err != nil {
				return failure("has no valid TLS certificate, or failed to encrypt", err)
			}
		} else if !loopback(s.Host) {
			return failure("offers no STARTTLS, so nothing was sent", nil)
		}
	}
	if s.Username == "" {
		return nil
	}
	if err := client.Auth(s.auth(client)); err != nil {
		return failure("refused the user name and password", err)
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// send is one transaction (RFC 5321 §3.3).
func send(client *smtp.Client, from string, to []string, message []byte, contacts int) notify.Result {
	if err := client.Mail(from); err != nil {
		return *failure("refused the sender", err)
	}
	taken, refusal := 0, error(nil)
	for _, address := range to {
		if err := client.Rcpt(address); err == nil {
			taken++
		} else if refusal == nil || !permanent(err) {
			refusal = err
		}
	}
	if taken == 0 {
		return *rejection("refused every recipient", refusal)
	}
	if err := data(client, message); err != nil {
		return *rejection("refused the message", err)
	}
	_ = client.Quit() // the message is taken, whatever is said now
	return notify.Result{Outcome: notify.Delivered, Reason: fmt.Sprintf("the mail server took it for %d of %d contacts", taken, contacts)}
}

func data(client *smtp.Client, message []byte) error {
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}

// failure is about the server or the settings, which somebody can put right: try again.
func failure(what string, err error) *notify.Result {
	reason := "the mail server " + what
	if code := replyCode(err); code != 0 {
		reason += " (" + strconv.Itoa(code) + ")"
	}
	result := retry(reason)
	return &result
}

// rejection is about what is sent: a permanent one (RFC 5321 §4.2.1) would come again.
func rejection(what string, err error) *notify.Result {
	result := failure(what, err)
	if permanent(err) {
		result.Outcome = notify.Gone
	}
	return result
}

// replyCode is the number that the server answered, 0 if it did not. Its text stays here.
func replyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

func permanent(err error) bool { return replyCode(err)/100 == 5 }

func retry(reason string) notify.Result {
	return notify.Result{Outcome: notify.Retry, Reason: reason}
}

func gone(reason string) notify.Result { return notify.Result{Outcome: notify.Gone, Reason: reason} }
