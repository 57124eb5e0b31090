package view

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/text/language"

	"fhirlink/shared/signin"
)

// The choices that a browser keeps. They are set by ?lang= and ?theme= on any page.
const (
	languageCookie = "__Host-lang"
	themeCookie    = "__Host-theme"
	keptFor        = 365 * 24 * time.Hour
)

// themes are the choices of colours. The first one is that of the system, which nobody has to choose.
var themes = []struct {
	value string
	word  English
}{{"auto", "Colours of the system"}, {"light", "Light"}, {"dark", "Dark"}}

// languageNames are the names of the languages in themselves.
var languageNames = map[string]string{"en": "English", "de": "Deutsch"}

// LanguageChoice is a language to choose for somebody else.
type LanguageChoice struct {
	Tag, Name string
	Chosen    bool
}

// LanguageChoices are all languages of the pages.
func LanguageChoices(chosen string) (all []LanguageChoice) {
	for _, tag := range Languages {
		all = append(all, LanguageChoice{tag, languageNames[tag], tag == chosen})
	}
	return all
}

// matcher is made when the first page is asked for, so that it costs a start nothing.
var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, one := range Languages {
		tags = append(tags, language.MustParse(one))
	}
	return language.NewMatcher(tags)
})

// chosen returns what somebody has chosen: by the address, or before.
func chosen(r *http.Request, key, cookie string) string {
	if value := r.URL.Query().Get(key); value != "" {
		return value
	}
	if c, err := r.Cookie(cookie); err == nil {
		return c.Value
	}
	return ""
}

// languageOf chooses the language of a page: by ?lang=, a cookie, or Accept-Language.
func languageOf(r *http.Request) string {
	if value := chosen(r, "lang", languageCookie); slices.Contains(Languages, value) {
		return value
	}
	_, i := language.MatchStrings(matcher(), r.Header.Get("Accept-Language"))
	return Languages[i]
}

func theme(r *http.Request) string {
	value := chosen(r, "theme", themeCookie)
	for _, t := range themes {
		if t.value == value {
			return value
		}
	}
	return ""
}

// keepChoices sets the cookies of what the address chooses.
func keepChoices(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if value := query.Get("lang"); value != "" && value == languageOf(r) {
		keep(w, languageCookie, value)
	}
	if value := query.Get("theme"); value != "" && value == theme(r) {
		keep(w, themeCookie, value)
	}
}

func keep(w http.ResponseWriter, cookie, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: value, Path: "/", MaxAge: int(keptFor / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// option is a link that chooses.
type option struct {
	Name, Value, Href string
	Current           bool
}

// filling are the keys of addresses that fill in the fields of a page. Whatever else somebody puts into
// an address, a page does not repeat it.
var filling = []string{"q", "status", "sort", "page", "scope", "direction", "dialect", "separator", "resource", "slug", "description", "language", "to"}

// options are the links at the foot of a page: the same page in another language, or other colours.
func options(words Words, r *http.Request, p Page) (languages, colours []option) {
	path := r.URL.EscapedPath()
	query := url.Values{}
	switch p.Template {
	case "message": // what it says is not said again
		path = "/api/manage/"
	case "organization": // which also answers for the page that leads to Entra
		path = "/api/manage/organization"
	}
	if p.Template != "message" {
		for name, values := range r.URL.Query() {
			if slices.Contains(filling, name) {
				query[name] = values
			}
			if name == "to" { // an address, which may hold what is not to be repeated
				query.Set(name, signin.Target(values[0]))
			}
		}
	}
	link := func(key, value string) string {
		with := url.Values{}
		for name, values := range query {
			with[name] = values
		}
		with.Set(key, value)
		return path + "?" + with.Encode()
	}
	for _, value := range Languages {
		if value != languageOf(r) {
			languages = append(languages, option{Name: languageNames[value], Value: value, Href: link("lang", value)})
		}
	}
	for _, t := range themes {
		current := theme(r) == t.value || theme(r) == "" && t.value == themes[0].value
		colours = append(colours, option{Name: words.Text(t.word), Value: t.value, Href: link("theme", t.value), Current: current})
	}
	return languages, colours
}
