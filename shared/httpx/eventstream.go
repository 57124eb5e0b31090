package httpx

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
)

// NDJSON is the media type of a stream of events, one JSON object in each line.
const NDJSON = "application/x-ndjson"

// EventStream is the [http.ResponseWriter] of a handler whose client wants events while it works.
// Until the first event it is the client's own, so that an answer without any event is as ever. From
// then on, what the handler answers is kept and becomes the last event:
//
//	{"event":"end","status":201,"headers":{"Location":"…"},"body":{…}}
//
// A body that is not JSON, such as a page, is told as {"html":"…"}, and a redirect (303) as
// {"location":"…"}. A stream without that line tells nothing of the outcome.
type EventStream struct {
	w       http.ResponseWriter
	started bool

	header http.Header // of the handler's answer
	status int
	body   bytes.Buffer
}

// WantsEvents reports whether a request's Accept names NDJSON.
func WantsEvents(r *http.Request) bool {
	for _, value := range r.Header["Accept"] {
		for one := range strings.SplitSeq(value, ",") {
			mediaType, params, err := mime.ParseMediaType(one)
			if err == nil && mediaType == NDJSON && (params["q"] == "" || strings.Trim(params["q"], "0.") != "") {
				return true
			}
		}
	}
	return false
}

// Stream serves a request with events.
func Stream(w http.ResponseWriter, serve func(*EventStream)) {
	s := &EventStream{w: w, header: http.Header{}}
	serve(s)
	s.end()
}

// Started reports whether there was an event.
func (s *EventStream) Started() bool { return s.started }

// Send sends an event. That it cannot be sent, because the client is gone, stops nothing.
func (s *EventStream) Send(event any) {
	if !s.started {
		s.started = true
		h := s.w.Header()
		h.Set("Content-Type", NDJSON)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		s.w.WriteHeader(http.StatusOK)
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if enc.Encode(event) == nil { // an event that is no JSON is a mistake that tests find
		_, _ = s.w.Write(line.Bytes())
		_ = http.NewResponseController(s.w).Flush() // a host that buffers delivers all at once
	}
}

// repeated are the headers of the answer that the last event has too.
var repeated = []string{"ETag", "Location", "Retry-After", "X-Correlation-Id"}

func (s *EventStream) end() {
	if !s.started {
		return
	}
	status := max(s.status, http.StatusOK)
	if r, ok := s.w.(*recorder); ok {
		r.told = status // for the log
	}
	headers := map[string]string{}
	for _, name := range repeated {
		if value := s.header.Get(name); value != "" {
			headers[name] = value
		} else if value := s.w.Header().Get(name); value != "" {
			headers[name] = value
		}
	}
	s.Send(struct {
		Event   string            `json:"event"`
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    any               `json:"body"`
	}{"end", status, headers, s.told(status)})
}

// told is the handler's answer as the last event has it.
func (s *EventStream) told(status int) any {
	switch {
	case status == http.StatusSeeOther:
		return map[string]string{"location": s.header.Get("Location")}
	case json.Valid(s.body.Bytes()):
		return json.RawMessage(s.body.Bytes())
	case s.body.Len() == 0:
		return nil
	}
	return map[string]string{"html": s.body.String()}
}

// Header implements [http.ResponseWriter].
func (s *EventStream) Header() http.Header {
	if s.started {
		return s.header
	}
	return s.w.Header()
}

// WriteHeader implements [http.ResponseWriter].
func (s *EventStream) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	if !s.started {
		s.w.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (s *EventStream) Write(p []byte) (int, error) {
	if s.started {
		s.WriteHeader(http.StatusOK)
		return s.body.Write(p)
	}
	s.WriteHeader(http.StatusOK)
	return s.w.Write(p)
}

// Unwrap is for [http.ResponseController].
func (s *EventStream) Unwrap() http.ResponseWriter { return s.w }

func (s *EventStream) answered() bool { return s.status != 0 }
