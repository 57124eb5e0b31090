package view

import "time"

// Notice says at the top of a page what has just happened.
type Notice struct {
	Kind          string // good, waiting, warning or bad
	Heading, Text string
	Fix, Command  string // in English
	ObjectID      string // of the application that needs a role
	Next          time.Time
	Actions       []Action
	Focus         bool // it answers what was just done
	Live          bool // it stands in a region that is told as a whole
}

// Message is the body of a page that says one thing.
type Message struct {
	Heading     string
	Text        []string // in the language of the page
	Detail      string   // in English
	Code        string   // to be copied, such as a tenant id
	Links       []Action
	Correlation string
}

// Action is a link that looks like a button.
type Action struct {
	Name, Href string
	NewTab     bool
}
