package aztable

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// rememberedOps is how many writes a row remembers. A writer whose answer got lost finds its
// own among them although others have written since.
const rememberedOps = 8

// maxActions is what Table Storage takes in one transaction; above it the SDK fails with a
// message about malformed HTTP.
const maxActions = 100

func (s *Store) submit(ctx context.Context, actions []aztables.TransactionAction) error {
	if len(actions) == 0 || len(actions) > maxActions {
		return fmt.Errorf("a transaction must have 1 to %d actions, not %d", maxActions, len(actions))
	}
	_, err := s.client.SubmitTransaction(ctx, actions, nil)
	return explain(ctx, err)
}
