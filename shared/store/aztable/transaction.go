package aztable

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// rememberedOps is how many op ids a row keeps. A writer whose answer was lost finds its own op
// among them even after several concurrent writes.
const rememberedOps = 8

// maxActions is the greatest number of actions in one transaction of Table Storage. Beyond it the
// SDK fails with a message about malformed HTTP.
const maxActions = 100

func (s *Store) submit(ctx context.Context, actions []aztables.TransactionAction) error {
	if len(actions) == 0 || len(actions) > maxActions {
		return fmt.Errorf("a transaction must have 1 to %d actions, not %d", maxActions, len(actions))
	}
	_, err := s.client.SubmitTransaction(ctx, actions, nil)
	return explain(ctx, err)
}
