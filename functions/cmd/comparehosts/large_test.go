package comparehosts_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// TestLargeBody: the answer to a body of 20 MB reaches the client through every host. Lambda
// accepts no such bodies.
func TestLargeBody(t *testing.T) {
	cloudtest.LinuxOnly(t)
	for _, h := range hosts {
		if !strings.HasPrefix(h.name, "lambda") {
			t.Run(h.name, func(t *testing.T) {
				url := h.start(t, cloudtest.Start(t), table(t))
				answer, err := http.Post(url+"/api/translate-scope", "application/json", bytes.NewReader(bytes.Repeat([]byte(" "), 20_000_000)))
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), `"code":"body_too_large"`) {
					t.Errorf("%s %s %v", answer.Status, body, err)
				}
			})
		}
	}
}
