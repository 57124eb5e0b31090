// Package view turns what the pages show into HTML: templates, words in the languages of the pages,
// dates, badges, the timeline, and the headers that every page has. It knows nothing of requests to
// other services.
package view
