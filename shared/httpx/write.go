package httpx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// WriteJSON answers with v as JSON. It does not escape & < >: the answer is never embedded in
// HTML, and nosniff keeps browsers from interpreting it as anything but JSON. An error means that
// v cannot be marshalled and nothing was written.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	WriteBytes(w, status, "application/json", b.Bytes())
	return nil
}

// WriteBytes answers with a complete body. Nobody keeps it, unless the header Cache-Control says so already.
func WriteBytes(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if h["Cache-Control"] == nil {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}

// OrNull is s for a member of an answer that is null where nothing is known.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
