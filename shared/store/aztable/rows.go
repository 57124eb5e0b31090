package aztable

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/shared/store"
)

// rows are the rows of a table, which holds nothing else.
type rows struct{ *Store }

// KeyedRows returns the table's rows. Their versions are the ETags.
func (s *Store) KeyedRows() store.Rows { return rows{s} }

// Row implements [store.Rows].
func (s rows) Row(ctx context.Context, k store.Key) (store.Row, error) {
	row, _, err := s.row(ctx, k)
	return row, err
}

// Swap implements [store.Rows]. After a conflict it reads the row again, because an earlier try of the
// same call may have written it.
func (s rows) Swap(ctx context.Context, old store.Row, value string) (next store.Row, swapped bool, err error) {
	op := rand.Text()
	entity, err := encodeRow(old.Key, value, op)
	if err != nil {
		return store.Row{}, false, err
	}
	next = store.Row{Key: old.Key, Value: value}
	err = s.withTable(ctx, func() (err error) {
		next.Version, err = s.putRow(ctx, entity, old)
		return explain(ctx, err)
	})
	if err == nil {
		return next, true, nil
	}
	if !isConflict(err) {
		return store.Row{}, false, fmt.Errorf("writing the row %s: %w", old.Name, err)
	}
	found, by, err := s.row(ctx, old.Key)
	if err != nil || by != op {
		return store.Row{}, false, err
	}
	return found, true, nil
}

func (s rows) putRow(ctx context.Context, entity []byte, old store.Row) (etag string, err error) {
	if old.Version == "" {
		answer, err := s.client.AddEntity(ctx, entity, nil)
		return string(answer.ETag), err
	}
	tag := azcore.ETag(old.Version)
	answer, err := s.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &tag, UpdateMode: aztables.UpdateModeReplace})
	return string(answer.ETag), err
}

// Remove implements [store.Rows]. A row that an earlier try of the same call has removed is gone.
func (s rows) Remove(ctx context.Context, old store.Row) (gone bool, err error) {
	if old.Check() != nil {
		return true, nil
	}
	tag := azcore.ETag(old.Version)
	_, err = s.client.DeleteEntity(ctx, old.Partition, old.Name, &aztables.DeleteEntityOptions{IfMatch: &tag})
	switch err = explain(ctx, err); {
	case err == nil, isNotFound(err):
		return true, nil
	case isConflict(err):
		return false, nil
	}
	return false, fmt.Errorf("removing the row %s: %w", old.Name, err)
}

// List implements [store.Rows].
func (s rows) List(ctx context.Context, partition, prefix, after string, limit int) ([]store.Row, error) {
	filter := fmt.Sprintf("PartitionKey eq '%s'", quoted(partition))
	if prefix != "" {
		filter += fmt.Sprintf(" and RowKey ge '%s' and RowKey lt '%s'", quoted(prefix), quoted(prefix[:len(prefix)-1]+string(prefix[len(prefix)-1]+1)))
	}
	if after != "" {
		filter += fmt.Sprintf(" and RowKey gt '%s'", quoted(after))
	}
	return s.query(ctx, filter, limit)
}

// Between implements [store.Rows].
func (s rows) Between(ctx context.Context, from, before string, limit int) ([]store.Row, error) {
	return s.query(ctx, fmt.Sprintf("PartitionKey ge '%s' and PartitionKey lt '%s'", quoted(from), quoted(before)), limit)
}

func (s rows) query(ctx context.Context, filter string, limit int) (all []store.Row, err error) {
	top := int32(min(limit, maxPage)) //nolint:gosec // at most maxPage
	pager := s.client.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: &filter, Top: &top})
	for pager.More() && len(all) < limit {
		page, err := pager.NextPage(ctx)
		if err = explain(ctx, err); hasCode(err, aztables.TableNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing rows where %s: %w", filter, err)
		}
		for _, data := range page.Entities {
			row, _, err := decodeRow(data)
			if err != nil {
				return nil, err
			}
			all = append(all, row)
		}
	}
	return all[:min(limit, len(all))], nil
}

// Discard implements [store.Rows]. A transaction fails as a whole if one of its rows is gone: then they are
// removed one by one.
func (s rows) Discard(ctx context.Context, keys []store.Key) error {
	for _, batch := range store.Batches(keys) {
		actions := make([]aztables.TransactionAction, len(batch))
		for i, k := range batch {
			entity, err := json.Marshal(newEntity(k.Partition, k.Name))
			if err != nil {
				return err
			}
			actions[i] = aztables.TransactionAction{ActionType: aztables.TransactionTypeDelete, Entity: entity}
		}
		err := s.submit(ctx, actions)
		if isNotFound(err) {
			err = s.discardEach(ctx, batch)
		}
		if err != nil {
			return fmt.Errorf("removing rows of %s: %w", batch[0].Partition, err)
		}
	}
	return nil
}

func (s rows) discardEach(ctx context.Context, keys []store.Key) error {
	for _, k := range keys {
		_, err := s.client.DeleteEntity(ctx, k.Partition, k.Name, nil)
		if err = explain(ctx, err); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

func (s rows) row(ctx context.Context, k store.Key) (row store.Row, op string, err error) {
	row.Key = k
	if k.Check() != nil {
		return row, "", nil
	}
	answer, err := s.client.GetEntity(ctx, k.Partition, k.Name, nil)
	if err = explain(ctx, err); isNotFound(err) {
		return row, "", nil
	}
	if err != nil {
		return row, "", fmt.Errorf("reading the row %s: %w", k.Name, err)
	}
	return decodeRow(answer.Value)
}

// maxChunk is how many bytes of a value one property holds: UTF-8 takes no fewer bytes than UTF-16 takes
// units.
const maxChunk = maxText - utf8.UTFMax

// chunk is the name of a property that holds a part of a value.
func chunk(i int) string { return "Value" + strconv.Itoa(i) }

// encodeRow writes a value into as many properties as it needs.
func encodeRow(k store.Key, value, op string) ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	if len(value) > store.MaxValue || !utf8.ValidString(value) {
		return nil, fmt.Errorf("a value of %d bytes is too large for a row, or is no UTF-8", len(value))
	}
	e := newEntity(k.Partition, k.Name)
	e.Properties["OpID"] = op
	for i := 0; value != "" || i == 0; i++ {
		end := min(maxChunk, len(value))
		for end < len(value) && !utf8.RuneStart(value[end]) {
			end--
		}
		e.Properties[chunk(i)], value = value[:end], value[end:]
	}
	return json.Marshal(e)
}

func decodeRow(data []byte) (row store.Row, op string, err error) {
	var e struct {
		PartitionKey, RowKey, OpID string
		ETag                       string `json:"odata.etag"`
	}
	var all map[string]any
	if err = json.Unmarshal(data, &e); err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err == nil && (e.ETag == "" || e.OpID == "") {
		err = errors.New("it has no OpID or no ETag")
	}
	if err != nil {
		return row, "", fmt.Errorf("row %.80q in partition %.80q of the table cannot be read, repair or remove it there: %w", e.RowKey, e.PartitionKey, err)
	}
	var value strings.Builder
	for i := 0; ; i++ {
		part, ok := all[chunk(i)].(string)
		if !ok {
			break
		}
		value.WriteString(part)
	}
	return store.Row{Key: store.Key{Partition: e.PartitionKey, Name: e.RowKey}, Value: value.String(), Version: e.ETag}, e.OpID, nil
}
