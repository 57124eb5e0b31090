package tabletest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
)

const (
	maxBatch   = 4 << 20
	maxActions = 100
)

// batch carries out an entity group transaction: one change set, all or nothing.
// https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
func (s *Server) batch(w http.ResponseWriter, contentType string, body []byte) {
	requests, err := changeSet(contentType, body)
	if err != nil || len(requests) == 0 || len(requests) > maxActions {
		refuse(http.StatusBadRequest, "InvalidInput").write(w)
		return
	}
	before := map[string]table{}
	for name, t := range s.tables {
		before[name] = maps.Clone(t)
	}
	var answers []answer
	seen, partitions := map[string]bool{}, map[string]bool{}
	for i, r := range requests {
		name, k := target(r)
		partitions[name+" "+k.partition] = true
		a := refuse(http.StatusBadRequest, "CommandsInBatchActOnDifferentPartitions")
		switch {
		case seen[k.row]:
			a = refuse(http.StatusBadRequest, "InvalidDuplicateRow")
		case len(partitions) == 1:
			a = s.serve(r)
		}
		seen[k.row] = true
		if a.status >= http.StatusBadRequest {
			s.tables = before
			writeParts(w, []answer{numbered(i, a)})
			return
		}
		answers = append(answers, a)
	}
	writeParts(w, answers)
}

// numbered puts the number of the failed action before the message, as the service does.
func numbered(i int, a answer) answer {
	message := a.body.(map[string]any)["odata.error"].(map[string]any)["message"].(map[string]string)
	message["value"] = fmt.Sprintf("%d:%s", i, message["value"])
	return a
}

// target returns the row that a request is about.
func target(r request) (tableName string, k key) {
	m := paths.FindStringSubmatch(r.path)
	if m == nil {
		return "", key{}
	}
	if r.method != http.MethodPost {
		return m[1], key{unquote(m[2]), unquote(m[3])}
	}
	var e struct{ PartitionKey, RowKey string }
	_ = json.Unmarshal(r.body, &e) // serve refuses a body that cannot be read
	return m[1], key{e.PartitionKey, e.RowKey}
}

// changeSet returns the requests in the only part of a batch.
func changeSet(contentType string, body []byte) (requests []request, err error) {
	outer, err := parts(contentType, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	set, err := outer.NextPart()
	if err != nil {
		return nil, err
	}
	inner, err := parts(set.Header.Get("Content-Type"), set)
	if err != nil {
		return nil, err
	}
	for {
		part, err := inner.NextRawPart()
		if errors.Is(err, io.EOF) {
			return requests, nil
		}
		if err != nil {
			return nil, err
		}
		r, err := parseRequest(part)
		if err != nil {
			return nil, err
		}
		requests = append(requests, r)
	}
}

func parts(contentType string, body io.Reader) (*multipart.Reader, error) {
	_, parameters, err := mime.ParseMediaType(contentType)
	return multipart.NewReader(body, parameters["boundary"]), err
}

// parseRequest reads a request without a Content-Length, whose body extends to the end.
func parseRequest(part io.Reader) (request, error) {
	buffered := bufio.NewReader(part)
	r, err := http.ReadRequest(buffered)
	if err != nil {
		return request{}, err
	}
	body, err := io.ReadAll(buffered)
	path := strings.TrimPrefix(r.URL.Path, "/"+account+"/")
	return request{r.Method, path, r.URL.Query(), r.Header, body}, err
}

// writeParts answers 202 even if the only part is a refusal.
func writeParts(w http.ResponseWriter, answers []answer) {
	var set, batch bytes.Buffer
	inner, outer := multipart.NewWriter(&set), multipart.NewWriter(&batch)
	for _, a := range answers {
		part, _ := inner.CreatePart(textproto.MIMEHeader{ // writing to a buffer returns no error, here and below
			"Content-Type": {"application/http"}, "Content-Transfer-Encoding": {"binary"},
		})
		_, _ = fmt.Fprintf(part, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
		for name, value := range a.header {
			_, _ = fmt.Fprintf(part, "%s: %s\r\n", name, value)
		}
		_, _ = fmt.Fprint(part, "\r\n")
		if a.body != nil {
			_ = json.NewEncoder(part).Encode(a.body)
		}
	}
	_ = inner.Close()
	part, _ := outer.CreatePart(textproto.MIMEHeader{"Content-Type": {"multipart/mixed; boundary=" + inner.Boundary()}})
	_, _ = part.Write(set.Bytes())
	_ = outer.Close()
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+outer.Boundary())
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(batch.Bytes()) // an error means that the client has gone
}
