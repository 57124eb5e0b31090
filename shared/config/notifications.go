package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fhirlink/shared/egress"
	"fhirlink/shared/notify/mail"
	"fhirlink/shared/secret"
)

// The settings of the notification channels other than webhooks.
const (
	EventGridEndpoint = "FHIRLINK_EVENTGRID_ENDPOINT"
	SMTPHost          = "FHIRLINK_SMTP_HOST"
	SMTPPort          = "FHIRLINK_SMTP_PORT"
	SMTPUsername      = "FHIRLINK_SMTP_USERNAME"
	SMTPPassword      = "FHIRLINK_SMTP_PASSWORD"
	MailFrom          = "FHIRLINK_MAIL_FROM"
)

// maxThreshold is the longest lifetime of an Entra secret, in days.
const maxThreshold = 731

// thresholds reads the numbers of days before a secret's expiry, in any order.
func (e *reader) thresholds() []int {
	days := list(e, ExpiryThresholds, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxThreshold {
			return 0, fmt.Errorf("is not a number of days from 0 to %d", maxThreshold)
		}
		return n, nil
	})
	slices.Sort(days)
	return slices.Compact(days)
}

// topicURL accepts the URL of a custom topic as the portal shows it, with or without its path.
func topicURL(u *url.URL) error {
	if path := strings.TrimRight(u.Path, "/"); u.Scheme != "https" || path != "" && path != "/api/events" {
		return errors.New("must be https and the endpoint of an Event Grid custom topic, e.g. https://contoso.westeurope-1.eventgrid.azure.net/api/events")
	}
	return nil
}

// mail reads the mail server; the zero Server means none.
func (e *reader) mail() mail.Server {
	s := mail.Server{
		Host: e.smtpHost(), Port: e.smtpPort(), Username: e.get(SMTPUsername), Password: e.smtpPassword(), From: e.mailFrom(),
	}
	if e.get(SMTPHost) == "" {
		for _, name := range []string{SMTPPort, SMTPUsername, SMTPPassword, MailFrom} {
			if e.get(name) != "" {
				e.addProblem(name, "is set, but "+SMTPHost+" is not. Set the mail server too, or none of them")
			}
		}
		return mail.Server{}
	}
	if e.get(MailFrom) == "" {
		e.addProblem(MailFrom, "is not set. Set it to the address that mail is sent from, e.g. fhirlink@contoso.com")
	}
	if given := e.get(SMTPPassword) != ""; given != (s.Username != "") {
		e.addProblem(SMTPUsername, "and "+SMTPPassword+" belong together. Set both, or neither for a mail server that asks for none")
	}
	return s
}

func (e *reader) smtpHost() string {
	host := strings.ToLower(e.get(SMTPHost))
	if host != "" && net.ParseIP(host) == nil && !egress.IsName(host) {
		e.addProblem(SMTPHost, "must be the name of the mail server only, e.g. smtp.contoso.com; the port goes into "+SMTPPort)
	}
	return host
}

func (e *reader) smtpPort() int {
	text := e.get(SMTPPort)
	if text == "" {
		return mail.DefaultPort
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		e.addProblem(SMTPPort, "must be a port, e.g. 587 (STARTTLS) or 465 (TLS)")
	}
	return int(port)
}

// smtpPassword returns the password as get trimmed it. On Azure it is meant to be a Key Vault
// reference, which stays unresolved if the vault does not deliver the secret.
func (e *reader) smtpPassword() secret.Value {
	text := e.get(SMTPPassword)
	if strings.HasPrefix(text, "@Microsoft.KeyVault(") {
		e.addProblem(SMTPPassword, "is a Key Vault reference that was not resolved. See its state under Environment variables in the Azure portal")
	}
	return secret.New(text)
}

func (e *reader) mailFrom() string {
	text := e.get(MailFrom)
	if text == "" {
		return ""
	}
	if _, err := mail.ParseAddress(text); err != nil {
		e.addProblem(MailFrom, err.Error())
	}
	return text
}
