package explain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/store"
)

// NotFound is the answer for a link that does not exist, and for another organization's.
func NotFound(slug string) error {
	return problem.New(problem.LinkNotFound, "Your organization has no link %.64q. Check the spelling, or list your links with GET /api/links.", slug)
}

// Store explains an error of the table of links. Errors that an update function returned pass through.
func Store(err error, slug string) error {
	var p *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		return NotFound(slug)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem.Unavailable(err, 5*time.Second, "The table of links did not answer. Nothing is wrong with your request: send it again in a few seconds.")
	}
	return fmt.Errorf("link %s: %w", slug, err)
}

// Vault explains an error of the store of secrets.
func Vault(err error, slug string) error {
	if errors.Is(err, secret.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return problem.Unavailable(err, 10*time.Second, "The store of client secrets did not answer. Nothing was changed: send the request again in a few seconds.")
	}
	return fmt.Errorf("secret of link %s: %w", slug, err)
}

// ErrLost means that another operation has taken over a row meanwhile.
var ErrLost = errors.New("another request has taken over this slug meanwhile")

// Cause is an error as it may be logged: our own sentences, no upstream text.
func Cause(err error) string {
	for _, known := range []error{store.ErrUnavailable, store.ErrNotFound, store.ErrExists, secret.ErrUnavailable, secret.ErrNotFound, secret.ErrNameUsed, context.DeadlineExceeded, context.Canceled, ErrLost} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "unexpected error"
}
