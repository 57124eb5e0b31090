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
	// DefaultPort is the port for submission with STARTTLS (RFC 6409 §3.1).
	DefaultPort = 587
	// implicitTLSPort is the port for submission over TLS from the start (RFC 8314 §3.3).
	implicitTLSPort = 465

	// timeout is the time limit of one attempt.
	timeout = 30 * time.Second
)

// Server implements [notify.Mailer] with a mail server. Username and Password are empty if the
// server requires neither.
type Server struct {
	Host     string
	Port     int // 0: DefaultPort
	Username string
	Password secret.Value
	From     string         // in the form of ParseAddress
	RootCAs  *x509.CertPool // nil: the system's
}

var _ notify.Mailer = Server{}

// ParseAddress parses the address of a sender or a recipient, e.g. "it@contoso.com", or with a
// name in front, "Contoso <it@contoso.com>". The part before @ and the domain must be ASCII.
func ParseAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || len(a.Address) > 254 || strings.Count(a.Address, "@") != 1 || strings.ContainsFunc(a.Address, invalidInAddress) || strings.ContainsFunc(a.Name, invalidInName) {
		return nil, errors.New("is not an e-mail address such as it@contoso.com")
	}
	return a, nil
}

// invalidInAddress reports whether r is a character that no address needs and that a mail server
// might misread.
func invalidInAddress(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),:;<>[\\]", r)
}

func invalidInName(r rune) bool { return r < ' ' || r == 0x7f }

// Digest implements [notify.Mailer].
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

// addresses returns the valid addresses of the contacts, each once.
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

// connect opens an encrypted connection and signs in.
func (s Server) connect(ctx context.Context, hello string) (*smtp.Client, *notify.Result) {
	port := s.Port
	if port == 0 {
		port = DefaultPort
	}
	dialled, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, failure("could not be reached", err)
	}
	context.AfterFunc(ctx, func() { _ = dialled.Close() }) // this ends a pending read or write
	conn, config := dialled, &tls.Config{ServerName: s.Host, RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12}
	if port == implicitTLSPort {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, s.Host)
	if err != nil {
		return nil, failure("did not greet", err)
	}
	if failed := s.begin(client, hello, config); failed != nil {
		_ = client.Close() // the cause is known already
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

// send carries out one transaction (RFC 5321 §3.3).
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
	_ = client.Quit() // the message is accepted, whatever the answer to QUIT is
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

// failure is the result for a fault of the server or the settings, which can be repaired: retry.
func failure(what string, err error) *notify.Result {
	reason := "the mail server " + what
	if code := replyCode(err); code != 0 {
		reason += " (" + strconv.Itoa(code) + ")"
	}
	result := retry(reason)
	return &result
}

// rejection is the result for a message that was refused. A permanent refusal (RFC 5321 §4.2.1)
// would happen again, so there is no retry.
func rejection(what string, err error) *notify.Result {
	result := failure(what, err)
	if permanent(err) {
		result.Outcome = notify.Gone
	}
	return result
}

// replyCode returns the code of the server's reply, or 0 if there was none. The reply's text is
// dropped.
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
