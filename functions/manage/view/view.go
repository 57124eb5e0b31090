package view

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fhirlink/functions/manage/assets"
)

//go:embed templates
var files embed.FS

// Service says whose pages these are.
type Service struct {
	Name    string
	Version string
	Support string // mailto: or https URL; empty: none
	Privacy string // https URL; empty: none
}

// Account is who looks at a page.
type Account struct {
	Name, Username string
	Organization   string // tenant id
	Local          bool   // nobody signed in: this machine only
	For            string // what binds a form to the account
	Stay           string // address of the sign-in in a tab of its own; empty: no session ends
	Ends           time.Time
	Left           int // seconds until then; set by Renderer
}

// Page is what every page has.
type Page struct {
	Template string  // its file in templates, without .html
	Heading  string  // h1, and the first part of the title
	Nav      English // the entry of the navigation that is current; empty: none
	Mistakes bool    // the title says that there are some
	Account  *Account
	Body     any

	Status     int           // 200 when zero
	RetryAfter time.Duration // 0: none
	Public     bool          // needs no sign-in: a copy may be kept while nobody is signed in
}

// Renderer renders pages.
type Renderer struct {
	service Service
	now     func() time.Time
	byLang  map[string]*template.Template
	words   map[string]Words
}

// New parses the templates, for each language.
func New(service Service, now func() time.Time) (*Renderer, error) {
	r := &Renderer{service: service, now: now, byLang: map[string]*template.Template{}, words: map[string]Words{}}
	for _, language := range Languages {
		words, err := load(language)
		if err != nil {
			return nil, fmt.Errorf("words of %s: %w", language, err)
		}
		t, err := template.New("").Funcs(functions(words)).ParseFS(files, "templates/*.html")
		if err != nil {
			return nil, err
		}
		r.byLang[language], r.words[language] = t, words
	}
	return r, nil
}

// Words returns the words in the language of a request.
func (v *Renderer) Words(r *http.Request) Words { return v.words[languageOf(r)] }

// document is what the layout gets.
type document struct {
	Page
	Service  Service
	Language string
	Theme    string // empty: as the system has it
	Style    string
	Script   string
	Icon     string
	Content  template.HTML
	Entries  []entry

	Languages, Themes []option
}

type entry struct {
	Name    English
	Href    string
	Current bool
}

var navigation = []entry{
	{Name: "FHIR servers", Href: "/api/manage/"},
	{Name: "Scopes", Href: "/api/manage/scopes"},
	{Name: "Notifications", Href: "/api/manage/notifications"},
	{Name: "About", Href: "/api/manage/about"},
}

// Write answers with a page. An error means that the page cannot be rendered and nothing was written.
func (v *Renderer) Write(w http.ResponseWriter, r *http.Request, p Page) error {
	t, words := v.byLang[languageOf(r)], v.Words(r)
	var content bytes.Buffer
	if err := t.ExecuteTemplate(&content, p.Template+".html", p.Body); err != nil {
		return fmt.Errorf("page %s: %w", p.Template, err)
	}
	d := document{Page: p, Service: v.service, Language: words.Language, Theme: theme(r), Style: assets.URL("style.css"), Script: assets.URL("script.js"), Icon: assets.URL("icon.svg"), Content: template.HTML(content.String())} //nolint:gosec // the template escaped it
	d.Languages, d.Themes = options(words, r, p)
	if p.Account != nil && p.Account.Stay != "" {
		account := *p.Account
		account.Left = max(1, int(account.Ends.Sub(v.now()).Seconds()))
		d.Account = &account
	}
	for _, e := range navigation {
		e.Current = e.Name == p.Nav
		d.Entries = append(d.Entries, e)
	}
	var whole bytes.Buffer
	if err := t.ExecuteTemplate(&whole, "layout.html", d); err != nil {
		return fmt.Errorf("layout of %s: %w", p.Template, err)
	}
	h := w.Header()
	keepChoices(w, r)
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	h.Set("Cache-Control", "no-store")
	if p.Public && p.Account == nil && p.Status == 0 && r.Method != http.MethodPost {
		// Of the whole page, so that it covers language, theme and version; weak, as it is the same
		// for the compressed page.
		sum := sha256.Sum256(whole.Bytes())
		tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	Send(w, r, max(p.Status, http.StatusOK), "text/html; charset=utf-8", whole.Bytes())
	return nil
}

// policy lets a page load nothing but this deployment's own style sheets, scripts and images, and be
// framed by nobody.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Headers sets what every page and every file has. secure: browsers reach it by https.
func Headers(h http.Header, secure bool) {
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers send Origin: null with forms
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Vary", "Cookie, Accept-Language, Accept-Encoding")
}

// shortest is the length from which a body is compressed, in bytes.
const shortest = 512

// Send answers with a body, compressed if the client takes that.
func Send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	if len(body) >= shortest && takesGzip(r.Header.Get("Accept-Encoding")) {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(body)
		if err == nil && z.Close() == nil { // a buffer never fails
			h.Set("Content-Encoding", "gzip")
			body = packed.Bytes()
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}

func takesGzip(accept string) bool {
	for one := range strings.SplitSeq(accept, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(one), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return strings.Trim(strings.TrimPrefix(strings.TrimSpace(weight), "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
