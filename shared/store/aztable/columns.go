package aztable

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/date"
)

// column is a property of a row. Its value is a pointer to a string, bool, int, int64, time.Time
// (Edm.DateTime, UTC) or date.Date, or is a jsonText.
type column struct {
	name  string
	value any
}

// jsonText is a value that is written as a string of JSON.
type jsonText struct{ pointer any }

// encode returns the entity with the columns that have a value.
func encode(partitionKey, rowKey string, columns []column) ([]byte, error) {
	e := newEntity(partitionKey, rowKey)
	for _, c := range columns {
		v, err := c.encode()
		if err != nil {
			return nil, fmt.Errorf("its %s: %w", c.name, err)
		}
		if v != nil {
			e.Properties[c.name] = v
		}
	}
	if size := entitySize(e); size > maxEntity {
		return nil, fmt.Errorf("it takes %d bytes, and a row can have %d", size, maxEntity)
	}
	return json.Marshal(e)
}

func decodeColumns(e aztables.EDMEntity, columns []column) error {
	for _, c := range columns {
		if v, ok := e.Properties[c.name]; ok {
			if err := c.decode(v); err != nil {
				return fmt.Errorf("property %s: %w", c.name, err)
			}
		}
	}
	return nil
}

func newEntity(partitionKey, rowKey string) aztables.EDMEntity {
	return aztables.EDMEntity{
		Entity:     aztables.Entity{PartitionKey: partitionKey, RowKey: rowKey},
		Properties: map[string]any{},
	}
}

// encode returns nil if the column needs no property.
func (c column) encode() (any, error) {
	switch v := c.value.(type) {
	case *string:
		return text(*v)
	case *bool:
		return *v, nil
	case *int:
		return aztables.EDMInt64(*v), nil
	case *int64:
		return aztables.EDMInt64(*v), nil
	case *time.Time:
		return dateTime(*v)
	case *date.Date:
		return text(v.String())
	case jsonText:
		data, err := plainJSON(v.pointer)
		if err != nil || data == "null" {
			return nil, err
		}
		return text(data)
	}
	return nil, fmt.Errorf("no form is known for a %T", c.value)
}

// plainJSON does not escape <, > and &, which would take six characters each.
func plainJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func (c column) decode(v any) error {
	switch p := c.value.(type) {
	case *string:
		return assign(p, v)
	case *bool:
		return assign(p, v)
	case *int:
		return assignInt(p, v)
	case *int64:
		return assignInt(p, v)
	case *time.Time:
		var t aztables.EDMDateTime
		err := assign(&t, v)
		*p = time.Time(t)
		return err
	case *date.Date:
		return unmarshal(v, p.UnmarshalText)
	case jsonText:
		return unmarshal(v, func(data []byte) error { return json.Unmarshal(data, p.pointer) })
	}
	return fmt.Errorf("no form is known for a %T", c.value)
}

func assign[T any](p *T, v any) error {
	t, ok := v.(T)
	if !ok {
		return fmt.Errorf("its type is %T, not %T", v, t)
	}
	*p = t
	return nil
}

func assignInt[T int | int64](p *T, v any) error {
	var n aztables.EDMInt64
	err := assign(&n, v)
	*p = T(n)
	return err
}

func unmarshal(v any, read func([]byte) error) error {
	var s string
	if err := assign(&s, v); err != nil {
		return err
	}
	return read([]byte(s))
}

// Limits of Table Storage that its emulator does not enforce in full: 1 MiB per entity, 252
// properties (our rows have far fewer), 32 Ki UTF-16 units per string, years from 1601 on.
// https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
const (
	maxEntity  = 1 << 20
	maxText    = 32 << 10
	oldestYear = 1601
)

func text(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	if n := units(s); n > maxText {
		return nil, fmt.Errorf("it has %d UTF-16 units, and a property can have %d", n, maxText)
	}
	return s, nil
}

// dateTime converts t to UTC, because the SDK writes a Z after the clock time of any zone.
func dateTime(t time.Time) (any, error) {
	if t.IsZero() {
		return nil, nil
	}
	if t = t.UTC(); t.Year() < oldestYear || t.Year() > 9999 {
		return nil, fmt.Errorf("the year %d is not between %d and 9999", t.Year(), oldestYear)
	}
	return aztables.EDMDateTime(t), nil
}

// entitySize returns the size in bytes by Microsoft's formula: 4 bytes, the keys, and for each
// property 8 bytes, its name and its value. Text counts two bytes per UTF-16 unit.
func entitySize(e aztables.EDMEntity) int {
	const perEntity, perProperty, perText, perNumber = 4, 8, 4, 8
	size := perEntity + 2*(units(e.PartitionKey)+units(e.RowKey))
	for name, v := range e.Properties {
		size += perProperty + 2*units(name)
		if s, ok := v.(string); ok {
			size += perText + 2*units(s)
		} else {
			size += perNumber
		}
	}
	return size
}

func units(s string) (n int) {
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
