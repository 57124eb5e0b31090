package sandbox

import (
	"encoding/json"
	"net/http"
)

// Controls answers what people ask the sandbox itself, and passes every other request to next:
//
//	GET  /sandbox/notifications  what the receiver of notifications holds
//	POST /sandbox/revoke         Entra refuses RevocableSecret from now on
//	POST /sandbox/restore        Entra accepts it again, as it does after a restart
func (s *Sandbox) Controls(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/notifications", s.Sink.Show)
	mux.Handle("POST /sandbox/revoke", s.revoke(true))
	mux.Handle("POST /sandbox/restore", s.revoke(false))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			next.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Sandbox) revoke(revoked bool) http.Handler {
	said := map[bool]string{true: "refused", false: "accepted"}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.revoked.Store(revoked)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string]string{"revocableSecret": said[revoked]}) // fails when the client is gone
	})
}
