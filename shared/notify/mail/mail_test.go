package mail_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/notify"
	"fhirlink/shared/notify/mail"
	"fhirlink/shared/secret"
)

func (r receiver) server() mail.Server {
	return mail.Server{
		Host: r.host, Port: r.port, Username: "user", Password: secret.New("password"), From: "fhirlink at Büro <fhirlink@contoso.com>", RootCAs: r.roots,
	}
}

func digest(contacts ...string) notify.Digest {
	return notify.Digest{
		Organization: "11111111-1111-4111-8111-111111111111", Day: "2026-11-23", Contacts: contacts, Events: []notify.Event{
			{ID: "msg_1", Type: notify.SecretExpiring, Slug: "good-health-clinic", Description: "Good Health — Clinic", Message: "The client secret ends in 14 days.", Fix: "Create a new one."},
			{ID: "msg_2", Type: notify.LinkRecovered, Slug: "other-clinic", Message: "It works again.\r\n.\r\nMAIL FROM:<evil@example.com>"},
		},
	}
}

// parsed is a message with its text decoded.
type parsed struct {
	netmail.Header
	text string
}

func parse(t *testing.T, m received) parsed {
	t.Helper()
	message, err := netmail.ReadMessage(strings.NewReader(m.Data))
	if err != nil {
		t.Fatalf("%v: %q", err, m.Data)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	if err != nil {
		t.Fatal(err)
	}
	return parsed{message.Header, string(text)}
}

func TestDigest(t *testing.T) {
	r := newReceiver(t, settings{})
	got := r.server().Digest(t.Context(), digest("a@contoso.com", "Name <b@contoso.com>", "a@contoso.com"))
	if got.Outcome != notify.Delivered || !strings.Contains(got.Reason, "2 of 3") {
		t.Fatalf("%+v", got)
	}
	m := r.next(t)
	if m.User != "user" || !m.Secure || m.From != "fhirlink@contoso.com" || !reflect.DeepEqual(m.To, []string{"a@contoso.com", "b@contoso.com"}) {
		t.Errorf("%+v", m)
	}
	p := parse(t, m)
	if strings.Contains(m.Data, "b@contoso.com") {
		t.Error("recipients see each other")
	}
	from, err := p.AddressList("From")
	if err != nil || from[0].Address != "fhirlink@contoso.com" || from[0].Name != "fhirlink at Büro" {
		t.Errorf("%v, %v", from, err)
	}
	if at, err := p.Date(); err != nil || time.Since(at) > time.Minute {
		t.Errorf("%v, %v", at, err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(p.Get("Subject"))
	if err != nil || subject != "fhirlink: 2 messages about your FHIR links" || p.Get("Auto-Submitted") != "auto-generated" || p.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v, %v", p.Header, err)
	}
	want := "This is what there is to tell about your organization's FHIR links on 2026-11-23 (UTC).\r\n\r\n" +
		"* good-health-clinic\r\n  The client secret ends in 14 days.\r\n  What to do: Create a new one.\r\n\r\n" +
		"* other-clinic\r\n  It works again. . MAIL FROM:<evil@example.com>\r\n\r\n" +
		"You get this because a link names you as a contact. Should it reach you twice, then it was sent twice: nothing more has happened.\r\n"
	if p.text != want {
		t.Errorf("got  %q\nwant %q", p.text, want)
	}
}

// The same digest has the same Message-ID, and different digests have different ones.
func TestMessageID(t *testing.T) {
	r := newReceiver(t, settings{})
	other := digest("a@contoso.com")
	other.Events = other.Events[:1]
	seen := map[string]int{}
	for _, d := range []notify.Digest{digest("a@contoso.com"), digest("a@contoso.com"), other} {
		if got := r.server().Digest(t.Context(), d); got.Outcome != notify.Delivered {
			t.Fatalf("%+v", got)
		}
		p := parse(t, r.next(t))
		seen[p.Get("Message-Id")]++
	}
	if len(seen) != 2 {
		t.Errorf("%v", seen)
	}
}

// Text from other people cannot end the message, add a header, or change the text direction.
func TestInjection(t *testing.T) {
	const evil = "x\r\nBcc: evil@example.com\r\n\r\n.\r\nQUIT\r\n\u202e\u2028\x00.\n\n"
	r := newReceiver(t, settings{})
	got := r.server().Digest(t.Context(), notify.Digest{
		Organization: evil, Day: evil, Contacts: []string{
			"a@contoso.com\r\nRCPT TO:<evil@example.com>", "<evil@example.com> SIZE=1", "a@contoso.com>\r\nDATA", `"a b"@contoso.com`, "büro@contoso.com", "a@contoso.com",
		}, Events: []notify.Event{{ID: evil, Type: notify.Type(notify.LinkBroken), Slug: evil, Description: evil, Message: evil, Fix: evil}},
	})
	if got.Outcome != notify.Delivered || !strings.Contains(got.Reason, "1 of 6") {
		t.Fatalf("%+v", got)
	}
	m := r.next(t)
	p := parse(t, m)
	if !reflect.DeepEqual(m.To, []string{"a@contoso.com"}) || len(p.Header) != 9 || p.Get("Bcc") != "" {
		t.Errorf("%v %v", m.To, p.Header)
	}
	lines := strings.Split(strings.TrimSuffix(p.text, "\r\n"), "\r\n")
	if strings.ContainsAny(p.text, "\x00\u202e\u2028") || len(lines) != 7 {
		t.Errorf("%q", lines)
	}
}

// TestHostileTexts: markup in a text stays text: a mail has one part, which is text/plain.
func TestHostileTexts(t *testing.T) {
	data, err := os.ReadFile("../../../functions/testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var hostile []string
	if err := json.Unmarshal(data, &hostile); err != nil || len(hostile) < 50 {
		t.Fatalf("%d texts, %v", len(hostile), err)
	}
	r := newReceiver(t, settings{})
	for _, evil := range hostile {
		d := notify.Digest{Organization: "o", Day: "2026-11-23", Contacts: []string{"a@contoso.com"}, Events: []notify.Event{{Type: notify.LinkBroken, Slug: "clinic", Description: evil, Message: evil, Fix: evil}}}
		if got := r.server().Digest(t.Context(), d); got.Outcome != notify.Delivered {
			t.Fatalf("%q: %+v", evil, got)
		}
		p := parse(t, r.next(t))
		shown := strings.Join(strings.Fields(strings.ReplaceAll(evil, "\u202e", "")), " ")
		if p.Get("Content-Type") != "text/plain; charset=utf-8" || len(p.Header) != 9 || strings.Count(p.text, "  "+shown+"\r\n") != 1 || !strings.Contains(p.text, "  What to do: "+shown+"\r\n") {
			t.Errorf("%q became %v %q", evil, p.Header, p.text)
		}
	}
}

func TestDigestJudges(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings settings
		server   func(*mail.Server)
		contacts string
		want     notify.Outcome
		reason   string
	}{
		{"some refused", settings{}, nil, "unknown@contoso.com busy@contoso.com a@contoso.com", notify.Delivered, "1 of 3"},
		{"LOGIN only", settings{AuthMethods: []string{"LOGIN"}}, nil, "a@contoso.com", notify.Delivered, "1 of 1"},
		{"nobody signed in", settings{AuthOptional: true}, func(s *mail.Server) { s.Username = "" }, "a@contoso.com", notify.Delivered, "1 of 1"},
		{"no TLS, on loopback", settings{HideSTARTTLS: true, AuthOptional: true}, func(s *mail.Server) { s.Username = "" }, "a@contoso.com", notify.Delivered, "1 of 1"},
		{"all unknown", settings{}, nil, "unknown@contoso.com", notify.Gone, "every recipient (550)"},
		{"all busy", settings{}, nil, "busy@contoso.com", notify.Retry, "every recipient (450)"},
		{"unknown or busy", settings{}, nil, "unknown@contoso.com busy@contoso.com", notify.Retry, "every recipient (450)"},
		{"spam", settings{}, nil, "spam@contoso.com", notify.Gone, "the message (554)"},
		{"wrong password", settings{}, func(s *mail.Server) { s.Password = secret.New("wrong") }, "a@contoso.com", notify.Retry, "password (535)"},
		{"wrong password, LOGIN", settings{AuthMethods: []string{"LOGIN"}}, func(s *mail.Server) { s.Password = secret.New("wrong") }, "a@contoso.com", notify.Retry, "password (535)"},
		{"nobody signed in, but must", settings{}, func(s *mail.Server) { s.Username = "" }, "a@contoso.com", notify.Retry, "the sender (530)"},
		{"untrusted", settings{}, func(s *mail.Server) { s.RootCAs = x509.NewCertPool() }, "a@contoso.com", notify.Retry, "TLS"},
		{"other name", settings{}, func(s *mail.Server) { s.Host = "127.0.0.1" }, "a@contoso.com", notify.Retry, "TLS"},
		{"no contact", settings{}, nil, "", notify.Gone, "no contact"},
		{"no address", settings{}, nil, "contoso.com @ a@ @b", notify.Gone, "no contact"},
		{"bad sender", settings{}, func(s *mail.Server) { s.From = "a@b\r\nBcc: c@d" }, "a@contoso.com", notify.Retry, "sender"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReceiver(t, tt.settings)
			s := r.server()
			if tt.server != nil {
				tt.server(&s)
			}
			got := s.Digest(t.Context(), digest(strings.Fields(tt.contacts)...))
			if got.Outcome != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("%+v", got)
			}
			if strings.Contains(got.Reason, "canary") || strings.Contains(got.Reason, "contoso") || strings.Contains(got.Reason, "password=") {
				t.Errorf("the reason reveals too much: %q", got.Reason)
			}
			if tt.want == notify.Delivered {
				if m := r.next(t); m.Secure == tt.settings.HideSTARTTLS {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

func TestDigestNowhere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	silent := mail.Server{Host: "127.0.0.1", Port: port, From: "a@contoso.com"}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "220 hello\r\n")
			_, _ = conn.Read(make([]byte, 1)) // EHLO, which gets no answer
			cancel()
			<-t.Context().Done()
		}
	}()
	if got := silent.Digest(ctx, digest("a@contoso.com")); got.Outcome != notify.Retry || !strings.Contains(got.Reason, "greeting") {
		t.Errorf("%+v", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := silent.Digest(t.Context(), digest("a@contoso.com")); got.Outcome != notify.Retry || !strings.Contains(got.Reason, "reached") || strings.Contains(got.Reason, "127.0.0.1") {
		t.Errorf("%+v", got)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"a@b.example", "A <a@b>", "\"a\\\" b\"@c", "a@[127.0.0.1]", "\"@\"@0", "=?utf-8?q?a=0d=0ab?= <a@b>", "a@b\r\nc", "a(b)@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := mail.ParseAddress(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.Address, " \r\n\t<>\"") || strings.ContainsAny(a.String(), "\r\n") || strings.Count(a.Address, "@") != 1 {
			t.Errorf("%q: %q %q", text, a.Address, a.String())
		}
	})
}
