package tabletest_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"fhirlink/shared/store/aztable/tabletest"
)

// client sends requests to the server without the SDK.
type client struct {
	t        *testing.T
	endpoint string
}

func start(t *testing.T) client {
	t.Helper()
	m := regexp.MustCompile(`TableEndpoint=([^;]+);`).FindStringSubmatch(tabletest.Start(t))
	if m == nil {
		t.Fatal("the connection string has no TableEndpoint")
	}
	c := client{t, m[1]}
	if status, body := c.do(http.MethodPost, "/Tables", "", `{"TableName":"links"}`); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	return c
}

func (c client) do(method, path, contentType, body string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.endpoint+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "SharedKey fhirlink:signature")
	r.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// entity returns a row with further properties, as JSON.
func entity(partition, row, more string) string {
	return fmt.Sprintf(`{"PartitionKey":%q,"RowKey":%q%s}`, partition, row, more)
}

// TestLimits: the server refuses what Azure refuses, even where Azurite accepts it.
func TestLimits(t *testing.T) {
	c := start(t)
	var many strings.Builder
	for i := range 253 {
		fmt.Fprintf(&many, `,"P%d":1`, i)
	}
	for name, body := range map[string]string{
		"slash in a key":       entity("p", "a/b", ""),
		"control in a key":     entity("p", "a\u0085b", ""),
		"long key":             entity("p", strings.Repeat("x", 513), ""),
		"no RowKey":            `{"PartitionKey":"p"}`,
		"not JSON":             `{`,
		"hyphen in a name":     entity("p", "r", `,"a-b":1`),
		"long name":            entity("p", "r", `,"`+strings.Repeat("x", 256)+`":1`),
		"253 properties":       entity("p", "r", many.String()),
		"long text":            entity("p", "r", `,"A":"`+strings.Repeat("x", 32<<10+1)+`"`),
		"large entity":         entity("p", "r", strings.Repeat(`,"A":"`+strings.Repeat("x", 32<<10)+`"`, 33)),
		"Int64 as number":      entity("p", "r", `,"A":1,"A@odata.type":"Edm.Int64"`),
		"DateTime with offset": entity("p", "r", `,"A":"2026-11-23T12:00:00+03:00","A@odata.type":"Edm.DateTime"`),
		"DateTime before 1601": entity("p", "r", `,"A":"1600-01-01T00:00:00Z","A@odata.type":"Edm.DateTime"`),
	} {
		if status, answer := c.do(http.MethodPost, "/links", "", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want 400", name, status, answer)
		}
	}
	if status, answer := c.do(http.MethodPost, "/links", "", entity("p", "r", strings.Replace(many.String(), `,"P0":1`, "", 1))); status != http.StatusNoContent {
		t.Errorf("252 properties: %d %s", status, answer)
	}
}

func TestBatchLimits(t *testing.T) {
	c := start(t)
	batch := func(bodies ...string) (int, string) {
		var set strings.Builder
		for _, body := range bodies {
			fmt.Fprintf(&set, "--s\r\nContent-Type: application/http\r\n\r\nPOST %s/links HTTP/1.1\r\nContent-Type: application/json\r\n\r\n%s\r\n", c.endpoint, body)
		}
		return c.do(http.MethodPost, "/$batch", "multipart/mixed; boundary=b",
			"--b\r\nContent-Type: multipart/mixed; boundary=s\r\n\r\n"+set.String()+"--s--\r\n--b--\r\n")
	}
	for name, c := range map[string]struct {
		bodies []string
		want   string
	}{
		"two partitions": {[]string{entity("p", "1", ""), entity("q", "2", "")}, "CommandsInBatchActOnDifferentPartitions"},
		"one row twice":  {[]string{entity("p", "1", ""), entity("p", "1", "")}, "InvalidDuplicateRow"},
		"second is bad":  {[]string{entity("p", "1", ""), entity("p", "a/b", "")}, "1:KeyValueTooLarge"},
	} {
		if status, answer := batch(c.bodies...); status != http.StatusAccepted || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %s, want 202 with %s", name, status, answer, c.want)
		}
	}
	if status, answer := c.do(http.MethodGet, "/links()", "", ""); status != http.StatusOK || strings.Contains(answer, "RowKey") {
		t.Errorf("after transactions that failed the table has %d %s", status, answer)
	}
	for name, n := range map[string]int{"none": 0, "101": 101} {
		var bodies []string
		for i := range n {
			bodies = append(bodies, entity("p", fmt.Sprint(i), ""))
		}
		if status, _ := batch(bodies...); status != http.StatusBadRequest {
			t.Errorf("a transaction of %s: %d, want 400", name, status)
		}
	}
	if status, answer := batch(entity("p", "1", ""), entity("p", "2", "")); status != http.StatusAccepted || strings.Count(answer, "HTTP/1.1 204") != 2 {
		t.Errorf("a sound transaction: %d %s", status, answer)
	}
}

func TestWantsSignature(t *testing.T) {
	c := start(t)
	response, err := http.Get(c.endpoint + "/links()")
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned request: %d, want 403", response.StatusCode)
	}
}
