package browser

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
)

// view is what a page shows.
type view struct {
	Heading, Text string
	Action        string // where its form is sent
	Users         []User
	Hint          string
	Permissions   []string // that the application asks for
	Scenarios     []Scenario
	Fields        url.Values
}

var pages = template.Must(template.New("").Parse(`
{{define "top"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<title>{{.Heading}} – sandbox Entra</title></head>
<body><main><p>Sandbox Entra: no real account is used.</p><h1>{{.Heading}}</h1>{{with .Text}}<p>{{.}}</p>{{end}}
{{end}}
{{define "end"}}</main></body></html>
{{end}}
{{define "message"}}{{template "top" .}}{{template "end"}}{{end}}
{{define "choose"}}{{template "top" .}}<form method="post" action="{{.Action}}">
{{with .Hint}}<p>Asked for: {{.}}</p>{{end}}{{with .Permissions}}
<p>Who continues accepts that the app may:</p><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>{{end}}
{{range .Users}}<p><button name="user" value="{{.Short}}">{{.Name}} ({{.Username}})</button></p>
{{end}}<p><label for="answer">Entra answers</label> <select id="answer" name="answer"><option value="">as usual</option>
{{range .Scenarios}}<option>{{.}}</option>{{end}}</select></p></form>{{template "end"}}{{end}}
{{define "sign-out"}}{{template "top" .}}<form method="post" action="{{.Action}}">
{{range .Users}}<p><button name="user" value="{{.Short}}">{{.Name}} ({{.Username}})</button></p>{{end}}</form>{{template "end"}}{{end}}
{{define "consent"}}{{template "top" .}}<form method="post" action="{{.Action}}">
<p>fhirlink API: Sign in and read your profile</p>
<p><button name="accept" value="1">Accept</button> <button name="cancel" value="1">Cancel</button></p></form>{{template "end"}}{{end}}
{{define "send-back"}}{{template "top" .}}<form method="post" action="{{.Action}}">
{{range $name, $values := .Fields}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button>Continue</button></form>
<script>document.forms[0].submit()</script>{{template "end"}}{{end}}
`))

// page writes a page.
func (s *Site) page(w http.ResponseWriter, status int, name string, v view) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, v); err != nil {
		panic(err) // a mistake in the template
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Referrer-Policy", "strict-origin-when-cross-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // an error means that the browser has gone
}

// refuse shows an error that is not sent to the application.
func (s *Site) refuse(w http.ResponseWriter, status, number int, text string) {
	s.page(w, status, "message", view{Heading: "Sorry, but we’re having trouble signing you in.", Text: fmt.Sprintf("AADSTS%d: %s", number, text)})
}
