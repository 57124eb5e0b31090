package mail

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"fhirlink/shared/notify"
)

// message returns a digest as it is sent (RFC 5322). Its header contains nothing about the events
// but their number.
func message(from mail.Address, d notify.Digest, now time.Time) []byte {
	var b bytes.Buffer
	for _, line := range []string{
		"From: " + from.String(),
		"To: undisclosed-recipients:;",
		"Subject: " + mime.QEncoding.Encode("utf-8", subject(d)),
		"Date: " + now.UTC().Format(time.RFC1123Z),
		"Message-ID: <" + id(d) + "@" + domain(from.Address) + ">",
		"Auto-Submitted: auto-generated", // RFC 3834 §5: no out-of-office reply
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8",
		"Content-Transfer-Encoding: quoted-printable",
		"",
	} {
		b.WriteString(line + "\r\n")
	}
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(text(d))) // a buffer never fails
	_ = w.Close()
	return b.Bytes()
}

// id returns the same id for the same digest, however often it is sent.
func id(d notify.Digest) string {
	parts := []string{d.Organization, d.Day}
	for _, e := range d.Events {
		parts = append(parts, e.ID)
	}
	return notify.ID(parts...)
}

func subject(d notify.Digest) string {
	if len(d.Events) == 1 {
		return "fhirlink: 1 message about your FHIR links"
	}
	return fmt.Sprintf("fhirlink: %d messages about your FHIR links", len(d.Events))
}

func text(d notify.Digest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is what there is to tell about your organization's FHIR links on %s (UTC).\r\n", oneLine(d.Day))
	for _, e := range d.Events {
		b.WriteString("\r\n" + heading(e) + "\r\n")
		fmt.Fprintf(&b, "  %s\r\n", oneLine(e.Message))
		if e.Fix != "" {
			fmt.Fprintf(&b, "  What to do: %s\r\n", oneLine(e.Fix))
		}
	}
	b.WriteString("\r\nYou get this because a link names you as a contact. Should it reach you twice, then it was sent twice: nothing more has happened.\r\n")
	return b.String()
}

// heading names the link by its slug only. The description is free text by the maker of the link,
// and the contacts did not agree to receive such text.
func heading(e notify.Event) string {
	if e.Slug == "" {
		return "* " + string(e.Type)
	}
	return "* " + oneLine(e.Slug)
}

// oneLine returns s on one line, without characters that could change the text direction or hide
// text.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)), " ")
}
