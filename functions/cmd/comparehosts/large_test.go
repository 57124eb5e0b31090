package comparehosts_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"fhirlink/functions/cmd/internal/cloudtest"
)

// TestLargeBody: the answer to a body of 20 MB reaches the client through every host, also a
// client that sends all of it before it reads. Lambda accepts no such bodies.
func TestLargeBody(t *testing.T) {
	cloudtest.LinuxOnly(t)
	for _, h := range hosts {
		if !strings.HasPrefix(h.name, "lambda") {
			t.Run(h.name, func(t *testing.T) {
				address := strings.TrimPrefix(h.start(t, cloudtest.Start(t), table(t)).url, "http://")
				answer, err := sendAll(address, bytes.Repeat([]byte(" "), 20_000_000))
				if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(answer.text, `"code":"body_too_large"`) {
					t.Errorf("%+v, %v", answer, err)
				}
			})
		}
	}
}

type answered struct {
	StatusCode int
	text       string
}

// sendAll sends a request and reads the answer only then. net/http's client reads while it sends.
func sendAll(address string, body []byte) (answered, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return answered{}, err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/translate-scope HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", address, len(body))
	if n, err := conn.Write(body); err != nil {
		return answered{}, fmt.Errorf("after %d bytes: %w", n, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, string(text)}, err
}
