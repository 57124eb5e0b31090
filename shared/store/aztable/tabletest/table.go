package tabletest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

type key struct{ partition, row string }

type table map[key]entity

// entity is what a client sent: without odata properties, but with the types of its properties.
type entity struct {
	properties map[string]any
	etag       string
}

// shown returns the entity as it is sent back, with all properties if none is selected.
func (e entity) shown(selected []string) map[string]any {
	shown := map[string]any{"odata.etag": e.etag}
	for name, value := range e.properties {
		if property, _, _ := strings.Cut(name, "@"); len(selected) == 0 || slices.Contains(selected, property) {
			shown[name] = value
		}
	}
	return shown
}

func (t table) get(k key) answer {
	e, ok := t[k]
	if !ok {
		return refuse(http.StatusNotFound, "ResourceNotFound")
	}
	return answer{http.StatusOK, map[string]string{"ETag": e.etag}, e.shown(nil)}
}

func (s *Server) insert(t table, body []byte) answer {
	e, k, refusal := s.entity(body)
	if refusal != nil {
		return *refusal
	}
	if _, ok := t[k]; ok {
		return refuse(http.StatusConflict, "EntityAlreadyExists")
	}
	t[k] = e
	return answer{http.StatusNoContent, map[string]string{"ETag": e.etag}, nil}
}

// replace also inserts, unless the client sends an ETag.
func (s *Server) replace(t table, k key, match string, body []byte) answer {
	if match != "" {
		if refusal := t.check(k, match); refusal != nil {
			return *refusal
		}
	}
	e, named, refusal := s.entity(body)
	if refusal != nil {
		return *refusal
	}
	if named != k {
		return refuse(http.StatusBadRequest, "InvalidInput")
	}
	t[k] = e
	return answer{http.StatusNoContent, map[string]string{"ETag": e.etag}, nil}
}

func (s *Server) remove(t table, k key, match string) answer {
	if match == "" {
		return refuse(http.StatusBadRequest, "MissingRequiredHeader")
	}
	if refusal := t.check(k, match); refusal != nil {
		return *refusal
	}
	delete(t, k)
	return answer{status: http.StatusNoContent}
}

func (t table) check(k key, match string) *answer {
	var refusal answer
	switch e, ok := t[k]; {
	case !ok:
		refusal = refuse(http.StatusNotFound, "ResourceNotFound")
	case match != "*" && match != e.etag:
		refusal = refuse(http.StatusPreconditionFailed, "UpdateConditionNotSatisfied")
	default:
		return nil
	}
	return &refusal
}

// maxPage is the greatest number of entities in an answer; a continuation returns more.
const maxPage = 1000

func (t table) query(q url.Values) answer {
	matches, err := parseFilter(q.Get("$filter"))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidInput")
	}
	page := maxPage
	if top := q.Get("$top"); top != "" {
		if page, err = strconv.Atoi(top); err != nil || page < 1 || page > maxPage {
			return refuse(http.StatusBadRequest, "InvalidInput")
		}
	}
	keys := slices.SortedFunc(maps.Keys(t), key.compare)
	from := key{q.Get("NextPartitionKey"), q.Get("NextRowKey")}
	var selected []string
	if q.Has("$select") {
		selected = strings.Split(q.Get("$select"), ",")
	}
	found, next := []any{}, map[string]string{}
	for _, k := range keys {
		switch {
		case k.compare(from) < 0 || !matches(k):
		case len(found) < page:
			found = append(found, t[k].shown(selected))
		default:
			next["x-ms-continuation-NextPartitionKey"], next["x-ms-continuation-NextRowKey"] = k.partition, k.row
			return answer{http.StatusOK, next, map[string]any{"value": found}}
		}
	}
	return answer{http.StatusOK, nil, map[string]any{"value": found}}
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.partition, other.partition), cmp.Compare(k.row, other.row))
}

var comparison = regexp.MustCompile(`^(PartitionKey|RowKey) (eq|ge|gt|le|lt) '((?:[^']|'')*)'(?: and |$)`)

// parseFilter parses comparisons of the two keys, joined by "and".
func parseFilter(filter string) (func(key) bool, error) {
	var terms []func(key) bool
	for filter != "" {
		m := comparison.FindStringSubmatch(filter)
		if m == nil {
			return nil, fmt.Errorf("the filter %q is not understood", filter)
		}
		filter = filter[len(m[0]):]
		terms = append(terms, func(k key) bool {
			value := k.row
			if m[1] == "PartitionKey" {
				value = k.partition
			}
			c := cmp.Compare(value, unquote(m[3]))
			return map[string]bool{"eq": c == 0, "ge": c >= 0, "gt": c > 0, "le": c <= 0, "lt": c < 0}[m[2]]
		})
	}
	return func(k key) bool {
		return !slices.ContainsFunc(terms, func(term func(key) bool) bool { return !term(k) })
	}, nil
}

// Limits of the service.
// https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
const (
	maxEntity     = 1 << 20
	maxText       = 32 << 10 // UTF-16 units
	maxKey        = 512      // UTF-16 units
	maxProperties = 252
)

var (
	keyForbids   = regexp.MustCompile(`[/\\#?\x00-\x1f\x7f-\x9f]`)
	propertyName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)
)

// entity reads and checks what a client sent.
func (s *Server) entity(body []byte) (e entity, k key, refusal *answer) {
	bad := func(code string) (entity, key, *answer) {
		a := refuse(http.StatusBadRequest, code)
		return entity{}, key{}, &a
	}
	if len(body) > maxEntity {
		return bad("EntityTooLarge")
	}
	var properties map[string]any
	if err := json.Unmarshal(body, &properties); err != nil {
		return bad("InvalidInput")
	}
	partition, hasPartition := properties["PartitionKey"].(string)
	row, hasRow := properties["RowKey"].(string)
	if !hasPartition || !hasRow {
		return bad("PropertiesNeedValue")
	}
	if keyForbids.MatchString(partition+row) || units(partition) > maxKey || units(row) > maxKey {
		return bad("KeyValueTooLarge")
	}
	count := 0
	for name, value := range properties {
		if property, isType := strings.CutSuffix(name, "@odata.type"); isType {
			if !validAs(value, properties[property]) {
				return bad("InvalidInput")
			}
			continue
		}
		count++
		if text, isText := value.(string); !propertyName.MatchString(name) || isText && units(text) > maxText {
			return bad("PropertyValueTooLarge")
		}
		if value == nil {
			delete(properties, name)
		}
	}
	if count > maxProperties+2 { // the two keys do not count
		return bad("TooManyProperties")
	}
	s.writes++
	now := time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z")
	properties["Timestamp"] = now
	return entity{properties, fmt.Sprintf(`W/"datetime'%s %d'"`, now, s.writes)}, key{partition, row}, nil
}

// validAs reports whether a value has the form of a type of the Entity Data Model.
func validAs(edmType, value any) bool {
	text, _ := value.(string)
	switch edmType {
	case "Edm.Int64":
		_, err := strconv.ParseInt(text, 10, 64)
		return err == nil
	case "Edm.DateTime":
		t, err := time.Parse("2006-01-02T15:04:05.9999999Z", text)
		return err == nil && t.Year() >= 1601
	}
	return edmType == "Edm.String"
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }
