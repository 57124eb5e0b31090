package aztable

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// maxPage is the greatest number of rows in one answer of Table Storage.
const maxPage = 1000

// nextKeys reads a page of RowKeys. If the table does not exist, there are none.
func nextKeys(ctx context.Context, pager *runtime.Pager[aztables.ListEntitiesResponse]) (keys []string, err error) {
	rows, err := nextRows(ctx, pager)
	for _, r := range rows {
		keys = append(keys, r.RowKey)
	}
	return keys, err
}

// rowKey is the key of a row, as far as the query selects it.
type rowKey struct{ PartitionKey, RowKey string }

// nextRows reads a page of keys. If the table does not exist, there are none.
func nextRows(ctx context.Context, pager *runtime.Pager[aztables.ListEntitiesResponse]) (rows []rowKey, err error) {
	page, err := pager.NextPage(ctx)
	if err = explain(ctx, err); hasCode(err, aztables.TableNotFound) {
		return nil, nil
	}
	for _, data := range page.Entities {
		var r rowKey
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("a row of the links' table cannot be read: %w", err)
		}
		rows = append(rows, r)
	}
	return rows, err
}

// quoted doubles the quotes for an OData literal.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }
